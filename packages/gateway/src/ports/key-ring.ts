/**
 * What is sealed. Each purpose has a key of its own, so nothing sealed for one opens for another.
 * `session`: ids of legacy sessions. `request-state`: what a parked call leaves with a modern host.
 * `task`: ids of tasks, which open for at least 24 hours. `dpop-nonce`: what a DPoP proof must carry, for minutes.
 * `consent`: tokens that servers act by in a person's name, sealed anew with each new key.
 * `idempotency`: answers of calls that may be repeated, for at most 24 hours.
 * `approval`: calls that wait for approval, for at most two hours.
 * `approval-page`: sign-ins, sessions and clicks of approvers, in their browsers, for at most 15 minutes.
 */
export type SealPurpose =
  | 'session'
  | 'request-state'
  | 'task'
  | 'dpop-nonce'
  | 'consent'
  | 'idempotency'
  | 'approval'
  | 'approval-page'

/**
 * Longest life of anything sealed, in milliseconds: a key opens what it sealed this long after a newer one took its place.
 * 24 hours, the life of a legacy session id (ARCHITECTURE.md section 4).
 */
export const LONGEST_SEALED_MS = 24 * 3_600_000

/** Most bytes that are sealed at once; with it a sealed text stays under 64 KiB. */
export const MAX_SEALED_BYTES = 48_000

/**
 * Seals what the gate hands out and must recognise when it comes back.
 * Contract: authenticated encryption, so a holder can neither read nor change it; a sealed text is printable ASCII without
 * spaces, names its key (kid), and opens under the current key and the ones before it for LONGEST_SEALED_MS.
 * A seal proves who made a text, not that it is fresh or used once: expiry and owner belong into the plaintext or the aad.
 */
export interface KeyRing {
  /**
   * @param aad what the text is bound to; the same must be given to open it
   * @throws TypeError when the plaintext is longer than MAX_SEALED_BYTES
   */
  seal(purpose: SealPurpose, plaintext: Buffer, aad: string): string
  /** @returns undefined for anything that this ring did not seal for this purpose and aad, or whose key has ended */
  open(purpose: SealPurpose, sealed: string, aad: string): Buffer | undefined
}
