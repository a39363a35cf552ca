import { createBackoff, type Backoff } from '../upstream/backoff.ts'
import { NotObtained } from './fault.ts'

/** Waits between attempts that fail, in milliseconds. */
const MIN_WAIT_MS = 1_000
const MAX_WAIT_MS = 30_000
/** Longest that a Retry-After is heeded, in milliseconds: a typing error there must not lock a server out for a day. */
const MAX_RETRY_AFTER_MS = 300_000

/** A time in which something that failed is not tried again, twice as long after each failure. */
export class Pause {
  #backoff: Backoff | undefined
  #notBefore = 0
  #fault: NotObtained | undefined

  /** @throws NotObtained what failed, while the pause lasts */
  check(now: number): void {
    if (this.#fault === undefined || this.#backoff === undefined) return
    const waitMs = Math.max(this.#backoff.waitMs(now), this.#notBefore - now)
    if (waitMs <= 0) return
    const { affects, message, fault } = this.#fault
    const again = `${message}; tried again in ${Math.ceil(waitMs / 1_000)} s`
    throw new NotObtained(affects, again, { cause: this.#fault, fault })
  }

  /** Begins, or goes on twice as long, and at least as long as the other side asked for. */
  begin(now: number, fault: NotObtained): void {
    this.#backoff ??= createBackoff(MIN_WAIT_MS, MAX_WAIT_MS)
    this.#backoff.failed(now)
    this.#fault = fault
    this.#notBefore = now + Math.min(fault.retryAfterMs, MAX_RETRY_AFTER_MS)
  }

  /** It worked: the next failure begins anew. */
  end(): void {
    this.#backoff = undefined
    this.#fault = undefined
  }
}
