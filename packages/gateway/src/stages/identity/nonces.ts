import type { KeyRing } from '../../ports/key-ring.ts'

/** Makes nonces and knows its own. */
export interface Nonces {
  /** @param now milliseconds since the epoch */
  issue(now: number): string
  isFresh(nonce: string, now: number): boolean
}

/** How long a nonce is taken, in milliseconds. Source: RFC 9449 section 11.2 (short, and renewed by the server). */
export const NONCE_MS = 300_000

/** Nonces that hold the time they were made at, sealed: nothing is kept for them, and any node knows those of another. */
export function createNonces(keyRing: KeyRing): Nonces {
  return {
    issue(now) {
      return keyRing.seal('dpop-nonce', Buffer.from(String(now)), '')
    },
    isFresh(nonce, now) {
      const madeAt = Number(keyRing.open('dpop-nonce', nonce, '')?.toString() ?? NaN)
      // Clocks of two nodes may differ by as much as those of issuer and gate.
      return Math.abs(now - madeAt) < NONCE_MS
    },
  }
}
