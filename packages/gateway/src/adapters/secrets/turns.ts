import { SecretUnavailable } from '../../ports/secrets.ts'

/** A few at once, the others in order. Who waits too long, or when the gate closes, is sent away. */
export class Turns {
  #free: number
  readonly #waiting = new Set<() => void>()

  /** @param most how many go at once */
  constructor(most: number) {
    this.#free = most
  }

  /** Does the work in its turn. @throws SecretUnavailable when its turn does not come in time */
  async take<T>(label: string, deadlineMs: number, closing: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await this.#turn(label, deadlineMs, closing)
    try {
      return await work()
    } finally {
      this.#next()
    }
  }

  #turn(label: string, deadlineMs: number, closing: AbortSignal): Promise<void> {
    return new Promise((go, fail) => {
      const begin = (): void => {
        leave()
        go()
      }
      const stop = (why: string) => (): void => {
        leave()
        fail(new SecretUnavailable('down', `\`${label}\` ${why}`))
      }
      const onAbort = stop('was stopped, the gate closes')
      const timer = setTimeout(stop(`was busy for ${deadlineMs} ms`), deadlineMs)
      const leave = (): void => {
        clearTimeout(timer)
        closing.removeEventListener('abort', onAbort)
        this.#waiting.delete(begin)
      }
      closing.addEventListener('abort', onAbort)
      this.#waiting.add(begin)
    })
  }

  #next(): void {
    const [begin] = this.#waiting
    // The turn goes on to who waits longest, so nobody who comes now passes him.
    if (begin === undefined) this.#free++
    else begin()
  }
}
