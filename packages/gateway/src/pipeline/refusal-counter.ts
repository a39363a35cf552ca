import type { ReasonCode } from '../call/reason-code.ts'
import { peerKey } from '../net/peer.ts'
import type { EvidenceLog } from '../ports/evidence-log.ts'

/** Distinct (peer, code) pairs counted within one second; what is beyond them is counted together. */
const MAX_PAIRS = 100

/**
 * Refusals of rows 0 and 1, counted by (peer, code, second) and recorded once a second.
 * Nobody waits for these records: an unauthenticated flood must neither fill the disk nor slow honest callers.
 */
export class RefusalCounter {
  readonly #log: EvidenceLog
  readonly #now: () => number
  readonly #newId: (now: number) => string
  #counts = new Map<string, { peer: string; code: ReasonCode; count: number }>()
  #timer: NodeJS.Timeout | undefined

  constructor(log: EvidenceLog, now: () => number, newId: (now: number) => string) {
    this.#log = log
    this.#now = now
    this.#newId = newId
  }

  count(address: string, code: ReasonCode): void {
    const peer = peerKey(address)
    const known = this.#counts.get(`${peer} ${code}`)
    const key = known !== undefined || this.#counts.size < MAX_PAIRS ? `${peer} ${code}` : `* ${code}`
    const entry = known ??
      this.#counts.get(key) ?? { peer: key.startsWith('* ') ? '*' : peer, code, count: 0 }
    entry.count++
    this.#counts.set(key, entry)
    this.#timer ??= setTimeout(() => void this.flush(), 1_000).unref()
  }

  /** Writes what was counted. A log that is down loses the counts of that second and nothing else. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const counts = [...this.#counts.values()]
    this.#counts = new Map()
    const now = this.#now()
    const second = Math.floor(now / 1_000)
    const appends = counts.map(({ peer, code, count }) =>
      this.#log.append({
        v: 1,
        kind: 'refusals',
        id: this.#newId(now),
        time: new Date(now).toISOString(),
        peer,
        code,
        second,
        count,
      }),
    )
    await Promise.allSettled(appends)
  }
}
