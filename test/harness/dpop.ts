import { type KeyObject, generateKeyPairSync, hash, randomUUID, sign } from 'node:crypto'
import { type SignableMessage, signMessage } from '../../packages/gateway/src/net/message-signature.ts'

/** What a proof says; undefined takes a member out. */
export type ProofClaims = Readonly<Record<string, unknown>>

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A host's DPoP key (RFC 9449), and proofs made with it as the RFC wants them, or not quite. */
export class DpopKey {
  readonly jwk: Readonly<Record<string, unknown>>
  /** Thumbprint of the key (RFC 7638). */
  readonly jkt: string
  readonly #key: KeyObject

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { crv, kty, x, y } = publicKey.export({ format: 'jwk' })
    this.jwk = { crv, kty, x, y }
    this.jkt = hash('sha256', JSON.stringify(this.jwk), 'base64url')
    this.#key = privateKey
  }

  /** A proof for one request, right in every way unless changed. */
  proof(url: string, token: string, claims: ProofClaims = {}, header: ProofClaims = {}): string {
    const payload = {
      jti: randomUUID(),
      htm: 'POST',
      htu: url,
      iat: Math.floor(Date.now() / 1_000),
      ath: hash('sha256', token, 'base64url'),
      ...claims,
    }
    return this.jws({ typ: 'dpop+jwt', jwk: this.jwk, ...header }, payload)
  }

  /** Whatever this key is to sign, as a compact JWS. */
  jws(header: ProofClaims, payload: object): string {
    const signed = `${encode({ alg: 'ES256', ...header })}.${encode(payload)}`
    const signature = sign('sha256', Buffer.from(signed), { key: this.#key, dsaEncoding: 'ieee-p1363' })
    return `${signed}.${signature.toString('base64url')}`
  }

  /** Names and values in turn of a signature over a request (RFC 9421), to send beside its headers. */
  signature(message: SignableMessage, nowS = Date.now() / 1_000, nonce?: string): readonly string[] {
    return signMessage(message, this.#key, this.jkt, nowS, nonce)
  }

  /** Headers of one request with a token that is bound to this key. */
  headers(url: string, token: string, claims: ProofClaims = {}): Record<string, string> {
    return { authorization: `DPoP ${token}`, dpop: this.proof(url, token, claims) }
  }
}
