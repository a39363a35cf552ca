import { peerKey } from '../../net/peer.ts'

interface Bucket {
  tokens: number
  at: number
}

/** Bounds of a MissBudget. */
export interface MissBudgetOptions {
  /** Misses that a peer gets back per second. */
  readonly perSecond: number
  /** Misses that a peer may spend at once. */
  readonly burst: number
  /** Peers that are remembered; the one not seen for longest is forgotten first. */
  readonly maxPeers: number
}

/**
 * How many unverified tokens a peer may have looked at: each costs a signature check, about 100 times a cache hit, so a flood
 * of fresh bad tokens is an attack on the processor (OWASP API4:2023, goal G12 of PERFORMANCE.md). A token bucket per peer.
 */
export class MissBudget {
  readonly #buckets = new Map<string, Bucket>()
  readonly #options: MissBudgetOptions

  constructor(options: MissBudgetOptions) {
    this.#options = options
  }

  /**
   * Takes one miss from a peer's budget.
   * @param now milliseconds since the epoch
   * @returns 0, or the seconds (rounded up, >= 1) until the next miss is free
   */
  take(peer: string, now: number): number {
    const { perSecond, burst, maxPeers } = this.#options
    const key = peerKey(peer)
    const bucket = this.#buckets.get(key) ?? { tokens: burst, at: now }
    this.#buckets.delete(key)
    // A clock that went back gives nothing, and never takes what was there.
    bucket.tokens = Math.min(burst, bucket.tokens + (Math.max(0, now - bucket.at) / 1_000) * perSecond)
    bucket.at = now
    if (this.#buckets.size >= maxPeers) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest)
        break
      }
    }
    this.#buckets.set(key, bucket)
    if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / perSecond))
    bucket.tokens -= 1
    return 0
  }

  /** Gives a miss back: the token was good, and whoever holds good tokens is bounded by row 4, not here. */
  refund(peer: string): void {
    const bucket = this.#buckets.get(peerKey(peer))
    if (bucket !== undefined) bucket.tokens = Math.min(this.#options.burst, bucket.tokens + 1)
  }

  get peers(): number {
    return this.#buckets.size
  }
}
