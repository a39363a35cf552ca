import { constants, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { isJsonObject, member, stringMember } from '../../call/json.ts'
import type { JsonObject } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import { JsonFault, scanJson } from '../../mcp/json-scan.ts'
import type { ScanOptions } from '../../mcp/json-scan.ts'
import type { VerificationKey } from '../../ports/key-source.ts'
import { shown } from './shown.ts'

/** Longest token that is looked at, in characters. Node's header cap (16 KiB) is above it. */
export const MAX_TOKEN_CHARS = 8_192

/** Shortest RSA modulus, in bits. Source: NIST SP 800-131A. */
const MIN_RSA_BITS = 2_048

/**
 * One signature algorithm: how node:crypto checks it, which key fits it, how long its signature is.
 * `family` is what a JWK's own `alg` must agree with (see fits).
 */
type Algorithm =
  | { family: 'ES'; hash: string; curve: string; bytes: number }
  | { family: 'RS' | 'PS'; hash: string; hashBytes: number }
  | { family: 'Ed'; bytes: number }

/**
 * INVARIANT: asymmetric algorithms only. HMAC would turn a public key into a secret that everybody knows
 * (CVE-2015-9235), `none` is no signature (RFC 8725 s2.1); what is not in this table is refused, whatever its case.
 */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ['ES256', { family: 'ES', hash: 'sha256', curve: 'prime256v1', bytes: 64 }],
  ['ES384', { family: 'ES', hash: 'sha384', curve: 'secp384r1', bytes: 96 }],
  ['ES512', { family: 'ES', hash: 'sha512', curve: 'secp521r1', bytes: 132 }],
  ['RS256', { family: 'RS', hash: 'sha256', hashBytes: 32 }],
  ['RS384', { family: 'RS', hash: 'sha384', hashBytes: 48 }],
  ['RS512', { family: 'RS', hash: 'sha512', hashBytes: 64 }],
  ['PS256', { family: 'PS', hash: 'sha256', hashBytes: 32 }],
  ['PS384', { family: 'PS', hash: 'sha384', hashBytes: 48 }],
  ['PS512', { family: 'PS', hash: 'sha512', hashBytes: 64 }],
  ['EdDSA', { family: 'Ed', bytes: 64 }],
  ['Ed25519', { family: 'Ed', bytes: 64 }],
])

/** Names of the algorithms that can be accepted at all. */
export const SIGNATURE_ALGORITHMS: ReadonlySet<string> = new Set(ALGORITHMS.keys())

/**
 * Header members that change what is verified, or bring their own key. An extension that we do not know must be refused
 * (RFC 7515 s4.1.11); keys come from the issuer's JWKS and from nowhere else (CVE-2018-0114, RFC 8725 s3.10).
 */
const REFUSED_HEADERS: readonly string[] = ['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c', 'zip', 'enc']

const HEADER_SCAN: ScanOptions = {
  maxBytes: 2_048,
  maxDepth: 4,
  maxKeys: 32,
  twinKeys: { '': ['alg', 'kid', 'typ', ...REFUSED_HEADERS] },
}

/** A compact JWS, strictly read and not yet verified: nothing in it is true. */
export interface Jws {
  readonly header: JsonObject
  readonly alg: string
  readonly kid: string | undefined
  readonly typ: string | undefined
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  /** Header and payload as received: what the signature is over. */
  readonly signed: string
}

/**
 * Reads a compact JWS strictly (RFC 7515 s7.1): three parts of canonical base64url, a header without duplicate members.
 * @param accepted algorithms, out of SIGNATURE_ALGORITHMS
 * @param ownKey whether its header brings the key, as that of a DPoP proof does; default false
 * @throws Refusal CG_IDENTITY_MALFORMED or CG_IDENTITY_ALGORITHM
 */
export function parseJws(token: string, accepted = SIGNATURE_ALGORITHMS, ownKey = false): Jws {
  if (token.length > MAX_TOKEN_CHARS) {
    throw malformed(`token is ${token.length} characters long, at most ${MAX_TOKEN_CHARS} are read`)
  }
  const parts = token.split('.', 4)
  const [head, body, tail] = parts
  if (parts.length !== 3 || head === undefined || body === undefined || tail === undefined) {
    throw malformed('token is not a compact JWS of three parts')
  }
  const header = parseJsonPart(decodePart(head, 'header'), HEADER_SCAN, 'header')
  for (const name of REFUSED_HEADERS) {
    if (Object.hasOwn(header, name) && !(ownKey && name === 'jwk')) {
      throw malformed(
        `header has \`${name}\`; keys come from the issuer's JWKS only and extensions are not taken`,
      )
    }
  }
  const alg = stringMember(header, 'alg')
  if (alg === undefined || !accepted.has(alg)) {
    throw new Refusal('CG_IDENTITY_ALGORITHM', {
      internal: `header \`alg\` is ${alg === undefined ? 'missing' : shown(alg)} (expected one of ${[...accepted].join(' ')})`,
    })
  }
  const kid = member(header, 'kid')
  if (kid !== undefined && (typeof kid !== 'string' || kid === ''))
    throw malformed('header `kid` is not a name')
  const typ = member(header, 'typ')
  if (typ !== undefined && typeof typ !== 'string') throw malformed('header `typ` is not a string')
  return {
    header,
    alg,
    kid,
    typ,
    payload: decodePart(body, 'payload'),
    signature: decodePart(tail, 'signature'),
    signed: token.slice(0, head.length + 1 + body.length),
  }
}

/**
 * Checks the signature of a parsed token with one key of its issuer.
 * @throws Refusal CG_IDENTITY_ALGORITHM when the key is not one for the token's algorithm, else CG_IDENTITY_SIGNATURE
 */
export function checkSignature(jws: Jws, key: VerificationKey): void {
  const algorithm = ALGORITHMS.get(jws.alg)
  const bytes = algorithm === undefined ? undefined : signatureBytes(algorithm, key)
  if (algorithm === undefined || bytes === undefined) {
    const kind = key.key.asymmetricKeyDetails?.namedCurve ?? key.key.asymmetricKeyType ?? key.key.type
    throw new Refusal('CG_IDENTITY_ALGORITHM', {
      internal: `header \`alg\` is ${shown(jws.alg)}, key ${shown(key.kid)} is ${shown(kind)} for ${shown(key.alg ?? 'any algorithm')}`,
    })
  }
  if (jws.signature.length !== bytes) {
    throw new Refusal('CG_IDENTITY_SIGNATURE', {
      internal: `signature is ${jws.signature.length} bytes long (expected ${bytes} for ${shown(jws.alg)})`,
    })
  }
  if (!holds(algorithm, jws, key.key)) {
    throw new Refusal('CG_IDENTITY_SIGNATURE', {
      internal: `signature does not verify with key ${shown(key.kid)}`,
    })
  }
}

/**
 * Verifies a compact JWS with the candidate that its `kid` names, or without one with the only candidate. Pure.
 * @returns the payload
 * @throws Refusal with the reason
 */
export function verifyJws(token: string, candidates: readonly VerificationKey[]): Uint8Array {
  const jws = parseJws(token)
  const [only, ...others] = candidates
  const named = candidates.find((candidate) => candidate.kid === jws.kid)
  const key = jws.kid === undefined && others.length === 0 ? only : named
  if (key === undefined) {
    throw new Refusal('CG_IDENTITY_KEY_UNKNOWN', {
      internal: `none of ${candidates.length} keys has the kid ${shown(jws.kid ?? '')}`,
    })
  }
  checkSignature(jws, key)
  return jws.payload
}

/**
 * Parses one part of a token, proven unambiguous first: with a member twice, two parsers would read two tokens.
 * @throws Refusal CG_IDENTITY_MALFORMED
 */
export function parseJsonPart(bytes: Uint8Array, scan: ScanOptions, part: string): JsonObject {
  try {
    scanJson(bytes, scan)
  } catch (fault) {
    if (!(fault instanceof JsonFault)) throw fault
    throw malformed(`${part} is not one unambiguous JSON object (${fault.message})`)
  }
  const value: unknown = JSON.parse(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'),
  )
  if (!isJsonObject(value)) throw malformed(`${part} is not a JSON object`)
  return value
}

/** Strict base64url: what does not encode back to the same text (padding, spaces, `+/`, stray trailing bits) is refused. */
function decodePart(text: string, part: string): Buffer {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.toString('base64url') !== text) {
    throw malformed(`${part} is not canonical base64url without padding (RFC 7515 s2)`)
  }
  return bytes
}

/** Exact length of a signature of this algorithm by this key; undefined when the key does not fit the algorithm. */
function signatureBytes(algorithm: Algorithm, { key, alg }: VerificationKey): number | undefined {
  if (key.type !== 'public' || (alg !== undefined && !fits(alg, algorithm.family))) return undefined
  const details = key.asymmetricKeyDetails
  switch (algorithm.family) {
    case 'ES':
      return key.asymmetricKeyType === 'ec' && details?.namedCurve === algorithm.curve
        ? algorithm.bytes
        : undefined
    case 'Ed':
      return key.asymmetricKeyType === 'ed25519' ? algorithm.bytes : undefined
    case 'RS':
    case 'PS': {
      const bits = details?.modulusLength ?? 0
      return key.asymmetricKeyType === 'rsa' && bits >= MIN_RSA_BITS ? Math.ceil(bits / 8) : undefined
    }
  }
}

/**
 * Whether a key that its JWK gives to `alg` may check an algorithm of a family. Only the family is binding: the padding is
 * what an attacker could gain by (RS256 with a PS512 key), the curve fixes the rest of ES, and RFC 7520 s4.2 and s4.3
 * use a PS256 key for PS384 and name a P-521 key `ES521`.
 */
function fits(alg: string, family: Algorithm['family']): boolean {
  return family === 'Ed'
    ? alg === 'EdDSA' || alg === 'Ed25519'
    : alg.startsWith(family) && /^..\d{3}$/.test(alg)
}

function holds(algorithm: Algorithm, jws: Jws, key: KeyObject): boolean {
  const data = Buffer.from(jws.signed, 'latin1')
  switch (algorithm.family) {
    case 'ES':
      return verify(algorithm.hash, data, { key, dsaEncoding: 'ieee-p1363' }, jws.signature)
    case 'Ed':
      return verify(null, data, key, jws.signature)
    case 'RS':
      return verify(algorithm.hash, data, { key, padding: constants.RSA_PKCS1_PADDING }, jws.signature)
    case 'PS':
      // The salt is as long as the hash (RFC 7518 s3.5); OpenSSL's default would take any length.
      return verify(
        algorithm.hash,
        data,
        { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: algorithm.hashBytes },
        jws.signature,
      )
  }
}

function malformed(internal: string): Refusal {
  return new Refusal('CG_IDENTITY_MALFORMED', { internal })
}
