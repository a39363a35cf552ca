import type { Answer } from '../../call/call.ts'
import { member, type JsonObject } from '../../call/json.ts'
import { LATEST_LEGACY, VERSION_HEADER } from '../../mcp/era.ts'
import { encodeNotification, encodeOwnRequest, encodeRequest } from '../../mcp/jsonrpc.ts'
import {
  aborted,
  abortedBy,
  SessionEnded,
  type ConnectContext,
  type Connection,
  type Handshake,
  type Outgoing,
  type Wish,
} from './connection.ts'
import { postHeaders, type HttpEndpoint } from './endpoint.ts'
import { EventStream } from './event-stream.ts'
import { initializeParams, readInitialize } from './handshake.ts'
import { Inbound } from './inbound.ts'
import { metaOf, Post, SESSION_HEADER, type PostOptions } from './post.ts'
import { ResourceSubscriptions } from './resource-subscriptions.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { connectSse } from './sse.ts'

/** How long a cancelled request's stream stays open so that the cancel can overtake it, in milliseconds. */
const CANCEL_MS = 150
/** How long a server may take to subscribe a session to one resource, or to set its log level, in milliseconds. */
const SETTING_MS = 5_000

/** Statuses of a POST where servers of 2024-11-05 have only a GET (2025-11-25, transports, backwards compatibility). */
const NO_POST_HERE: ReadonlySet<number> = new Set([400, 404, 405])

/**
 * Greets a legacy server, over HTTP+SSE where it has nothing newer. Its session id stays with this connection and so with one
 * Callgate session.
 * @throws UpstreamFailed
 */
export async function connectLegacy(
  endpoint: HttpEndpoint,
  context: ConnectContext,
  signal: AbortSignal,
): Promise<Connection> {
  const post = new Post(endpoint, context, new Inbound(context, nothing), 'initialize')
  const params = initializeParams(context)
  endpoint.enter()
  try {
    const answer = await post.send(
      encodeOwnRequest(post.id, 'initialize', params),
      postHeaders({ [VERSION_HEADER]: LATEST_LEGACY }),
      signal,
    )
    const session = new HttpSession(endpoint, context, readInitialize(answer, context.server), post.sessionId)
    await session.begin()
    return session
  } catch (cause) {
    const older = NO_POST_HERE.has(post.status) ? await connectSse(endpoint, context, signal) : undefined
    if (older === undefined) throw cause
    return older
  } finally {
    endpoint.leave()
  }
}

/** Before a session there is nobody to answer to. */
function nothing(): void {}

/** A session at a legacy server over Streamable HTTP (2025-03-26 to 2025-11-25). */
class HttpSession implements Connection {
  readonly handshake: Handshake
  readonly #endpoint: HttpEndpoint
  readonly #context: ConnectContext
  readonly #sessionId: string | undefined
  readonly #headers: string[]
  readonly #options: PostOptions
  readonly #inbound: Inbound
  readonly #stream: EventStream
  readonly #resources: ResourceSubscriptions
  readonly #gone = new AbortController()
  #alive = true
  /** The server forgot the session. */
  #lost = false
  #logLevel: string | undefined

  constructor(
    endpoint: HttpEndpoint,
    context: ConnectContext,
    handshake: Handshake,
    sessionId: string | undefined,
  ) {
    const headers = {
      [VERSION_HEADER]: handshake.protocolVersion,
      ...(sessionId === undefined ? {} : { [SESSION_HEADER]: sessionId }),
    }
    this.handshake = handshake
    this.#endpoint = endpoint
    this.#context = context
    this.#sessionId = sessionId
    this.#headers = postHeaders(headers)
    this.#options = {
      closeAfterMs: CANCEL_MS,
      resumeWith: headers,
      // A closed stream is no cancel for a legacy server: it is told first, then dropped.
      onCancel: (id) =>
        void this.#aside(
          encodeNotification('notifications/cancelled', { requestId: id, reason: 'cancelled' }),
        ),
    }
    this.#inbound = new Inbound(context, (answer) => void this.#aside(answer))
    this.#inbound.greeted(handshake)
    this.#stream = new EventStream(endpoint, context, this.#inbound, headers, () => {
      if (sessionId !== undefined) this.#lose()
    })
    this.#resources = new ResourceSubscriptions(handshake, (method, params) => this.#set(method, params))
  }

  get alive(): boolean {
    return this.#alive
  }

  /** Tells the server that the session begins. One that may ask gets its stream first: many servers ask there alone. */
  async begin(): Promise<void> {
    await this.#aside(encodeNotification('notifications/initialized'))
    const { capabilities, roots } = this.#context
    if (Object.keys(capabilities).length > 0 || roots !== undefined) await this.#stream.open().catch(nothing)
  }

  request(outgoing: Outgoing, signal: AbortSignal): Promise<Answer> {
    const level = outgoing.host?.logLevel
    if (level === undefined || level === this.#logLevel) return this.#send(outgoing, signal)
    return this.#setLogLevel(level).then(() => this.#send(outgoing, signal))
  }

  async listen({ resources, onNotification }: Wish, signal: AbortSignal, onTaken: () => void): Promise<void> {
    const leave = this.#inbound.join(onNotification)
    try {
      await this.#stream.open()
      const over = aborted(signal, this.#gone.signal)
      await Promise.race([this.#resources.add(resources), over])
      onTaken()
      await over
      this.#resources.remove(resources)
    } finally {
      leave()
    }
  }

  async close(): Promise<void> {
    this.#end()
    if (!this.#lost && this.#sessionId !== undefined) {
      await this.#aside(undefined, 'DELETE')
    }
  }

  async #send({ method, head, argsBytes, meta, host }: Outgoing, signal: AbortSignal): Promise<Answer> {
    const { server } = this.#context
    if (signal.aborted) throw abortedBy(signal, server)
    const endpoint = this.#endpoint
    endpoint.enter()
    const post = new Post(endpoint, this.#context, this.#inbound, method, host)
    const token = host?.onProgress === undefined ? undefined : post.id
    const body = encodeRequest(post.id, method, head, argsBytes, metaOf(meta, 'legacy', token, undefined))
    let answer: Answer
    try {
      answer = await post.send(body, this.#headers, signal, this.#options)
    } catch (cause) {
      throw this.#isLost(post) && !signal.aborted ? new SessionEnded(server) : cause
    } finally {
      endpoint.leave()
      if (this.#isLost(post)) this.#lose()
      // Servers exist that answer 400 to a session they forgot: the next request greets them anew.
      else if (post.status === 400) this.#end()
    }
    if (this.#isLost(post)) throw new SessionEnded(server)
    return answer
  }

  /** 404 to a request with a session id: the session is gone and nothing ran (2025-11-25, session management). */
  #isLost(post: Post): boolean {
    return post.status === 404 && !post.hasResult && this.#sessionId !== undefined
  }

  /** The level is the session's: the server hears of it when a call wants another one than the last. */
  async #setLogLevel(level: string): Promise<void> {
    this.#logLevel = level
    if (member(this.handshake.capabilities, 'logging') === undefined) return
    // A server that refuses it logs as it did; the call itself is what was asked for.
    await this.#set('logging/setLevel', { level }).catch(nothing)
  }

  #set(method: string, head: JsonObject): Promise<Answer> {
    const outgoing = { method, head, argsBytes: undefined, meta: {}, host: undefined }
    return this.#send(outgoing, AbortSignal.any([AbortSignal.timeout(SETTING_MS), this.#gone.signal]))
  }

  /** Best effort, as asides are: without credentials it is not sent. */
  async #aside(body: Buffer | undefined, method: 'POST' | 'DELETE' = 'POST'): Promise<void> {
    const { credentials, limits } = this.#context
    const { asides, path } = this.#endpoint
    try {
      const own = await credentials.headers(AbortSignal.timeout(limits.connectMs))
      await asides.send({ method, path, headers: [...this.#headers, ...own], body })
    } catch (cause) {
      if (!(cause instanceof UpstreamFailed)) throw cause
    }
  }

  #lose(): void {
    this.#lost = true
    this.#end()
  }

  #end(): void {
    this.#alive = false
    this.#gone.abort(new Error('the session ends'))
    this.#stream.close()
  }
}
