import type { LimitStore, Window } from '../../ports/limit-store.ts'

/** Bounds of the windows that are held. */
export interface LimitStoreOptions {
  /** Milliseconds that only grow: a clock that is set must end no window. */
  readonly clock: () => number
  /** Windows that are held at once. Default 100,000; while all of them are in use nothing is added to another one. */
  readonly maxWindows?: number
}

/** Parts that a window slides by. */
const SLOTS = 60
/** Windows that are looked at per call, so that clearing after a flood is spread over the calls that follow. */
const SWEEP = 2
/** Windows that are looked at when there is no room. */
const FULL_SWEEP = 64

/** What was added within one sixtieth of a window. */
interface Slot {
  readonly at: number
  sum: number
  /** Amounts without a bound. */
  unbounded: number
}

interface Held {
  readonly slotMs: number
  slots: Slot[]
}

/** Sliding windows of one node, in memory: a restart begins new ones. */
export function createLimitStore(options: LimitStoreOptions): LimitStore & { readonly size: number } {
  const { clock, maxWindows = 100_000 } = options
  const windows = new Map<string, Held>()

  /** Without the slots that are over as a whole. */
  function live(held: Held): Held {
    const oldest = Math.floor(clock() / held.slotMs) - SLOTS
    if ((held.slots[0]?.at ?? Infinity) < oldest) held.slots = held.slots.filter(({ at }) => at >= oldest)
    return held
  }

  /** Goes round the table, however long the windows are: what is over is forgotten, the others come again at the end. */
  function sweep(most: number): void {
    let seen = 0
    for (const [id, held] of windows) {
      if (seen++ >= most) return
      windows.delete(id)
      if (live(held).slots.length > 0) windows.set(id, held)
    }
  }

  function held({ key, ms }: Window): Held {
    const id = `${ms} ${key}`
    const known = windows.get(id) ?? { slotMs: ms / SLOTS, slots: [] }
    windows.set(id, known)
    return live(known)
  }

  return {
    get size() {
      return windows.size
    },
    total({ key, ms }) {
      const known = windows.get(`${ms} ${key}`)
      if (known === undefined) return 0
      let sum = 0
      for (const slot of live(known).slots) {
        if (slot.unbounded > 0) return Infinity
        sum += slot.sum
      }
      return sum
    },
    add(amounts) {
      sweep(windows.size < maxWindows ? SWEEP : FULL_SWEEP)
      const fresh = new Set(
        amounts.flatMap(({ key, ms }) => (windows.has(`${ms} ${key}`) ? [] : [`${ms} ${key}`])),
      )
      if (fresh.size > 0 && windows.size + fresh.size > maxWindows) return undefined
      const undo = amounts.map((window) => {
        const { slots, slotMs } = held(window)
        const at = Math.floor(clock() / slotMs)
        const last = slots.at(-1)
        const slot = last?.at === at ? last : { at, sum: 0, unbounded: 0 }
        if (slot !== last) slots.push(slot)
        const bounded = Number.isFinite(window.amount)
        if (bounded) slot.sum += window.amount
        else slot.unbounded++
        return () => {
          if (bounded) slot.sum -= window.amount
          else slot.unbounded--
        }
      })
      let taken = false
      return () => {
        if (taken) return
        taken = true
        for (const each of undo) each()
      }
    },
  }
}
