/** Waits between starts of something that fails, doubling with jitter. */
export interface Backoff {
  /** Milliseconds until the next start may be tried; 0: now. */
  waitMs(now: number): number
  /** A start, or what was started, failed. */
  failed(now: number): void
  /** It lived long enough to be trusted again. */
  recovered(): void
}

/** @param random 0..1; the wait is between half of its step and the whole, so that many gates do not start in step */
export function createBackoff(minMs: number, maxMs: number, random: () => number = Math.random): Backoff {
  let failures = 0
  let notBefore = -Infinity
  return {
    waitMs: (now) => Math.max(0, notBefore - now),
    failed(now) {
      const step = Math.min(maxMs, minMs * 2 ** Math.min(failures, 30))
      failures++
      notBefore = now + step * (0.5 + random() / 2)
    },
    recovered() {
      failures = 0
      notBefore = -Infinity
    },
  }
}
