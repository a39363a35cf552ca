/** A change that the operator must know of, for the record and the terminal. */
export interface CatalogEvent {
  readonly event:
    'catalog.approved' | 'catalog.waiting' | 'catalog.withheld' | 'catalog.refused' | 'catalog.muted'
  readonly server: string
  readonly tool: string
  readonly digest: string
  readonly why: string
}

/** Changes of one server that are told at once, and per second in the long run: each is a record on the disk. */
const TOLD_AT_ONCE = 1_000
const TOLD_PER_S = 1
/** Things said that are remembered. */
const MAX_SAID = 50_000

/** Tells the changes of the catalogue, each once, and no server's more often than the disk should bear. */
export class CatalogEvents {
  readonly #now: () => number
  readonly #onEvent: (event: CatalogEvent) => void
  readonly #said = new Set<string>()
  readonly #allowance = new Map<string, { left: number; at: number }>()

  constructor(now: () => number, onEvent: (event: CatalogEvent) => void) {
    this.#now = now
    this.#onEvent = onEvent
  }

  /** Tells it in any case: a person made it happen. */
  tell(event: CatalogEvent): void {
    this.#onEvent(event)
  }

  /** Says each thing once a process, because every connection of every session lists again. */
  say(event: CatalogEvent): void {
    const key = JSON.stringify([event.event, event.server, event.tool, event.digest])
    if (this.#said.has(key)) return
    if (this.#said.size > MAX_SAID) this.#said.clear()
    this.#said.add(key)
    // What was approved is always told, and is bounded by the approving.
    if (event.event === 'catalog.approved' || event.event === 'catalog.muted' || this.#mayTell(event.server))
      this.#onEvent(event)
    else {
      const why = 'it changes its tools faster than the changes are told; see `callgate servers`'
      this.say({ event: 'catalog.muted', server: event.server, tool: '(all)', digest: '', why })
    }
  }

  /** A bucket a server: each change that is told is a record, and a server must not fill the disk with them. */
  #mayTell(server: string): boolean {
    const now = this.#now()
    const allowance = this.#allowance.get(server) ?? { left: TOLD_AT_ONCE, at: now }
    const since = Math.max(0, now - allowance.at) / 1_000
    const left = Math.min(TOLD_AT_ONCE, allowance.left + since * TOLD_PER_S)
    this.#allowance.set(server, { left: left < 1 ? left : left - 1, at: now })
    return left >= 1
  }
}
