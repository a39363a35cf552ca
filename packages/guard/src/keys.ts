import { type KeyObject, createPublicKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { NotVouched } from './refusals.ts'

/** A public key with its name (RFC 7517), as far as it matters here. */
export interface Jwk {
  readonly kty?: string
  readonly kid?: string
  readonly crv?: string
  readonly x?: string
  readonly y?: string
}

/** The gate's public keys, as `state/keys/assertion.jwks.json` holds them. */
export interface JwkSet {
  readonly keys: readonly Jwk[]
}

/** Gives the keys; asked at the first call, and again for a key that is not known. */
export type KeysSource = () => JwkSet | Promise<JwkSet>

/** A public key and the only algorithm that it verifies: what a token says of its algorithm chooses nothing (RFC 8725 section 3.1). */
export interface VerifyingKey {
  readonly key: KeyObject
  readonly algorithms: readonly string[]
  /** Name of the hash for node:crypto; null: the algorithm has its own. */
  readonly hash: string | null
}

/** Milliseconds between two questions for keys: strangers who make up key names must not make the server ask. */
const ASK_EVERY_MS = 10_000

/** Most keys of a set. */
const MAX_KEYS = 32

/** Reads the keys from a file; a file that changed is found when a call names a key that is not known. */
export function keysFile(path: string | URL): KeysSource {
  return async () => JSON.parse(await readFile(path, 'utf8')) as JwkSet
}

/** Keys by name, from a source that is asked at most every ten seconds. @param now milliseconds, on any clock that never goes back */
export function createKeys(
  source: KeysSource,
  now: () => number,
): (kid: string) => Promise<VerifyingKey | undefined> {
  let known: ReadonlyMap<string, VerifyingKey> | undefined
  let askedAt = -Infinity
  let asking: Promise<ReadonlyMap<string, VerifyingKey>> | undefined

  async function ask(): Promise<ReadonlyMap<string, VerifyingKey>> {
    askedAt = now()
    const keys = verifyingKeys(await source())
    known = keys
    return keys
  }

  return async (kid) => {
    const found = known?.get(kid)
    if (found !== undefined) return found
    if (asking === undefined && now() - askedAt >= ASK_EVERY_MS) {
      asking = ask().finally(() => (asking = undefined))
    }
    try {
      if (asking !== undefined) return (await asking).get(kid)
    } catch (cause) {
      throw new NotVouched('unavailable', 'the keys of the gate cannot be had', { cause })
    }
    if (known === undefined) throw new NotVouched('unavailable', 'the keys of the gate cannot be had')
    return undefined
  }
}

/**
 * The keys of a set that verify what a gate signs: Ed25519, and P-256 where its key is in a PKCS #11 token.
 * @throws TypeError for what is no set, or holds none
 */
export function verifyingKeys(set: unknown): ReadonlyMap<string, VerifyingKey> {
  const keys = typeof set === 'object' && set !== null && 'keys' in set ? set.keys : undefined
  if (!Array.isArray(keys) || keys.length > MAX_KEYS)
    throw new TypeError(`the keys are no JWK set of at most ${MAX_KEYS}`)
  const usable = new Map<string, VerifyingKey>()
  for (const jwk of keys as readonly Jwk[]) {
    const kind = kindOf(jwk)
    if (kind === undefined || typeof jwk.kid !== 'string') continue
    const { kty = '', crv = '', x = '', y } = jwk
    // Nothing but the public key, whatever else stands there.
    const key = createPublicKey({ key: { kty, crv, x, ...(y === undefined ? {} : { y }) }, format: 'jwk' })
    usable.set(jwk.kid, { ...kind, key })
  }
  if (usable.size === 0) throw new TypeError('the JWK set holds no Ed25519 and no P-256 key with a `kid`')
  return usable
}

function kindOf({ kty, crv }: Jwk): Omit<VerifyingKey, 'key'> | undefined {
  if (kty === 'OKP' && crv === 'Ed25519') return { algorithms: ['EdDSA', 'Ed25519'], hash: null }
  if (kty === 'EC' && crv === 'P-256') return { algorithms: ['ES256'], hash: 'sha256' }
  return undefined
}
