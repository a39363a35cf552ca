import type { Pool } from 'undici'
import { Exchange, type ExchangeRequest, type StreamReader } from './exchange.ts'
import type { UpstreamLimits } from './options.ts'

/** Side messages in flight to one server. */
export const MAX_ASIDES = 16
/** Those that wait behind them; more are dropped, so that a server that asks in a loop costs nothing. */
const MAX_WAITING = 1_024
/** How long one may take, its wait included, in milliseconds: a server that hangs must not hold up the end of the gate. */
const ASIDE_MS = 2_000
/** Longest reply that is read, in bytes. */
const MAX_REPLY_BYTES = 65_536

/** What is sent to a server beside its calls. */
export type Aside = Pick<ExchangeRequest, 'method' | 'path' | 'headers' | 'body'>

/** Nothing that comes back matters. */
const UNREAD: StreamReader = { onEvent: () => true }

/** Sends what needs no answer to one server: cancels, answers to its requests, the end of a session. */
export class Asides {
  readonly #pool: Pool
  readonly #server: string
  readonly #limits: ExchangeRequest['limits']
  readonly #waiting: (() => void)[] = []
  #inFlight = 0

  constructor(pool: Pool, server: string, limits: UpstreamLimits) {
    this.#pool = pool
    this.#server = server
    this.#limits = { ...limits, maxBytes: MAX_REPLY_BYTES }
  }

  /** Resolves once the server took it, or did not: a failure changes nothing, the session's next request will tell. */
  async send(aside: Aside): Promise<void> {
    const signal = AbortSignal.timeout(ASIDE_MS)
    if (this.#inFlight >= MAX_ASIDES) {
      if (this.#waiting.length >= MAX_WAITING) return
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    this.#inFlight++
    try {
      await new Exchange(this.#pool, this.#server, { ...aside, signal, limits: this.#limits }, UNREAD).reply
    } catch {
      // Told above: best effort by design.
    } finally {
      this.#inFlight--
      this.#waiting.shift()?.()
    }
  }
}
