import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, randomUUID, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isJsonObject, stringMember } from '../../call/json.ts'
import { systemCode } from '../file/evidence-errors.ts'
import { makeOnce, writeBeside } from '../file/make-once.ts'

/** `iss` of tokens that the dev issuer mints. */
export const DEV_ISSUER = 'urn:callgate:dev-issuer'

/** Longest life that is minted, in seconds. The gate refuses more than 600; the rest is there to see that it does. */
const MAX_LIFETIME_S = 3_600

/** What a minted token says. */
export interface MintOptions {
  /** Canonical URI of an endpoint, or several. */
  readonly audience: string | readonly string[]
  readonly subject: string
  readonly clientId: string
  /** Space-separated grants; default none. */
  readonly scope?: string
  /** Seconds, 1 to 3,600; default 600. The gate refuses more than 600 (CG_IDENTITY_LIFETIME). */
  readonly lifetimeS?: number
  /** The token opens one call, whatever the gate's replay mode. */
  readonly once?: boolean
  readonly sid?: string
  /** Who acts for the subject (`act.sub`); default the client. */
  readonly actor?: string
  /** What the token is for (RFC 9396 `authorization_details`). Default nothing narrower than its scope. */
  readonly details?: readonly object[]
  /** What the token is bound to (RFC 7800): `jkt` of a DPoP key, or `x5t#S256` of a client certificate. Default nothing. */
  readonly confirmation?: { readonly jkt: string } | { readonly 'x5t#S256': string }
}

/** A token and its end. */
export interface MintedToken {
  readonly token: string
  /** ISO 8601, UTC. */
  readonly expiresAt: string
}

/** The issuer of the quickstart: a key on this machine, no listener, no users. Refused by `--strict`. */
export interface DevIssuer {
  readonly issuer: string
  /** Path of the public key set, for createKeySource. */
  readonly jwks: string
  /** @throws RangeError for a lifetime out of bounds */
  mint(options: MintOptions): MintedToken
}

/**
 * Opens the dev issuer under `<stateDir>/keys`, making its Ed25519 key at the first run (0600 in a 0700 folder).
 * Two processes may do so at once: the first one's key stands.
 * @param now milliseconds since the epoch
 * @throws Error when the key is readable by others, or is no Ed25519 key
 */
export function openDevIssuer(stateDir: string, now: () => number = Date.now): DevIssuer {
  const folder = join(stateDir, 'keys')
  const keyFile = join(folder, 'dev-issuer.jwk')
  const jwksFile = join(folder, 'dev-issuer.jwks.json')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  chmodSync(folder, 0o700)
  const text = readIfThere(keyFile) ?? makeKey(keyFile)
  const mode = statSync(keyFile).mode & 0o777
  if ((mode & 0o077) !== 0) {
    throw new Error(
      `dev issuer key \`${keyFile}\` has mode ${mode.toString(8)} and others may read it; delete it for a new one`,
    )
  }
  const { key, kid, x } = readKey(text, keyFile)
  const jwks = `${JSON.stringify({ keys: [{ kty: 'OKP', crv: 'Ed25519', x, kid, alg: 'EdDSA', use: 'sig' }] })}\n`
  if (readIfThere(jwksFile) !== jwks) renameSync(writeBeside(folder, jwks), jwksFile)
  const header = encode({ alg: 'EdDSA', typ: 'at+jwt', kid })

  return {
    issuer: DEV_ISSUER,
    jwks: jwksFile,
    mint({ audience, subject, clientId, scope, lifetimeS = 600, once, sid, actor, details, confirmation }) {
      if (!Number.isInteger(lifetimeS) || lifetimeS < 1 || lifetimeS > MAX_LIFETIME_S) {
        throw new RangeError(
          `token lifetime is \`${lifetimeS}\` s (expected an integer from 1 to ${MAX_LIFETIME_S}; the gate takes at most 600)`,
        )
      }
      const iat = Math.floor(now() / 1_000)
      const exp = iat + lifetimeS
      const claims = {
        iss: DEV_ISSUER,
        sub: subject,
        aud: audience,
        iat,
        nbf: iat,
        exp,
        jti: randomUUID(),
        client_id: clientId,
        scope: scope === '' ? undefined : scope,
        sid,
        once: once === true ? true : undefined,
        cnf: confirmation,
        authorization_details: details,
        act: actor === undefined ? undefined : { sub: actor },
      }
      const signed = `${header}.${encode(claims)}`
      const token = `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`
      return { token, expiresAt: new Date(exp * 1_000).toISOString() }
    },
  }
}

function makeKey(keyFile: string): string {
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  makeOnce(keyFile, `${JSON.stringify(jwk)}\n`)
  return readFileSync(keyFile, 'utf8')
}

function readKey(text: string, path: string): { key: KeyObject; kid: string; x: string } {
  const wrong = `dev issuer key \`${path}\` is no private Ed25519 JWK; delete it for a new one`
  let jwk: unknown
  try {
    jwk = JSON.parse(text)
  } catch {
    throw new Error(wrong)
  }
  const claimed = isJsonObject(jwk) ? stringMember(jwk, 'x') : undefined
  const d = isJsonObject(jwk) ? stringMember(jwk, 'd') : undefined
  if (claimed === undefined || d === undefined) throw new Error(wrong)
  let key: KeyObject
  try {
    key = createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', x: claimed, d }, format: 'jwk' })
  } catch (cause) {
    throw new Error(wrong, { cause })
  }
  // The public half comes from the private one: what the file says of it may be another key's.
  const x = createPublicKey(key).export({ format: 'jwk' }).x
  if (x === undefined) throw new Error(wrong)
  // RFC 7638 and RFC 8037 s2: the thumbprint is the kid, so another key is never taken for this one.
  return { key, x, kid: hash('sha256', JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x }), 'base64url') }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
