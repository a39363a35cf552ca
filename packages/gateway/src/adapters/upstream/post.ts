import type { Pool } from 'undici'
import type { Answer, Era } from '../../call/call.ts'
import { Cohort } from '../../call/cohort.ts'
import type { JsonObject } from '../../call/json.ts'
import { PROGRESS_TOKEN, withoutReservedMeta } from '../../mcp/era.ts'
import type { Message, RpcId } from '../../mcp/jsonrpc.ts'
import type { SseEvent } from '../../mcp/sse.ts'
import { CredentialsRefused } from '../../ports/credentials.ts'
import { UpstreamFailed, type HostReach } from '../../ports/upstream.ts'
import { isBatch, splitBatch } from './batch.ts'
import { readMessage, toAnswer, type ConnectContext } from './connection.ts'
import type { HttpEndpoint } from './endpoint.ts'
import { Exchange, type ExchangeReply, type StreamReader } from './exchange.ts'
import type { Inbound, OpenCall } from './inbound.ts'
import { NoiseMeter } from './noise.ts'
import { resume } from './resume.ts'

/** Header that names a legacy session (specification 2025-11-25, transports). */
export const SESSION_HEADER = 'mcp-session-id'

/** Requests go out together, and what came back goes on together. */
const leaving = new Cohort()
const arriving = new Cohort()

type Response = Message & { readonly kind: 'response' }

/** How one POST is sent. */
export interface PostOptions {
  /** Default: that of calls. */
  readonly pool?: Pool
  /** How long the socket stays open after an abort; default 0. */
  readonly closeAfterMs?: number
  /** Headers of the GET that takes a broken stream up again (2025-03-26 to 2025-11-25); undefined: the request is then lost. */
  readonly resumeWith?: Readonly<Record<string, string>> | undefined
  /** Told the id of a request whose signal was aborted, before its socket is closed. */
  readonly onCancel?: (id: number) => void
}

/** Own counter for all HTTP exchanges: each answer is tied to its request by the exchange and by this id. */
let lastId = 0

/** One JSON-RPC request over one POST. */
export class Post implements OpenCall, StreamReader {
  readonly id: number = ++lastId
  readonly method: string
  readonly host: HostReach | undefined
  questions: Map<RpcId, AbortController> | undefined
  /** Status of the reply, 0 before. */
  status = 0
  sessionId: string | undefined
  readonly #endpoint: HttpEndpoint
  readonly #context: ConnectContext
  readonly #inbound: Inbound
  #response: Response | undefined
  #noise: NoiseMeter | undefined
  /** The server has said something on the stream of the request. */
  #heard = false
  #onCancel: ((id: number) => void) | undefined

  /** The server has run the request, whatever the status says. */
  get hasResult(): boolean {
    return this.#response?.outcome === 'result'
  }

  constructor(
    endpoint: HttpEndpoint,
    context: ConnectContext,
    inbound: Inbound,
    method: string,
    host?: HostReach | undefined,
  ) {
    this.#endpoint = endpoint
    this.#context = context
    this.#inbound = inbound
    this.method = method
    this.host = host
  }

  /**
   * Sends the request and waits for its answer; who calls it counts it in and out of the endpoint.
   * @throws UpstreamFailed; status tells a lost session (404) apart
   */
  async send(
    body: Buffer,
    headers: string[],
    signal: AbortSignal,
    options: PostOptions = {},
  ): Promise<Answer> {
    const { clock, credentials } = this.#context
    const startedAt = clock()
    this.#onCancel = options.onCancel
    if (this.#onCancel !== undefined) signal.addEventListener('abort', this, { once: true })
    this.#inbound.started(this)
    try {
      for (let again = false; this.#response === undefined; again = true) {
        const found = credentials.headers(signal)
        const own = found instanceof Promise ? await found : found
        try {
          await this.#exchange(body, own.length === 0 ? headers : [...headers, ...own], signal, options)
          if (own.length > 0 && this.status < 400) credentials.accepted(own)
        } catch (cause) {
          // Nothing ran behind a 401 that says nothing: credentials that ended before their time are replaced, once.
          const refused = this.status === 401 && own.length > 0 && !this.#heard
          if (!refused || again || !credentials.refused(own)) throw cause
        }
      }
      return toAnswer(this.#response, clock() - startedAt)
    } finally {
      this.#inbound.ended(this)
      if (this.#onCancel !== undefined) signal.removeEventListener('abort', this)
    }
  }

  /** Sends it once, and reads to the answer; a stream that breaks before it is taken up again where the server has that. */
  async #exchange(
    body: Buffer,
    headers: string[],
    signal: AbortSignal,
    { pool, closeAfterMs, resumeWith }: PostOptions,
  ): Promise<void> {
    const { server, limits } = this.#context
    const endpoint = this.#endpoint
    await leaving.turn()
    const exchange = new Exchange(
      pool ?? endpoint.pool,
      server,
      { method: 'POST', path: endpoint.path, headers, body, signal, closeAfterMs, limits },
      this,
    )
    try {
      const reply = await exchange.reply
      await arriving.turn()
      this.#take(reply)
    } catch (cause) {
      const lost = cause instanceof UpstreamFailed && cause.fault === 'unknown_fate'
      if (!lost || resumeWith === undefined || exchange.lastEventId === '') throw cause
      await resume(endpoint, this.#context, exchange, this, resumeWith, signal)
      if (this.#response === undefined) throw cause
    }
  }

  /** The signal was aborted. */
  handleEvent(): void {
    this.#onCancel?.(this.id)
  }

  onEvent({ data }: SseEvent): boolean {
    this.#heard = true
    if (!this.#inbound.takesBatches || !isBatch(data)) this.#hear(data)
    else for (const part of splitBatch(data)) this.#hear(part)
    return this.#response !== undefined
  }

  #take(reply: ExchangeReply): void {
    const { server } = this.#context
    this.status = reply.status
    this.sessionId = sessionIdOf(reply, server)
    if (reply.body.kind === 'json') this.#read(reply.body.bytes, reply.status)
    if (this.#response === undefined) throw withoutAnswer(reply, server, this.method)
  }

  /** A whole JSON body: the response, or on an error status an error without id, which can mean this request only. */
  #read(bytes: Buffer, status: number): void {
    const { server, scan } = this.#context
    try {
      if (this.#inbound.takesBatches && isBatch(bytes)) {
        for (const part of splitBatch(bytes)) this.#hear(part)
        return
      }
      const message = readMessage(bytes, server, scan)
      if (message.kind !== 'response') return
      const refusesUs = status >= 400 && status !== 404 && message.id === null
      if (message.id === this.id || refusesUs) this.#response = message
    } catch (cause) {
      // The status says more than a body that is not JSON-RPC.
      if (status < 400) throw cause
    }
  }

  #hear(data: Uint8Array): void {
    const message = readMessage(data, this.#context.server, this.#context.scan)
    if (message.kind === 'response' && message.id === this.id) {
      this.#response ??= message
      return
    }
    this.#noise ??= new NoiseMeter(this.#context.server, this.#context.limits, this.#context.clock)
    this.#noise.count(data.length)
    if (message.kind !== 'response') this.#inbound.receive(message, this)
  }
}

/** What a reply without a JSON-RPC answer means for the fate of the request. */
function withoutAnswer(reply: ExchangeReply, server: string, method: string): UpstreamFailed {
  const { status } = reply
  const said = `server \`${server}\` answered \`${method}\` with HTTP ${status} and no JSON-RPC answer`
  if (status === 401 || status === 403) {
    return new CredentialsRefused(
      'unavailable',
      `server \`${server}\` refuses the gate itself (HTTP ${status})`,
    )
  }
  if (status === 429) return new UpstreamFailed('busy', said)
  // Proxies say 503 as well when they lost the server after it had the request; one that asks to come later did not send it.
  if (status === 503 && reply.headers['retry-after'] !== undefined)
    return new UpstreamFailed('unavailable', said)
  // 500, 502, 503, 504: something ran, or a proxy lost sight of it.
  if (status >= 500) return new UpstreamFailed('unknown_fate', said)
  if (reply.body.kind === 'stream')
    return new UpstreamFailed('unknown_fate', `${said}: its stream ended early`)
  return new UpstreamFailed('protocol', said)
}

function sessionIdOf(reply: ExchangeReply, server: string): string | undefined {
  const id = reply.headers[SESSION_HEADER]
  if (id === undefined) return undefined
  if (typeof id === 'string' && /^[\x21-\x7e]{1,1024}$/.test(id)) return id
  throw new UpstreamFailed('protocol', `server \`${server}\` sent a session id that is not visible ASCII`)
}

/** `_meta` of one request: the host's without reserved members, our progress token, what the era requires. */
export function metaOf(
  meta: JsonObject,
  era: Era,
  progress: number | undefined,
  own: JsonObject | undefined,
): JsonObject | undefined {
  const all = {
    ...withoutReservedMeta(meta, era),
    ...(progress === undefined ? {} : { [PROGRESS_TOKEN]: progress }),
    ...own,
  }
  return Object.keys(all).length === 0 ? undefined : all
}
