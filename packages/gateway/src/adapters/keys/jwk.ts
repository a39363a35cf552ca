import { createPublicKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { JsonObject } from '../../call/json.ts'
import { isJsonObject, member, stringMember } from '../../call/json.ts'
import type { VerificationKey } from '../../ports/key-source.ts'
import { hasRocaFingerprint } from './roca.ts'

/** Largest JWKS document that is read, in bytes. */
export const MAX_JWKS_BYTES = 262_144

/** Most keys in one set. */
const MAX_KEYS = 100
/** RSA moduli in bits: shorter ones are broken, longer ones make one check an attack on the processor. */
const MIN_RSA_BITS = 2_048
const MAX_RSA_BITS = 8_192
/** Members that hold private material (RFC 7518 s6.2.2, s6.3.2, s6.4; RFC 8037 s2). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'] as const
const CURVES = ['P-256', 'P-384', 'P-521']

/** The usable keys of a set by kid, and why the others were left out. */
export interface ImportedKeys {
  readonly keys: ReadonlyMap<string, ImportedKey>
  /** One sentence for each key that was left out. */
  readonly skipped: readonly string[]
}

/** A key with the text that tells whether it is still the same after a refresh. */
export interface ImportedKey extends VerificationKey {
  readonly fingerprint: string
}

/**
 * Imports an issuer's JWKS (RFC 7517). Keys for other purposes and of unknown types are skipped, as RFC 7517 s5 asks.
 * A set that shows private or symmetric material, or one kid twice, is refused whole: whoever wrote it mixed up what is
 * public, and no key of it is worth trust (Wycheproof MixedKeySet).
 * @throws Error that says what to change
 */
export function importJwks(text: string): ImportedKeys {
  if (Buffer.byteLength(text) > MAX_JWKS_BYTES) throw new Error(`JWKS is longer than ${MAX_JWKS_BYTES} bytes`)
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    // The parser's own message quotes the document.
    throw new Error('JWKS is not JSON')
  }
  const list = isJsonObject(document) ? member(document, 'keys') : undefined
  if (!Array.isArray(list)) throw new Error('JWKS has no array `keys` (RFC 7517 s5)')
  if (list.length > MAX_KEYS) throw new Error(`JWKS has ${list.length} keys, at most ${MAX_KEYS} are read`)
  const entries: readonly unknown[] = list
  const keys = new Map<string, ImportedKey>()
  const skipped: string[] = []
  for (const [index, jwk] of entries.entries()) {
    if (!isJsonObject(jwk)) throw new Error(`JWKS key ${index} is not an object`)
    const kid = stringMember(jwk, 'kid')
    const name = `key ${index}${kid === undefined ? '' : ` \`${kid}\``}`
    if (stringMember(jwk, 'kty') === 'oct' || PRIVATE_MEMBERS.some((part) => Object.hasOwn(jwk, part))) {
      throw new Error(`JWKS ${name} holds secret material; publish public keys only and replace this one`)
    }
    if (kid !== undefined && keys.has(kid))
      throw new Error(`JWKS has the kid \`${kid}\` twice; a kid names one key`)
    const reason = kid === undefined || kid === '' ? 'it has no kid' : whyUnfit(jwk)
    const key = reason === undefined && kid !== undefined ? importKey(jwk, kid) : (reason ?? '')
    if (typeof key === 'string') skipped.push(`${name} is not used: ${key}`)
    else keys.set(key.kid, key)
  }
  return { keys, skipped }
}

/** Why a JWK is not a signature key that the gate takes, by its own words. */
function whyUnfit(jwk: JsonObject): string | undefined {
  const use = member(jwk, 'use')
  if (use !== undefined && use !== 'sig') return 'its use is not `sig`'
  const operations = member(jwk, 'key_ops')
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) {
    return 'its key_ops lack `verify`'
  }
  const alg = member(jwk, 'alg')
  const kty = stringMember(jwk, 'kty')
  const crv = stringMember(jwk, 'crv')
  if (kty === 'EC') {
    if (crv === undefined || !CURVES.includes(crv)) return `its curve is not one of ${CURVES.join(' ')}`
    // RFC 7520 s3.1 calls the algorithm of P-521 `ES521`; the curve decides anyway.
    return alg === undefined || (typeof alg === 'string' && /^ES\d{3}$/.test(alg))
      ? undefined
      : 'its alg is not for EC signatures'
  }
  if (kty === 'OKP') {
    if (crv !== 'Ed25519') return 'its curve is not Ed25519'
    return alg === undefined || alg === 'EdDSA' || alg === 'Ed25519'
      ? undefined
      : 'its alg is not for Ed25519'
  }
  if (kty === 'RSA') {
    return alg === undefined || (typeof alg === 'string' && /^[RP]S(256|384|512)$/.test(alg))
      ? undefined
      : 'its alg is not for RSA signatures'
  }
  return 'its kty is not one of EC OKP RSA'
}

/** @returns the key, or why it cannot be used */
function importKey(jwk: JsonObject, kid: string): ImportedKey | string {
  const material: Record<string, string> = {}
  for (const name of ['kty', 'crv', 'x', 'y', 'n', 'e']) {
    const value = stringMember(jwk, name)
    if (value !== undefined) material[name] = value
  }
  let key: KeyObject
  try {
    // OpenSSL refuses a point that is not on its curve here.
    key = createPublicKey({ key: material, format: 'jwk' })
  } catch {
    return 'its parameters are not a public key'
  }
  if (key.asymmetricKeyType === 'rsa') {
    const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
    if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS) {
      return `its modulus has ${modulusLength} bits (expected ${MIN_RSA_BITS} to ${MAX_RSA_BITS})`
    }
    // FIPS 186-5 s5.4: small exponents make forgeries out of every sloppy padding check.
    if (publicExponent < 65_537n || publicExponent % 2n === 0n) return 'its exponent is below 65537 or even'
    if (hasRocaFingerprint(Buffer.from(material['n'] ?? '', 'base64url'))) {
      return 'its modulus was made by a broken generator and can be factored (ROCA, CVE-2017-15361)'
    }
  }
  const alg = stringMember(jwk, 'alg')
  return { kid, alg, key, fingerprint: JSON.stringify([alg ?? null, material]) }
}
