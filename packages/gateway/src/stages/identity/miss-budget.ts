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

/** An IPv6 peer counts by its /64: one customer holds 2^64 addresses. An IPv4 one as it is, mapped or not. */
function peerKey(peer: string): string {
  if (!peer.includes(':')) return peer
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(peer)
  if (mapped?.[1] !== undefined) return mapped[1]
  const [head = '', tail] = peer.toLowerCase().split('%', 1)[0]?.split('::', 2) ?? []
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const rest = tail === '' ? 0 : tail.split(':').length
    for (let missing = 8 - groups.length - rest; missing > 0 && groups.length < 4; missing--) groups.push('0')
  }
  // A proxy may write leading zeros; the socket never does.
  const prefix = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${prefix.join(':')}::/64`
}
