import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

/** Lists of one server that may wait for their turn; what is beyond them is dropped, the next list tells the same. */
const MAX_WAITING = 8
/** A server that cost the gate this long rests nine times as long: it never has more than a tenth of the processor. */
const REST_PER_MS = 9
/** Work under this many milliseconds asks for no rest. */
const FREE_MS = 50
/** Longest stretch of work before other calls have the processor, in milliseconds. */
const SLICE_MS = 10

/** Work on behalf of servers: one piece a server at a time, and none while the server rests from the last one. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>()
  readonly #waiting = new Map<string, number>()

  /**
   * Runs a piece of work when its turn comes.
   * @param work resolves with the milliseconds that it kept the processor
   * @returns settles as the work does, before the rest; at once when too many of this server wait
   */
  async take(server: string, work: () => Promise<number>): Promise<void> {
    const waiting = this.#waiting.get(server) ?? 0
    if (waiting >= MAX_WAITING) return
    this.#waiting.set(server, waiting + 1)
    const before = this.#last.get(server) ?? Promise.resolve()
    const done = before
      .then(work)
      .finally(() => this.#waiting.set(server, (this.#waiting.get(server) ?? 1) - 1))
    const rested = done.then(
      (ms) => (ms < FREE_MS ? undefined : sleep(ms * REST_PER_MS, undefined, { ref: false })),
      () => undefined,
    )
    this.#last.set(server, rested)
    await done
  }
}

/** Long synchronous work in slices, so that a stranger's data cannot hold up the calls of others. */
export class Slices {
  #since = performance.now()
  #busyMs = 0

  /** Milliseconds of work so far. */
  get busyMs(): number {
    return this.#busyMs + performance.now() - this.#since
  }

  /** Lets others go first when the slice is used up. */
  async breathe(): Promise<void> {
    const ms = performance.now() - this.#since
    if (ms < SLICE_MS) return
    this.#busyMs += ms
    await nextTurn()
    this.#since = performance.now()
  }
}
