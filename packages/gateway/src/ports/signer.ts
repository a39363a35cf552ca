import type { KeyObject } from 'node:crypto'
import type { TokenAlgorithm } from './secrets.ts'

/** A private key of the gate that signs, wherever it is kept. Contract: what `sign` gives verifies by `publicKey`. */
export interface Signer {
  readonly alg: TokenAlgorithm
  readonly publicKey: KeyObject
  /** First 8 hex digits of SHA-256 over the public key: raw for Ed25519, else as SPKI. */
  readonly kid: string
  /**
   * @param bytes up to 1,024, by ES256 and in memory any number
   * @returns the signature as JWS has it (RFC 7518): ECDSA as r and s in a row
   * @throws SecretUnavailable when the place of the key does not sign; the next call may hold
   */
  sign(bytes: Uint8Array): Buffer | Promise<Buffer>
}

/** Algorithms of the keys that the gate signs its own word with. */
export type OwnAlgorithm = 'EdDSA' | 'ES256'

/** Where a key of the gate is kept. */
export interface OwnKeyPlace {
  readonly file: string
  /** Reference of a key in a token, which goes before the file. */
  readonly token: string | undefined
  /** By which the key in a token signs; one in a file signs by EdDSA. */
  readonly alg: OwnAlgorithm
}

/** A key in the memory of the gate: it signs at once, and always. */
export interface LocalSigner extends Signer {
  sign(bytes: Uint8Array): Buffer
}
