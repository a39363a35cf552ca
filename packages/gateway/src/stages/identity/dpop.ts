import { type KeyObject, createPublicKey, hash } from 'node:crypto'
import type { Proof } from '../../call/call.ts'
import { type JsonObject, isJsonObject, member, stringMember } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import type { ScanOptions } from '../../mcp/json-scan.ts'
import { checkSignature, parseJsonPart, parseJws } from './jws.ts'
import { shown } from './shown.ts'

/** How long after it was made a proof is taken, in seconds, beside the skew of the clocks. Source: RFC 9449 section 11.1. */
export const MAX_PROOF_AGE_S = 60

/** Longest proof that is looked at, in characters. */
const MAX_PROOF_CHARS = 4_096
const MAX_JTI_CHARS = 512

const PAYLOAD_SCAN: ScanOptions = {
  maxBytes: 2_048,
  maxDepth: 4,
  maxKeys: 32,
  twinKeys: { '': ['jti', 'htm', 'htu', 'iat', 'ath', 'nonce'] },
}

/** Members of a public JWK that its thumbprint is made of, in their order (RFC 7638 section 3.2, RFC 8037 section 2). */
const THUMBPRINT_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
  RSA: ['e', 'kty', 'n'],
}
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

/** What a proof must say. */
export interface ProofRules {
  /** Accepted algorithms. */
  readonly algorithms: ReadonlySet<string>
  /** Seconds by which the clocks may differ. */
  readonly clockSkewS: number
  /** Whether a nonce of ours is fresh; undefined: proofs need none. */
  readonly isFresh: ((nonce: string) => boolean) | undefined
  /** A fresh nonce, for who lacks one. */
  readonly newNonce: (() => string) | undefined
}

/** A proof that holds, and how it is claimed: each is used once. */
export interface Proven {
  /** Key and `jti`, hashed together. */
  readonly id: string
  /** Seconds since the epoch from which on the proof is too old anyway. */
  readonly exp: number
  /** The key that it proves. */
  readonly key: KeyObject
}

/** A proof of a key that no token names yet. */
export interface ProvenKey extends Proven {
  /** The members that its thumbprint is made of, and no others. */
  readonly jwk: JsonObject
  readonly thumbprint: string
}

/**
 * Checks a DPoP proof as RFC 9449 section 4.3 lists it, cheapest first; whether it was used before is for the replay guard.
 * INVARIANT: only the key that the token names is ever used, so a stranger cannot choose what is verified.
 * @param token the access token beside it, which it must name
 * @param keyThumbprint `cnf.jkt` of that token
 * @param nowS seconds since the epoch
 * @throws Refusal CG_IDENTITY_PROOF naming the member, CG_IDENTITY_NONCE
 */
export function checkProof(
  proof: Proof,
  token: string,
  keyThumbprint: string,
  nowS: number,
  rules: ProofRules,
): Proven {
  return checkAny(proof, { token, keyThumbprint }, nowS, rules)
}

/**
 * Checks a proof that comes without a token: what it shows is that its sender holds the key in its header.
 * @throws Refusal CG_IDENTITY_PROOF naming the member, CG_IDENTITY_NONCE
 */
export function checkProofOfKey(proof: Proof, nowS: number, rules: ProofRules): ProvenKey {
  return checkAny(proof, undefined, nowS, rules)
}

function checkAny(
  proof: Proof,
  bound: { readonly token: string; readonly keyThumbprint: string } | undefined,
  nowS: number,
  rules: ProofRules,
): ProvenKey {
  if (proof.jwt.length > MAX_PROOF_CHARS) throw wrong(`it is longer than ${MAX_PROOF_CHARS} characters`)
  const jws = inProof(() => parseJws(proof.jwt, rules.algorithms, true))
  if (jws.typ?.toLowerCase() !== 'dpop+jwt') throw wrong('header `typ` is not `dpop+jwt`')
  const jwk = publicJwk(jws.header)
  const thumbprint = thumbprintOf(jwk)
  if (bound !== undefined && thumbprint !== bound.keyThumbprint)
    throw wrong('header `jwk` is not the key that the token is bound to')
  if (thumbprint === undefined) throw wrong('header `jwk` is not a public key')
  const claims = inProof(() => parseJsonPart(jws.payload, PAYLOAD_SCAN, 'payload'))
  if (member(claims, 'htm') !== proof.httpMethod) throw wrong(`\`htm\` is not ${proof.httpMethod}`)
  if (!isSameUrl(stringMember(claims, 'htu'), proof.url)) throw wrong(`\`htu\` is not ${shown(proof.url)}`)
  const ath = bound === undefined ? undefined : hash('sha256', bound.token, 'base64url')
  if (member(claims, 'ath') !== ath) throw wrong('`ath` names another token')
  const jti = stringMember(claims, 'jti')
  if (jti === undefined || jti === '' || jti.length > MAX_JTI_CHARS)
    throw wrong(`\`jti\` is not a text of 1 to ${MAX_JTI_CHARS} characters`)
  const exp = checkAge(member(claims, 'iat'), nowS, rules.clockSkewS)
  checkNonce(member(claims, 'nonce'), rules)
  const key = importKey(jwk)
  inProof(() => checkSignature(jws, { kid: thumbprint, alg: undefined, key }))
  const id = hash('sha256', JSON.stringify(['dpop', thumbprint, jti]), 'hex').slice(0, 32)
  return { id, exp, key, jwk: publicMembers(jwk), thumbprint }
}

/** Thumbprint of a public key (RFC 7638), in base64url; undefined when it is none. */
export function thumbprintOf(jwk: JsonObject): string | undefined {
  const kty = stringMember(jwk, 'kty') ?? ''
  const names = Object.hasOwn(THUMBPRINT_MEMBERS, kty) ? (THUMBPRINT_MEMBERS[kty] ?? []) : []
  const values = names.map((name) => stringMember(jwk, name))
  if (values.length === 0 || values.includes(undefined)) return undefined
  return hash(
    'sha256',
    JSON.stringify(Object.fromEntries(names.map((name, i) => [name, values[i]]))),
    'base64url',
  )
}

function publicJwk(header: JsonObject): JsonObject {
  const jwk = member(header, 'jwk')
  if (!isJsonObject(jwk)) throw wrong('header `jwk` is missing')
  if (PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name)))
    throw wrong('header `jwk` holds a private key; replace that key')
  return jwk
}

function publicMembers(jwk: JsonObject): Record<string, string> {
  const names = THUMBPRINT_MEMBERS[stringMember(jwk, 'kty') ?? ''] ?? []
  return Object.fromEntries(names.map((name) => [name, stringMember(jwk, name) ?? '']))
}

function importKey(jwk: JsonObject): KeyObject {
  try {
    return createPublicKey({ key: publicMembers(jwk), format: 'jwk' })
  } catch {
    throw wrong('header `jwk` is not a public key')
  }
}

/** @returns the second from which on the proof is too old */
function checkAge(iat: unknown, nowS: number, clockSkewS: number): number {
  if (typeof iat !== 'number' || !Number.isFinite(iat)) throw wrong('`iat` is not a number')
  if (iat > nowS + clockSkewS) throw wrong('`iat` is in the future')
  const exp = Math.ceil(iat + MAX_PROOF_AGE_S + clockSkewS)
  if (nowS >= exp)
    throw wrong(`\`iat\` is ${Math.round(nowS - iat)} s ago, at most ${MAX_PROOF_AGE_S} s allowed`)
  return exp
}

function checkNonce(nonce: unknown, { isFresh, newNonce }: ProofRules): void {
  if (isFresh === undefined || newNonce === undefined) return
  if (typeof nonce === 'string' && isFresh(nonce)) return
  throw new Refusal('CG_IDENTITY_NONCE', {
    internal: `proof has ${nonce === undefined ? 'no nonce' : 'a nonce that is not fresh'}`,
    nonce: newNonce(),
  })
}

/** Scheme and host in any case, default port or none, without query and fragment (RFC 9449 section 4.3, check 9). */
function isSameUrl(htu: string | undefined, url: string): boolean {
  const [said, own] = [URL.parse(htu ?? ''), URL.parse(url)]
  if (said === null || own === null || said.username !== '' || said.password !== '') return false
  return said.origin === own.origin && said.pathname === own.pathname
}

/** What is wrong with a proof is told as such: the words of a token's refusal would send the reader to the token. */
function inProof<T>(check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (error instanceof Refusal && error.code !== 'CG_IDENTITY_PROOF')
      throw wrong(error.internal.replace(/^token\b/, 'it'))
    throw error
  }
}

function wrong(what: string): Refusal {
  return new Refusal('CG_IDENTITY_PROOF', { internal: `DPoP proof: ${what}` })
}
