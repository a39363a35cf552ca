import { VERSION_HEADER } from '../../mcp/era.ts'
import type { SseEvent } from '../../mcp/sse.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { pause, SessionEnded, untilAborted, type ConnectContext, type Connection } from './connection.ts'
import { getHeaders, postHeaders, type HttpEndpoint } from './endpoint.ts'
import { Exchange, type StreamReader } from './exchange.ts'
import { initializeParams, readInitialize } from './handshake.ts'
import { Link } from './link.ts'
import { PipeConnection } from './pipe-connection.ts'
import type { Pipe, PipeEvents } from './pipe.ts'

/** How long a server of 2024-11-05 may take to name its endpoint, in milliseconds. */
const ENDPOINT_MS = 3_000
/** How long a server may take to accept one message, in milliseconds; the answer comes over the stream. */
const ACCEPT_MS = 30_000
/** Longest endpoint that a server may name, in UTF-16 units. */
const MAX_ENDPOINT = 8_192
/** Longest reply to a message that is read, in bytes. */
const MAX_REPLY_BYTES = 65_536

/**
 * Greets a server of 2024-11-05, which speaks by one stream and is spoken to at an address that it names first.
 * @returns undefined when there is no such server behind the URL
 * @throws UpstreamFailed
 */
export async function connectSse(
  endpoint: HttpEndpoint,
  context: ConnectContext,
  signal: AbortSignal,
): Promise<Connection | undefined> {
  const pipe = new SsePipe(endpoint, context)
  const link = new Link(context, (events) => pipe.start(events))
  try {
    if (!(await untilAborted(pipe.ready, signal, context.server))) {
      await link.close()
      return undefined
    }
    const answer = await link.greet('initialize', initializeParams(context), signal)
    const handshake = readInitialize(answer, context.server)
    pipe.version = handshake.protocolVersion
    await untilAborted(
      new Promise<void>((resolve) => link.notify('notifications/initialized', undefined, resolve)),
      signal,
      context.server,
    )
    return new PipeConnection(link, handshake, context)
  } catch (cause) {
    await link.close()
    throw cause
  }
}

/** HTTP+SSE: the server's messages are events of one GET, the gate's are POSTs of their own. */
class SsePipe implements Pipe, StreamReader {
  /** Whether the server named where it wants to be spoken to. @throws UpstreamFailed `protocol` for another origin */
  readonly ready: Promise<boolean>
  /** Protocol version, once agreed on. */
  version: string | undefined
  readonly #endpoint: HttpEndpoint
  readonly #context: ConnectContext
  readonly #named = Promise.withResolvers<boolean>()
  readonly #gone = new AbortController()
  #events: PipeEvents | undefined
  /** Where messages go; empty: not named yet. */
  #path = ''
  #unsentBytes = 0

  constructor(endpoint: HttpEndpoint, context: ConnectContext) {
    this.#endpoint = endpoint
    this.#context = context
    this.ready = this.#named.promise
  }

  /** @throws UpstreamFailed `busy` */
  start(events: PipeEvents): this {
    this.#events = events
    this.#endpoint.enterStream()
    void this.#read(events).finally(() => this.#endpoint.leaveStream())
    void pause(ENDPOINT_MS, this.#gone.signal).then(() => this.#named.resolve(false))
    return this
  }

  get unsentBytes(): number {
    return this.#unsentBytes
  }

  write(message: Buffer, onSent?: (failure?: UpstreamFailed) => void): void {
    this.#unsentBytes += message.length
    void this.#post(message).then((failure) => {
      this.#unsentBytes -= message.length
      onSent?.(failure)
      if (failure instanceof SessionEnded) this.#events?.onBroken(failure)
    })
  }

  close(): Promise<void> {
    this.kill()
    return Promise.resolve()
  }

  kill(): void {
    this.#gone.abort(new Error('the connection ends'))
  }

  onEvent({ event, data }: SseEvent): boolean {
    if (this.#path === '') {
      // Any other stream than one of 2024-11-05 begins otherwise.
      if (event !== 'endpoint') return true
      this.#path = this.#sameOrigin(data.toString())
      this.#named.resolve(true)
    } else if (event === 'message') this.#events?.onMessage(data)
    else this.#events?.onNoise(data.length)
    return false
  }

  /** The server may name a path, never another server: the configured URL is where calls and their arguments go. */
  #sameOrigin(text: string): string {
    const { server } = this.#context
    const { url } = this.#endpoint
    // It goes with every message of the gate.
    if (text.length > MAX_ENDPOINT)
      throw new UpstreamFailed(
        'protocol',
        `server \`${server}\` names an endpoint longer than ${MAX_ENDPOINT}`,
      )
    const named = URL.parse(text, url)
    if (named === null || named.origin !== url.origin || named.username !== '' || named.password !== '') {
      throw new UpstreamFailed('protocol', `server \`${server}\` names an endpoint at another origin`)
    }
    return named.pathname + named.search
  }

  async #read(events: PipeEvents): Promise<void> {
    const { server, limits } = this.#context
    try {
      await new Exchange(
        this.#endpoint.streams,
        server,
        {
          method: 'GET',
          path: this.#endpoint.path,
          headers: [...getHeaders({}), ...(await this.#context.credentials.headers(this.#gone.signal))],
          body: undefined,
          signal: this.#gone.signal,
          limits,
        },
        this,
      ).reply
      this.#named.resolve(false)
      events.onEnd(new UpstreamFailed('unavailable', `server \`${server}\` closed its stream`))
    } catch (cause) {
      const failure = cause instanceof UpstreamFailed ? cause : undefined
      if (failure?.fault === 'protocol' || failure?.fault === 'too_large') {
        this.#named.reject(failure)
        events.onBroken(failure)
      }
      this.#named.resolve(false)
      events.onEnd(new UpstreamFailed('unavailable', `stream of server \`${server}\` broke`, { cause }))
    }
  }

  async #post(body: Buffer): Promise<UpstreamFailed | undefined> {
    const { server } = this.#context
    const version = this.version === undefined ? {} : { [VERSION_HEADER]: this.version }
    const signal = AbortSignal.any([this.#gone.signal, AbortSignal.timeout(ACCEPT_MS)])
    try {
      const { status } = await new Exchange(
        this.#endpoint.pool,
        server,
        {
          method: 'POST',
          path: this.#path,
          headers: [...postHeaders(version), ...(await this.#context.credentials.headers(signal))],
          body,
          signal,
          limits: { ...this.#context.limits, maxBytes: MAX_REPLY_BYTES },
        },
        ACCEPTED,
      ).reply
      if (status < 400) return undefined
      if (status === 404) return new SessionEnded(server)
      const fault = status >= 500 ? 'unknown_fate' : 'protocol'
      return new UpstreamFailed(fault, `server \`${server}\` took a message with HTTP ${status}`)
    } catch (cause) {
      if (cause instanceof UpstreamFailed) return cause
      throw cause
    }
  }
}

/** Answers come over the stream, so nothing in the reply matters. */
const ACCEPTED: StreamReader = { onEvent: () => true }
