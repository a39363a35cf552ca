import { type KeyObject, verify as verifySignature } from 'node:crypto'
import { type Caller, vouchFor } from './caller.ts'
import type { VerifyingKey } from './keys.ts'
import { NotVouched } from './refusals.ts'

/** Longest life of an assertion, and largest difference of clocks, in seconds. */
export const MAX_LIFE_S = 60
export const CLOCKS_S = 5

/** Longest assertion and longest claim, in characters. */
const MAX_TOKEN = 16_384
const MAX_CLAIM = 1_024

const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/

/** What an assertion must have been made for. */
export interface Asserted {
  readonly issuer: string
  readonly server: string
  readonly tool: string
  /** SHA-256 over the bytes of `arguments` in base64url; of no bytes where there are none. */
  readonly argsSha256: string
}

/** A verified assertion: of whom, and what makes it one of a kind. */
export interface Verified {
  readonly caller: Caller
  readonly jti: string
  /** Seconds since the epoch. */
  readonly exp: number
}

/**
 * Verifies an assertion for one call (RFC 7515, RFC 8725). Whether it was used before is the caller's question, the last one: else
 * somebody could use up what another must still send.
 * @throws NotVouched
 */
export async function verifyAssertion(
  token: string,
  expected: Asserted,
  keyOf: (kid: string) => Promise<VerifyingKey | undefined>,
  nowS: number,
): Promise<Verified> {
  const [, head = '', body = '', signature = ''] =
    (token.length <= MAX_TOKEN ? COMPACT.exec(token) : null) ?? []
  const header = decoded(head)
  // Whatever else the gate signs is no caller assertion.
  if (header['typ'] !== 'callgate-caller+jwt' || 'crit' in header)
    throw new NotVouched('untrusted', 'what the call carries is no caller assertion')
  const known = await keyOf(textOf(header['kid']))
  if (
    known === undefined ||
    !known.algorithms.includes(textOf(header['alg'])) ||
    !isSigned(known, `${head}.${body}`, signature)
  )
    throw new NotVouched('untrusted', 'the assertion is not signed by a key of the gate')
  return judged(decoded(body), expected, nowS)
}

function isSigned({ key, hash }: VerifyingKey, text: string, signature: string): boolean {
  const options: { key: KeyObject; dsaEncoding: 'ieee-p1363' } = { key, dsaEncoding: 'ieee-p1363' }
  return verifySignature(hash, Buffer.from(text), options, Buffer.from(signature, 'base64url'))
}

function judged(claims: Claims, expected: Asserted, nowS: number): Verified {
  if (claims['iss'] !== expected.issuer || claims['aud'] !== expected.server)
    throw new NotVouched('untrusted', 'the assertion is of another gate or for another server')
  const [iat, exp] = [secondsOf(claims['iat']), secondsOf(claims['exp'])]
  if (exp - iat > MAX_LIFE_S) throw new NotVouched('untrusted', 'the assertion lives longer than a call')
  if (nowS >= exp + CLOCKS_S || nowS < iat - CLOCKS_S)
    throw new NotVouched('expired', 'the assertion is not of this minute; look at the clocks')
  if (claims['tool'] !== expected.tool || claims['args_sha256'] !== expected.argsSha256)
    throw new NotVouched('other_call', 'the assertion is for another tool or other arguments')
  const caller = vouchFor({
    tenant: textOf(claims['tenant']),
    issuer: textOf(inside(claims['sub_id'], 'iss')),
    subject: textOf(claims['sub']),
    actor: textOf(inside(claims['act'], 'sub')),
    client: textOf(claims['client_id']),
    tool: expected.tool,
    expiresAt: exp,
  })
  return { caller, jti: textOf(claims['jti']), exp }
}

type Claims = Readonly<Record<string, unknown>>

function decoded(part: string): Claims {
  try {
    const value: unknown = JSON.parse(
      new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(part, 'base64url')),
    )
    // Without a prototype no claim is found that nobody made.
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return Object.assign(Object.create(null) as Claims, value)
  } catch {
    // Said below.
  }
  throw new NotVouched('malformed', 'what the call carries is no JWT')
}

function inside(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.getOwnPropertyDescriptor(value, name)?.value
    : undefined
}

function textOf(value: unknown): string {
  if (typeof value !== 'string' || value === '' || value.length > MAX_CLAIM)
    throw new NotVouched('untrusted', 'the assertion lacks a claim')
  return value
}

function secondsOf(value: unknown): number {
  if (!Number.isSafeInteger(value)) throw new NotVouched('untrusted', 'the assertion lacks a time')
  return value as number
}
