import { judgeHost, stripHost } from '../../net/address.ts'
import { guardedLookup, mayConnect } from './guarded-lookup.ts'
import { Pool } from 'undici'
import type { Answer, Era } from '../../call/call.ts'
import type { JsonObject } from '../../call/json.ts'
import { PROGRESS_TOKEN, withoutReservedMeta } from '../../mcp/era.ts'
import type { Message } from '../../mcp/jsonrpc.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { readMessage, toAnswer, type ConnectContext } from './connection.ts'
import { exchange, type ExchangeReply } from './exchange.ts'
import { answerServer, createNoiseMeter, readProgress, tellProgress } from './inbound.ts'
import type { HttpServer, UpstreamLimits } from './options.ts'

/** Header that names a legacy session (specification 2025-11-25, transports). */
export const SESSION_HEADER = 'mcp-session-id'

/** Side messages in flight to one server; more are dropped, so that a server that asks in a loop costs nothing. */
export const MAX_ASIDES = 16

/** One HTTP server: its sockets, which carry no identity and are shared; sessions are per connection. */
export interface HttpEndpoint {
  readonly server: string
  readonly config: HttpServer
  readonly pool: Pool
  readonly path: string
  inFlight: number
  /** Side messages in flight: cancels, answers to the server. */
  asides: number
}

/**
 * Opens nothing yet; sockets come with the first request.
 * @throws TypeError for a URL that is not plain http or https
 */
export function createHttpEndpoint(server: string, config: HttpServer, limits: UpstreamLimits): HttpEndpoint {
  const url = new URL(config.url)
  if ((url.protocol !== 'http:' && url.protocol !== 'https:') || url.username !== '' || url.password !== '') {
    throw new TypeError(`\`servers.${server}.url\` must be http or https, without user info`)
  }
  const host = stripHost(url.hostname)
  if (judgeHost(host).isAddress && !mayConnect(host, config.network)) {
    throw new TypeError(
      `\`servers.${server}.url\` is at \`${host}\`, which is not in \`servers.${server}.network\``,
    )
  }
  const silenceMs = config.timeouts?.silenceMs ?? 300_000
  const pool = new Pool(url.origin, {
    // Cancels and answers to the server must not wait for a socket that a call holds.
    connections: limits.maxInFlight + MAX_ASIDES,
    pipelining: 1,
    connectTimeout: config.timeouts?.connectMs ?? limits.connectMs,
    connect: { lookup: guardedLookup(server, config.network) },
    headersTimeout: silenceMs,
    bodyTimeout: silenceMs,
    maxHeaderSize: 16_384,
    allowH2: false,
  })
  return { server, config, pool, path: url.pathname + url.search, inFlight: 0, asides: 0 }
}

/** Own counter for all HTTP exchanges: each answer is tied to its request by the exchange and by this id. */
let lastId = 0

/** One JSON-RPC request over one POST. */
export class Post {
  readonly id = ++lastId
  /** Status of the reply, 0 before. */
  status = 0
  sessionId: string | undefined
  readonly #endpoint: HttpEndpoint
  readonly #context: ConnectContext
  readonly #method: string
  readonly #noise: (bytes: number) => void
  readonly #onProgress: ((params: JsonObject) => void) | undefined
  readonly #answerServer: ((bytes: Buffer) => void) | undefined

  constructor(
    endpoint: HttpEndpoint,
    context: ConnectContext,
    method: string,
    listeners: {
      readonly onProgress?: ((params: JsonObject) => void) | undefined
      readonly answerServer?: ((bytes: Buffer) => void) | undefined
    } = {},
  ) {
    this.#endpoint = endpoint
    this.#context = context
    this.#method = method
    this.#noise = createNoiseMeter(endpoint.server, context.limits, context.clock)
    this.#onProgress = listeners.onProgress
    this.#answerServer = listeners.answerServer
  }

  /**
   * @param closeAfterMs how long the socket stays open after an abort; default 0
   * @throws UpstreamFailed; status tells a lost session (404) apart
   */
  async send(
    body: Buffer,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    closeAfterMs?: number,
  ): Promise<Answer> {
    const { server, limits, clock } = this.#context
    if (this.#endpoint.inFlight >= limits.maxInFlight) {
      throw new UpstreamFailed('busy', `server \`${server}\` has ${limits.maxInFlight} requests in flight`)
    }
    this.#endpoint.inFlight++
    const startedAt = clock()
    let response: (Message & { readonly kind: 'response' }) | undefined
    try {
      const reply = await exchange(this.#endpoint.pool, server, {
        method: 'POST',
        path: this.#endpoint.path,
        headers: headerList(headers),
        body,
        signal,
        ...(closeAfterMs === undefined ? {} : { closeAfterMs }),
        maxBytes: limits.maxBytes,
        onEvent: (data) => {
          response = this.#hear(data)
          return response !== undefined
        },
      })
      this.status = reply.status
      this.sessionId = sessionIdOf(reply, server)
      if (reply.body.kind === 'json') response = this.#read(reply.body.bytes, reply.status)
      if (response === undefined) throw withoutAnswer(reply, server, this.#method)
    } finally {
      this.#endpoint.inFlight--
    }
    return toAnswer(response, clock() - startedAt)
  }

  /** A whole JSON body: the response, or on an error status an error without id, which can mean this request only. */
  #read(bytes: Buffer, status: number): (Message & { readonly kind: 'response' }) | undefined {
    let message: Message
    try {
      message = readMessage(bytes, this.#context.server, this.#context.scan)
    } catch (cause) {
      if (status >= 400) return undefined // the status says more than a body that is not JSON-RPC
      throw cause
    }
    if (message.kind !== 'response') return undefined
    if (message.id === this.id) return message
    return status >= 400 && message.id === null && status !== 404 ? message : undefined
  }

  #hear(data: Buffer): (Message & { readonly kind: 'response' }) | undefined {
    const message = readMessage(data, this.#context.server, this.#context.scan)
    if (message.kind === 'response') {
      if (message.id === this.id) return message
      this.#noise(data.length)
    } else if (message.kind === 'request') {
      this.#noise(data.length)
      this.#answerServer?.(answerServer(message, this.#endpoint.config.roots))
    } else if (message.method === 'notifications/progress') {
      const progress = readProgress(message.params)
      const listener = progress?.token === this.id ? this.#onProgress : undefined
      this.#noise(data.length)
      if (progress !== undefined && listener !== undefined) tellProgress(listener, progress.params)
    } else if (message.method === 'notifications/tools/list_changed') {
      this.#noise(data.length)
      this.#context.onToolsChanged()
    } else this.#noise(data.length)
    return undefined
  }
}

/** What a reply without a JSON-RPC answer means for the fate of the request. */
function withoutAnswer(reply: ExchangeReply, server: string, method: string): UpstreamFailed {
  const { status } = reply
  const said = `server \`${server}\` answered \`${method}\` with HTTP ${status} and no JSON-RPC answer`
  if (status === 401 || status === 403) {
    return new UpstreamFailed('unavailable', `server \`${server}\` refuses the gate itself (HTTP ${status})`)
  }
  if (status === 429) return new UpstreamFailed('busy', said)
  if (status === 503) return new UpstreamFailed('unavailable', said)
  // 500, 502, 504: something ran, or a proxy lost sight of it.
  if (status >= 500) return new UpstreamFailed('unknown_fate', said)
  if (reply.body.kind === 'stream')
    return new UpstreamFailed('unknown_fate', `${said}: its stream ended early`)
  return new UpstreamFailed('protocol', said)
}

/** Headers of every POST, then those of this one. */
export function headerList(own: Readonly<Record<string, string>>): string[] {
  const list = [
    'content-type',
    'application/json',
    'accept',
    'application/json, text/event-stream',
    'accept-encoding',
    'identity',
  ]
  for (const [name, value] of Object.entries(own)) list.push(name, value)
  return list
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
  own: JsonObject,
): JsonObject | undefined {
  const all = {
    ...withoutReservedMeta(meta, era),
    ...(progress === undefined ? {} : { [PROGRESS_TOKEN]: progress }),
    ...own,
  }
  return Object.keys(all).length === 0 ? undefined : all
}
