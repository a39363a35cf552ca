import { type JsonObject, member, stringMember } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import type { ScanOptions } from '../mcp/json-scan.ts'
import type { SignInProvider } from '../ports/sign-in.ts'
import { SignInFailed } from '../ports/sign-in.ts'
import { checkSignature, parseJsonPart, parseJws } from '../stages/identity/jws.ts'

/** What an id_token must say. */
export interface ExpectedIdToken {
  readonly issuer: string
  readonly clientId: string
  readonly nonce: string
  /** Seconds since the person proved who he is; undefined: whenever that was. */
  readonly maxAgeS: number | undefined
}

/** Clocks that differ by less are taken for the same, in seconds. */
const SKEW_S = 30
/** Oldest id_token that is taken, in seconds: it was made for this sign-in. */
const MAX_TOKEN_AGE_S = 600

const SCAN: ScanOptions = {
  maxBytes: 8_192,
  maxDepth: 16,
  maxKeys: 256,
  twinKeys: {
    '': ['iss', 'sub', 'aud', 'azp', 'exp', 'nbf', 'iat', 'nonce', 'auth_time', 'email', 'email_verified'],
  },
}

/**
 * Verifies an id_token (OpenID Connect Core 1.0 section 3.1.3.7): signed by a key of the provider with an asymmetric algorithm,
 * from it, for us alone, of now, and for the sign-in that was begun.
 * @param now milliseconds since the epoch
 * @returns its claims
 * @throws SignInFailed
 */
export async function verifyIdToken(
  token: string,
  key: SignInProvider['key'],
  expected: ExpectedIdToken,
  now: number,
): Promise<JsonObject> {
  try {
    const jws = parseJws(token)
    // RFC 8725 section 3.11: tokens that are meant for something else say so.
    if (jws.typ !== undefined && !/^(application\/)?jwt$/i.test(jws.typ))
      throw wrong('header `typ` is not that of an id_token')
    if (jws.kid === undefined) throw wrong('header names no key (`kid`)')
    const found = await key(jws.kid)
    if (found === undefined) throw wrong('the provider has no key of the name in its header')
    checkSignature(jws, found)
    const claims = parseJsonPart(jws.payload, SCAN, 'payload')
    checkClaims(claims, expected, now / 1_000)
    return claims
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause
    throw wrong(cause.internal, cause)
  }
}

function checkClaims(claims: JsonObject, expected: ExpectedIdToken, nowS: number): void {
  const { issuer, clientId, nonce, maxAgeS } = expected
  if (member(claims, 'iss') !== issuer) throw wrong('`iss` is another issuer')
  checkAudience(claims, clientId)
  if (!/^.{1,255}$/u.test(stringMember(claims, 'sub') ?? ''))
    throw wrong('`sub` is no text of 1 to 255 characters')
  if (member(claims, 'nonce') !== nonce) throw wrong('`nonce` is not the one of this sign-in')
  if (timeOf(claims, 'exp') <= nowS - SKEW_S) throw wrong('`exp` is over')
  const iat = timeOf(claims, 'iat')
  if (iat > nowS + SKEW_S || iat < nowS - MAX_TOKEN_AGE_S) throw wrong('`iat` is not of now')
  if (member(claims, 'nbf') !== undefined && timeOf(claims, 'nbf') > nowS + SKEW_S)
    throw wrong('`nbf` is still to come')
  if (maxAgeS === undefined) return
  const authAt = timeOf(claims, 'auth_time')
  if (authAt > nowS + SKEW_S) throw wrong('`auth_time` is still to come')
  if (authAt < nowS - maxAgeS - SKEW_S) throw wrong(`\`auth_time\` is more than ${maxAgeS} s ago`)
}

/** For us; where it is for others too, given to us. */
function checkAudience(claims: JsonObject, clientId: string): void {
  const aud = member(claims, 'aud')
  const all: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  if (!all.includes(clientId)) throw wrong('`aud` is another client')
  const azp = member(claims, 'azp')
  if (azp === undefined ? all.length > 1 : azp !== clientId) throw wrong('`azp` is another client')
}

function timeOf(claims: JsonObject, name: string): number {
  const value = member(claims, name)
  if (typeof value === 'number' && value > 0) return value
  throw wrong(`\`${name}\` is missing or no time`)
}

function wrong(what: string, cause?: unknown): SignInFailed {
  return new SignInFailed('refused', `id_token: ${what}`, { cause })
}
