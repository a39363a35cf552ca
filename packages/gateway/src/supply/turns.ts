import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

/** Lists of one server that may wait for their turn; what is beyond them is dropped, the next list tells the same. */
const MAX_WAITING = 8
/** A server that cost the gate this long rests nine times as long: it never has more than a tenth of the processor. */
const REST_PER_MS = 9
/** Work under this many milliseconds asks for no rest. */
const FREE_MS = 50
/** How long shared work waits for pieces that have the seat, in milliseconds: what they bring goes into the same run. */
const GATHER_MS = 500
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

/**
 * The one seat for long synchronous work: pieces of it take it in turns, a slice each, and between two slices everything else
 * of the process goes first. A hundred pieces at once cost the calls of others no more than one.
 */
export class Seat {
  readonly #waiting: (() => void)[] = []
  #taken = false

  get taken(): boolean {
    return this.#taken
  }

  /** Waits for the seat, and in any case until everything else has had its turn: answers come in crowds. */
  async take(): Promise<void> {
    if (this.#taken) return new Promise((resolve) => this.#waiting.push(resolve))
    this.#taken = true
    await nextTurn()
  }

  leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#taken = false
    else setImmediate(next)
  }
}

/** One piece of long synchronous work in slices, so that a stranger's data cannot hold up the calls of others. */
export class Slices {
  readonly #seat: Seat
  #since = 0
  #busyMs = 0

  constructor(seat: Seat) {
    this.#seat = seat
  }

  /** Does the work in its turn. @returns as the work does, which calls `breathe` often */
  async run<T>(work: () => Promise<T>): Promise<T> {
    await this.#seat.take()
    this.#since = performance.now()
    try {
      return await work()
    } finally {
      this.#busyMs += performance.now() - this.#since
      this.#seat.leave()
    }
  }

  /** Milliseconds of work so far. */
  get busyMs(): number {
    return this.#busyMs
  }

  /** Lets others go first when the slice is used up. */
  async breathe(): Promise<void> {
    const ms = performance.now() - this.#since
    if (ms < SLICE_MS) return
    this.#busyMs += ms
    this.#seat.leave()
    await this.#seat.take()
    this.#since = performance.now()
  }
}

/** Work that serves all who ask for it before it begins, one run at a time: a hundred servers that list at once are a few. */
export class Shared {
  readonly #work: () => Promise<void>
  readonly #seat: Seat
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  /** @param seat whose pieces of work ask for runs */
  constructor(work: () => Promise<void>, seat: Seat) {
    this.#work = work
    this.#seat = seat
  }

  /** @returns settles as the next run does */
  next(): Promise<void> {
    this.#next ??= this.#run()
    return this.#next
  }

  async #run(): Promise<void> {
    await this.#running
    for (const since = performance.now(); this.#seat.taken && performance.now() - since < GATHER_MS;)
      await nextTurn()
    this.#next = undefined
    const work = this.#work()
    this.#running = work.catch(() => undefined)
    await work
  }
}
