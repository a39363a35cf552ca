import { constants, randomUUID, sign, type KeyObject } from 'node:crypto'
import type { ClientKey, KeyAlgorithm } from './options.ts'

/** Life of whatever the gate asserts, in seconds: it is used at once. */
const LIFE_S = 60

/** Shortest RSA modulus, in bits. Source: NIST SP 800-131A. */
const MIN_RSA_BITS = 2_048

/** How one algorithm signs, and which keys are for it (RFC 7518 section 3, RFC 8037, RFC 9864). */
interface Algorithm {
  readonly hash: string | null
  readonly fits: (key: KeyObject) => boolean
  readonly padding?: number
}

const ALGORITHMS: Readonly<Record<KeyAlgorithm, Algorithm>> = {
  EdDSA: { hash: null, fits: isEd25519 },
  Ed25519: { hash: null, fits: isEd25519 },
  ES256: { hash: 'sha256', fits: (key) => key.asymmetricKeyDetails?.namedCurve === 'prime256v1' },
  ES384: { hash: 'sha384', fits: (key) => key.asymmetricKeyDetails?.namedCurve === 'secp384r1' },
  PS256: { hash: 'sha256', fits: isRsa, padding: constants.RSA_PKCS1_PSS_PADDING },
  RS256: { hash: 'sha256', fits: isRsa, padding: constants.RSA_PKCS1_PADDING },
}

/** Whether a private key can sign by an algorithm. */
export function canSign({ key, alg }: ClientKey): boolean {
  return key.type === 'private' && ALGORITHMS[alg].fits(key)
}

/**
 * Signs claims that hold for a minute and for one use.
 * @param typ says what it is for, so that none is taken for another (RFC 8725 section 3.11)
 * @throws TypeError for a key that is not one for the algorithm
 */
export function signJwt(signer: ClientKey, typ: string, claims: Readonly<Record<string, unknown>>): string {
  const { key, alg, kid } = signer
  if (!canSign(signer)) throw new TypeError(`the key is not one for \`${alg}\``)
  const { hash, padding } = ALGORITHMS[alg]
  const signed = unsignedJwt({ alg, kid }, typ, claims)
  const signature = sign(hash, Buffer.from(signed), {
    key,
    dsaEncoding: 'ieee-p1363',
    ...(padding === undefined ? {} : { padding }),
    ...(padding === constants.RSA_PKCS1_PSS_PADDING ? { saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : {}),
  })
  return compact(signed, signature)
}

/** A token of its signed part and the signature of it (RFC 7515 section 7.1). */
export function compact(signed: string, signature: Buffer): string {
  return `${signed}.${signature.toString('base64url')}`
}

/** The same without its signature, for keys that sign elsewhere. */
export function unsignedJwt(
  { alg, kid }: Pick<ClientKey, 'alg' | 'kid'>,
  typ: string,
  claims: Readonly<Record<string, unknown>>,
): string {
  const iat = Math.floor(Date.now() / 1_000)
  const payload = { ...claims, iat, exp: iat + LIFE_S, jti: randomUUID() }
  return `${encode({ alg, typ, ...(kid === undefined ? {} : { kid }) })}.${encode(payload)}`
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function isEd25519(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ed25519'
}

function isRsa(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS
}
