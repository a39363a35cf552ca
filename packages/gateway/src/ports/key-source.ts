import type { KeyObject } from 'node:crypto'

/** One public key of an issuer and the algorithm that it may be used with. */
export interface VerificationKey {
  readonly kid: string
  /** From the JWK's `alg`, undefined when the JWK names none. */
  readonly alg: string | undefined
  readonly key: KeyObject
}

/** Public keys of issuers. Contract: single flight per issuer; cached keys live at most one hour without a refresh. */
export interface KeySource {
  /**
   * @returns undefined when the issuer has no such key
   * @throws Error when the keys cannot be had and nothing fresh enough is cached
   */
  key(issuer: string, kid: string): Promise<VerificationKey | undefined> | VerificationKey | undefined
  /** Changes whenever a key of the issuer was removed or replaced: verified-token caches die with it. */
  generation(issuer: string): number
}
