import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher, Pool } from 'undici'
import { GrowingBytes } from '../../mcp/growing-bytes.ts'
import { SseDecoder, SseFault, type SseEvent } from '../../mcp/sse.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { abortedBy } from './connection.ts'
import { NoiseMeter } from './noise.ts'
import type { UpstreamLimits } from './options.ts'

/** How long a server may keep a stream open behind the answer that ends it, in milliseconds. */
const LINGER_MS = 250

/** One HTTP request to a server. */
export interface ExchangeRequest {
  readonly method: 'POST' | 'GET' | 'DELETE'
  readonly path: string
  /** Flat list of names and values. */
  readonly headers: string[]
  readonly body: Buffer | undefined
  readonly signal: AbortSignal
  /** How long the socket stays open after an abort, in milliseconds, so that a cancel can overtake it; default 0. */
  readonly closeAfterMs?: number | undefined
  /** `maxBytes` is the longest body, or event of a stream. */
  readonly limits: Pick<UpstreamLimits, 'maxBytes' | 'maxNoisePerSecond' | 'maxNoiseBytesPerSecond'>
}

/** Who reads the events of a stream. */
export interface StreamReader {
  /** Told that a stream has begun. */
  onStream?(): void
  /** Reads one event with data; true: this was the answer. What it throws ends the exchange. */
  onEvent(event: SseEvent): boolean
}

/** What came back. A `stream` body is already told by onEvent; `answered` says whether one of the events was the answer. */
export interface ExchangeReply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body:
    | { readonly kind: 'json' | 'other'; readonly bytes: Buffer }
    | { readonly kind: 'stream'; readonly answered: boolean }
}

/**
 * One request over the pool, sent as it is made: no redirect is followed, no compressed body read, nothing buffered past the cap;
 * an aborted signal settles at once and closes the socket, which tells a modern server to cancel.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  /**
   * @throws UpstreamFailed `unavailable` before the request was started, `unknown_fate` when the connection broke after,
   *   `timeout`, `cancelled`, `protocol`, `too_large`
   */
  readonly reply: Promise<ExchangeReply>
  readonly #server: string
  readonly #request: ExchangeRequest
  readonly #reader: StreamReader
  readonly #settle: PromiseWithResolvers<ExchangeReply>
  #controller: Dispatcher.DispatchController | undefined
  #settled = false
  #status = 0
  #headers: IncomingHttpHeaders = {}
  #kind: 'json' | 'stream' | 'other' | undefined
  #sse: SseDecoder | undefined
  #noise: NoiseMeter | undefined
  readonly #body = new GrowingBytes()
  #linger: NodeJS.Timeout | undefined

  constructor(pool: Pool, server: string, request: ExchangeRequest, reader: StreamReader) {
    this.#server = server
    this.#request = request
    this.#reader = reader
    this.#settle = Promise.withResolvers()
    this.reply = this.#settle.promise
    const { signal, method, path, headers, body } = request
    if (signal.aborted) {
      this.#fail(abortedBy(signal, server))
      return
    }
    signal.addEventListener('abort', this, { once: true })
    try {
      pool.dispatch({ method, path, headers, body: body ?? null }, this)
    } catch (cause) {
      this.#fail(
        new UpstreamFailed('unavailable', `request to server \`${server}\` could not be made`, { cause }),
      )
    }
  }

  /** Whether the reply is a stream. */
  get streaming(): boolean {
    return this.#sse !== undefined
  }

  /** Where a stream that broke can be taken up again; empty: nowhere. */
  get lastEventId(): string {
    return this.#sse?.lastEventId ?? ''
  }

  /** How long the server asks to wait before that, in milliseconds; undefined until it asks. */
  get retryMs(): number | undefined {
    return this.#sse?.retryMs
  }

  /** The signal was aborted. */
  handleEvent(): void {
    const { signal, closeAfterMs } = this.#request
    const failure = abortedBy(signal, this.#server)
    if (closeAfterMs === undefined) {
      this.#fail(failure)
      return
    }
    this.#finish()
    this.#settle.reject(failure)
    setTimeout(() => this.#controller?.abort(failure), closeAfterMs).unref()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // Cancelled while it waited for a socket: not a byte of it goes out.
    if (this.#settled) controller.abort(new Error('cancelled before it was sent'))
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (this.#settled) return
    if (status < 200) {
      this.#countNoise(1)
      return
    }
    const encoding = headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity') {
      this.#fail(this.#protocol('sent a compressed body, which it was not offered'))
    } else if (status >= 300 && status < 400) {
      this.#fail(this.#protocol(`answered with a redirect (${status}), which is never followed`))
    } else {
      this.#status = status
      this.#headers = headers
      this.#kind = kindOf(headers['content-type'])
      if (this.#kind !== 'stream') return
      this.#sse = new SseDecoder({ maxEventBytes: this.#request.limits.maxBytes })
      this.#reader.onStream?.()
    }
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#settled || this.#kind === undefined) return
    if (this.#sse === undefined) {
      const { maxBytes } = this.#request.limits
      if (this.#body.length + chunk.length > maxBytes) this.#fail(tooLarge(this.#server, maxBytes))
      else this.#body.append(chunk)
      return
    }
    try {
      if (!hear(this.#sse, chunk, this.#reader)) {
        this.#countNoise(this.#sse.takeIdleLines())
        return
      }
    } catch (cause) {
      this.#fail(streamFailure(cause, this.#server))
      return
    }
    this.#resolve({ kind: 'stream', answered: true })
    this.#linger = setTimeout(() => this.#controller?.abort(new Error('answered')), LINGER_MS)
    this.#linger.unref()
  }

  onResponseEnd(): void {
    clearTimeout(this.#linger)
    if (this.#settled || this.#kind === undefined) return
    this.#resolve(
      this.#kind === 'stream'
        ? { kind: this.#kind, answered: false }
        : { kind: this.#kind, bytes: this.#body.take() },
    )
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    clearTimeout(this.#linger)
    this.#fail(connectionFailure(error, this.#server, this.#controller !== undefined))
  }

  #resolve(body: ExchangeReply['body']): void {
    this.#finish()
    this.#settle.resolve({ status: this.#status, headers: this.#headers, body })
  }

  #fail(failure: UpstreamFailed): void {
    if (this.#settled) return
    this.#finish()
    this.#settle.reject(failure)
    this.#controller?.abort(failure)
  }

  #finish(): void {
    this.#settled = true
    this.#body.take()
    this.#request.signal.removeEventListener('abort', this)
  }

  /** What keeps the connection open and says nothing: keep-alives come some times a minute, never thousands a second. */
  #countNoise(messages: number): void {
    if (messages === 0) return
    this.#noise ??= new NoiseMeter(this.#server, this.#request.limits)
    try {
      this.#noise.count(0, messages)
    } catch (cause) {
      this.#fail(streamFailure(cause, this.#server))
    }
  }

  #protocol(what: string): UpstreamFailed {
    return new UpstreamFailed('protocol', `server \`${this.#server}\` ${what}`)
  }
}

/** Hands on the events of one chunk; true: the answer was among them. Those before a fault in the chunk still count. */
function hear(sse: SseDecoder, chunk: Buffer, reader: StreamReader): boolean {
  let events: readonly SseEvent[]
  let fault: SseFault | undefined
  try {
    events = sse.push(chunk)
  } catch (cause) {
    if (!(cause instanceof SseFault)) throw cause
    fault = cause
    events = cause.events
  }
  // Events without data only keep the stream open, or say where it can be taken up again.
  for (const event of events) if (event.data.length > 0 && reader.onEvent(event)) return true
  if (fault !== undefined) throw fault
  return false
}

function kindOf(contentType: string | string[] | undefined): 'json' | 'stream' | 'other' {
  if (contentType === 'application/json') return 'json'
  const [type = ''] = String(contentType ?? '').split(';')
  if (/^\s*application\/json\s*$/i.test(type)) return 'json'
  return /^\s*text\/event-stream\s*$/i.test(type) ? 'stream' : 'other'
}

function tooLarge(server: string, maxBytes: number): UpstreamFailed {
  return new UpstreamFailed('too_large', `answer of server \`${server}\` is longer than ${maxBytes} bytes`)
}

function streamFailure(cause: unknown, server: string): UpstreamFailed {
  if (cause instanceof UpstreamFailed) return cause
  if (cause instanceof SseFault) {
    const fault = cause.fault === 'bytes' ? 'too_large' : 'protocol'
    return new UpstreamFailed(fault, `stream of server \`${server}\` was refused: ${cause.message}`, {
      cause,
    })
  }
  return new UpstreamFailed('protocol', `stream of server \`${server}\` could not be handled`, { cause })
}

/** Codes of undici for an answer that is not HTTP, or whose headers are too long: the server is at fault, not the network. */
const MALFORMED = /^(HPE_|UND_ERR_HEADERS_OVERFLOW|UND_ERR_RES_CONTENT_LENGTH|UND_ERR_RESPONSE)/

function connectionFailure(cause: Error, server: string, started: boolean): UpstreamFailed {
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name
  if (!started)
    return new UpstreamFailed('unavailable', `server \`${server}\` cannot be reached (${code})`, { cause })
  if (MALFORMED.test(code)) {
    return new UpstreamFailed('protocol', `server \`${server}\` sent malformed HTTP (${code})`, { cause })
  }
  return new UpstreamFailed(
    'unknown_fate',
    `connection to server \`${server}\` broke before its answer (${code})`,
    { cause },
  )
}
