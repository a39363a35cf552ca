import { encodeSseEvent } from '../mcp/sse.ts'
import { hygieneOf } from './headers.ts'
import { type Exchange, send } from './http-listener.ts'
import { acceptsEvents } from './request-headers.ts'

const JSON_TYPE = ['Content-Type', 'application/json']
const EVENTS = ['Content-Type', 'text/event-stream', 'X-Accel-Buffering', 'no']
const NOTHING = Buffer.alloc(0)
/** Bytes that may wait for a slow reader before notifications are dropped (SECURITY.md 1.2). */
const MAX_WAITING = 256 * 1024

/** The way back to the host for one message of it. */
export interface Channel {
  /** Whether messages may go before the answer. */
  readonly streams: boolean
  /** Place in a batch, whose messages share one HTTP answer; undefined: the message is alone. */
  readonly place: 'first' | 'later' | undefined
  /** Sends the answer, a JSON-RPC message; a status counts only while nothing was sent. */
  reply(status: number, body: Buffer, headers?: readonly string[]): void
  /** Says that nothing is to be answered. */
  accept(): void
  /** Refuses in HTTP's own words. */
  refuse(status: number, headers: readonly string[], problem: Buffer): void
  /**
   * Sends a message before the answer. A notification is dropped when its reader is slow; what is `due` is sent all the same.
   * @returns whether it was sent
   */
  push(message: Buffer, due?: boolean): boolean
  /** Sends a line that says nothing, so that nobody on the way takes an open stream for dead. */
  keepAlive(): void
  /** Calls back once when the host ends it before the answer; soon when it has done so already. */
  onGone(listener: () => void): void
}

/** The answer to one POST: JSON, or a stream of events once something must go before the answer. */
export class HttpChannel implements Channel {
  readonly place = undefined
  readonly #exchange: Exchange

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  get streams(): boolean {
    const { response } = this.#exchange
    return !response.destroyed && !response.writableEnded && acceptsEvents(this.#exchange)
  }

  reply(status: number, body: Buffer, headers: readonly string[] = []): void {
    const { response } = this.#exchange
    if (!response.headersSent)
      send(this.#exchange, status, headers.length === 0 ? JSON_TYPE : [...JSON_TYPE, ...headers], body)
    else if (!response.destroyed && !response.writableEnded) response.end(encodeSseEvent(body))
  }

  accept(): void {
    send(this.#exchange, 202, [], NOTHING)
  }

  refuse(status: number, headers: readonly string[], problem: Buffer): void {
    if (!this.#exchange.response.headersSent) send(this.#exchange, status, headers, problem)
    else this.#exchange.response.destroy()
  }

  push(message: Buffer, due = false): boolean {
    if (!this.streams) return false
    const { response } = this.#exchange
    if (!due && response.writableLength > MAX_WAITING) return false
    this.open()
    response.write(encodeSseEvent(message))
    return true
  }

  /** Begins the stream, so that a host which waits for its head goes on. */
  open(): void {
    const { response } = this.#exchange
    if (!response.headersSent)
      response.writeHead(200, hygieneOf(this.#exchange.request.socket).concat(EVENTS)).flushHeaders()
  }

  keepAlive(): void {
    const { response } = this.#exchange
    if (this.streams && response.headersSent && response.writableLength <= MAX_WAITING)
      response.write(':\n\n')
  }

  /** Ends a stream that is owed no answer. */
  end(): void {
    const { response } = this.#exchange
    if (!response.destroyed) response.end()
  }

  onGone(listener: () => void): void {
    const { response } = this.#exchange
    const gone = (): void => {
      if (!response.writableEnded) listener()
    }
    // Who is gone before anybody asks is gone all the same: a token may have had to be checked first.
    if (response.closed) queueMicrotask(gone)
    else response.once('close', gone)
  }
}

/** Collects the answers to a batch (2025-03-26) and sends them as one. */
export class BatchChannels {
  readonly #whole: Channel
  readonly #count: number
  readonly #answers: string[] = []
  #open: number
  #refused = false

  constructor(whole: Channel, count: number) {
    this.#whole = whole
    this.#count = count
    this.#open = count
  }

  /** HTTP has refused the first message and with it all of them: none of the rest may run. */
  get refused(): boolean {
    return this.#refused
  }

  /** The way back for one message of the batch. */
  one(): Channel {
    return {
      streams: false,
      place: this.#open === this.#count ? 'first' : 'later',
      reply: (_, body) => this.#done(body),
      accept: () => this.#done(undefined),
      refuse: (status, headers, problem) => {
        this.#refused = true
        this.#whole.refuse(status, headers, problem)
      },
      push: () => false,
      keepAlive: () => undefined,
      onGone: (listener) => this.#whole.onGone(listener),
    }
  }

  #done(body: Buffer | undefined): void {
    if (body !== undefined) this.#answers.push(body.toString('utf8'))
    if (--this.#open > 0) return
    if (this.#answers.length === 0) this.#whole.accept()
    else this.#whole.reply(200, Buffer.from(`[${this.#answers.join(',')}]`))
  }
}
