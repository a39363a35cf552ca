import type { KeyObject } from 'node:crypto'
import type { Pkcs11Reference, SecretReference } from './secret-reference.ts'

/** Secrets that the configuration names but does not hold. Contract: single flight per reference; values are cached. */
export interface Secrets {
  /**
   * @param fresh what was read last did not work: a kept value counts only for some seconds. Default false
   * @throws SecretUnavailable when the source has no usable value now and none young enough is kept
   */
  read(reference: SecretReference, fresh?: boolean): Promise<Secret>
  /**
   * Signs by a private key that stays in its token.
   * @returns the signature as JWS has it (RFC 7518): ECDSA as r and s in a row
   * @throws SecretUnavailable when the token does not sign, or has no key of this name that can
   */
  sign(reference: Pkcs11Reference, algorithm: TokenAlgorithm, bytes: Uint8Array): Promise<Buffer>
  /** The public half of such a key, as its token has it. @throws SecretUnavailable when it has none of this id */
  publicKey(reference: Pkcs11Reference, algorithm: TokenAlgorithm): Promise<KeyObject>
}

/** Algorithms by which tokens sign. */
export type TokenAlgorithm = 'ES256' | 'ES384' | 'PS256' | 'RS256' | 'EdDSA' | 'Ed25519'

/** How `util.inspect`, and so console.log and every assertion message, asks an object for its text. */
const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom')

/** A secret value that prints itself nowhere: only `reveal` gives it away, and that word can be searched for. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The value. Call it where the value leaves for its use, and keep the result in no object. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [INSPECT](): string {
    return '[secret]'
  }
}

/**
 * A secret that cannot be had. `down`: the source gave no answer that counts, the last good value may serve on.
 * `refused`: it answered that there is no such secret, or not for us, and a kept value must not outlive that.
 * INVARIANT: neither the message nor a cause holds bytes of an answer. Parsers, HTTP clients and child processes put
 * them into their errors, so no such error becomes a cause.
 */
export class SecretUnavailable extends Error {
  override readonly name = 'SecretUnavailable'
  readonly kind: 'down' | 'refused'
  /** Milliseconds for which the source wants no further question; undefined when it said nothing. */
  readonly retryAfterMs: number | undefined

  constructor(kind: 'down' | 'refused', message: string, retryAfterMs?: number) {
    super(message)
    this.kind = kind
    this.retryAfterMs = retryAfterMs
  }
}
