import { X509Certificate, createPublicKey, hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { DETAIL_TYPE } from '../call/authorization.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { configPath, readRunFile, requireConfig, stateFolder } from './locate.ts'
import { thumbprintOf } from '../stages/identity/dpop.ts'
import type { DevMint, World } from './world.ts'

export interface TokenMintOptions {
  readonly config?: string
  readonly server?: string
  readonly subject: string
  readonly client: string
  readonly scope: string
  readonly lifetime: string
  readonly once?: boolean
  readonly sid?: string
  readonly jkt?: string
  readonly dpopKey?: string
  readonly certificate?: string
  readonly details?: string
  readonly json?: boolean
}

/** `callgate token mint`: a token of the development issuer for the gate that runs here. */
export async function tokenMint(world: World, options: TokenMintOptions): Promise<void> {
  const config = requireConfig(world.env, configPath(world.env, options.config))
  if (!config.identity.issuers.some((issuer) => issuer.dev)) {
    throw new CommandFailed('the configuration has no development issuer', {
      fix: 'get a token from one of `identity.issuers`, or add an issuer with `dev: true`',
    })
  }
  const lifetimeS = Number(options.lifetime)
  if (!Number.isInteger(lifetimeS) || lifetimeS < 1 || lifetimeS > 3_600) {
    throw new CommandFailed(`--lifetime is \`${options.lifetime}\` (expected seconds from 1 to 3600)`, {
      exitCode: 2,
    })
  }
  const issuer = await world.openDevIssuer(config.state)
  const minted = issuer.mint({
    audience: audienceOf(world, config.listener, options.server),
    subject: options.subject,
    clientId: options.client,
    scope: options.scope,
    lifetimeS,
    ...(options.once === true ? { once: true } : {}),
    ...(options.sid === undefined ? {} : { sid: options.sid }),
    ...bound(options),
    ...(options.details === undefined ? {} : { details: detailsOf(options.details) }),
  })
  if (options.json === true) printJson({ token: minted.token, expires_at: minted.expiresAt })
  else print(minted.token)
}

type Confirmation = Parameters<DevMint['mint']>[0]['confirmation']

/** What the token is bound to. @throws CommandFailed */
function bound({
  jkt,
  dpopKey,
  certificate,
}: TokenMintOptions): Pick<Parameters<DevMint['mint']>[0], 'confirmation'> {
  const given: Confirmation[] = []
  if (jkt !== undefined) {
    if (!/^[A-Za-z0-9_-]{43}$/.test(jkt))
      throw new CommandFailed('--jkt is no thumbprint (expected 43 letters of base64url, RFC 7638)', {
        exitCode: 2,
      })
    given.push({ jkt })
  }
  if (dpopKey !== undefined) given.push({ jkt: thumbprintOfFile(dpopKey) })
  if (certificate !== undefined) given.push({ 'x5t#S256': certificateThumbprint(certificate) })
  if (given.length > 1)
    throw new CommandFailed(
      '--jkt, --dpop-key and --certificate bind a token to one thing each, and it is bound to one; give one',
      { exitCode: 2 },
    )
  const [confirmation] = given
  return confirmation === undefined ? {} : { confirmation }
}

/** The thumbprint of the key that a host proves, of its private or its public half. */
function thumbprintOfFile(file: string): string {
  try {
    const text = readFileSync(file, 'utf8')
    const key = text.trimStart().startsWith('{')
      ? createPublicKey({ key: JSON.parse(text), format: 'jwk' })
      : createPublicKey(text)
    const { kty = '', crv = '', x = '', y = '', n = '', e = '' } = key.export({ format: 'jwk' })
    const thumbprint = thumbprintOf({ kty, crv, x, y, n, e })
    if (thumbprint !== undefined) return thumbprint
  } catch {
    // No cause: JSON.parse quotes what it could not read, and that may be the private key.
  }
  throw new CommandFailed(`${file}: cannot be read as a key`, {
    fix: 'name a file with the key that the host proves, PEM or JWK, private or public',
  })
}

function certificateThumbprint(file: string): string {
  try {
    return hash('sha256', new X509Certificate(readFileSync(file)).raw, 'base64url')
  } catch (cause) {
    throw new CommandFailed(`${file}: cannot be read as a certificate`, {
      fix: 'name a PEM file with the client certificate first',
      cause,
    })
  }
}

/** Authorization details as they are given: the gate judges them. @throws CommandFailed */
function detailsOf(given: string): readonly object[] {
  const text = given.startsWith('@') ? textOf(given.slice(1)) : given
  const fix = `give a JSON list such as [{"type":"${DETAIL_TYPE}","locations":["crm"],"actions":["tools/call:crm.read"]}]`
  let details: unknown
  try {
    details = JSON.parse(text)
  } catch {
    // No cause: JSON.parse quotes what it could not read, and a file may be another one than was meant.
    throw new CommandFailed('--details is not JSON', { fix, exitCode: 2 })
  }
  if (Array.isArray(details) && details.every((one) => typeof one === 'object' && one !== null))
    return details
  throw new CommandFailed('--details is no list of objects', { fix, exitCode: 2 })
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new CommandFailed(`${file}: cannot be read`, {
      fix: 'name a file with a JSON list after the `@` of --details',
      cause,
    })
  }
}

/** The audience of an endpoint: under the public URL when one is configured, else where the gate listens. */
export function audienceOf(
  world: World,
  listener: { readonly publicUrl?: string; readonly host: string; readonly port: number },
  server: string | undefined,
): string {
  const run = readRunFile(stateFolder(world.env))
  const base = listener.publicUrl ?? run?.url ?? `http://${listener.host}:${listener.port}`
  return `${base}/mcp${server === undefined ? '' : `/${server}`}`
}
