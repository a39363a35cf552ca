/** Programs that start at once: each has work to do before it can list its tools, and more of them only slow each other. */
const AT_ONCE = 16
/** A program that has not listed within this time waits rather than works, in milliseconds: the next one may start. */
const HOLD_MS = 2_000

/** Places for programs that start. A hundred at once would take the processor from each other, and the gate's too. */
export class Starts {
  readonly #waiting: (() => void)[] = []
  #free = AT_ONCE

  /** Waits for a place. @returns what gives it back; after HOLD_MS it goes back by itself */
  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    let held = true
    const giveBack = (): void => {
      if (!held) return
      held = false
      clearTimeout(timer)
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
    const timer = setTimeout(giveBack, HOLD_MS).unref()
    return giveBack
  }
}
