import type { GrowingCall, Principal } from '../call/call.ts'
import { PassingMap } from '../call/passing-map.ts'
import { Refusal } from '../call/refusal.ts'

/** Milliseconds between looks at the deadlines: one timer for all calls, because a timer a call costs more than the check. */
const SWEEP_MS = 100

/** A call that has begun and not ended. */
export interface Entry {
  call: GrowingCall
  readonly controller: AbortController
  /** Monotonic milliseconds. */
  readonly begunAt: number
  deadlineAt: number
  /** Questions that the call waits for; its time stands still meanwhile. */
  waits: number
  /** Milliseconds that were left of its time when the first of them began. */
  leftMs: number
}

/** Work in flight: who can be cancelled, and which call is past its time. */
export class InFlight {
  readonly #entries = new PassingMap<string, Entry>()
  readonly #clock: () => number
  #timer: NodeJS.Timeout | undefined

  /** @param clock milliseconds that only grow: a clock that is set must neither end calls nor keep them */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock
  }

  get size(): number {
    return this.#entries.size
  }

  /** @param lifeMs longest life of the call, in milliseconds from now */
  begin(call: GrowingCall, lifeMs: number): Entry {
    const begunAt = this.#clock()
    const deadlineAt = begunAt + lifeMs
    const entry = { call, controller: new AbortController(), begunAt, deadlineAt, waits: 0, leftMs: 0 }
    this.#entries.set(call.id, entry)
    this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS).unref()
    return entry
  }

  end(entry: Entry): void {
    this.#entries.delete(entry.call.id)
    if (this.#entries.size === 0 && this.#timer !== undefined) {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  /**
   * Cancels the one call of a session that the host named by its JSON-RPC id.
   * Two calls of one session may carry the same id over two connections: then neither is cancelled, because a wrong
   * cancel is worse than a late one.
   */
  cancel(session: string, requestId: string | number): boolean {
    const found = [...this.#entries.values()].filter(
      (entry) => entry.call.session?.id === session && entry.call.requestId === requestId,
    )
    const [entry] = found
    if (entry === undefined || found.length > 1) return false
    entry.controller.abort(new Refusal('CG_CALL_CANCELLED', { internal: 'the host cancelled' }))
    return true
  }

  /**
   * Lets a call wait for its host instead of its server: what is left of its time is kept for later. Waits may overlap, as
   * a server may ask two things at once; its time goes on when the last of them has ended.
   * @param waitMs longest wait, in milliseconds from now
   * @returns ends the wait; to be called once
   */
  wait(id: string, waitMs: number): () => void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return () => undefined
    const begunAt = this.#clock()
    if (entry.waits++ === 0) entry.leftMs = entry.deadlineAt - begunAt
    entry.deadlineAt = begunAt + waitMs
    return () => {
      if (--entry.waits === 0) entry.deadlineAt = this.#clock() + entry.leftMs
    }
  }

  /** Ends one call by its call id; false when it is not in flight. */
  abort(id: string, reason: Refusal): boolean {
    const entry = this.#entries.get(id)
    entry?.controller.abort(reason)
    return entry !== undefined
  }

  /** Aborts the calls of whom `fits` names. */
  abortOf(fits: (principal: Principal) => boolean, reason: Refusal): void {
    for (const { call, controller } of this.#entries.values())
      if (call.principal !== undefined && fits(call.principal)) controller.abort(reason)
  }

  /** Aborts every call, for the shutdown. */
  abortAll(reason: Refusal): void {
    for (const entry of this.#entries.values()) entry.controller.abort(reason)
  }

  #sweep(): void {
    const now = this.#clock()
    for (const entry of this.#entries.values()) {
      if (entry.deadlineAt > now || entry.controller.signal.aborted) continue
      entry.controller.abort(new Refusal('CG_CALL_DEADLINE', { internal: 'the deadline of the call passed' }))
    }
  }
}
