import type { Answer } from '../../call/call.ts'
import { modernHeaders } from '../../mcp/era.ts'
import { encodeOwnRequest, encodeRequest } from '../../mcp/jsonrpc.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import {
  aborted,
  type ConnectContext,
  type Connection,
  type Handshake,
  type Outgoing,
  type Wish,
} from './connection.ts'
import { postHeaders, type HttpEndpoint } from './endpoint.ts'
import { discoverParams, readDiscover } from './handshake.ts'
import { connectLegacy } from './http-session.ts'
import { Inbound } from './inbound.ts'
import { RequestMeta } from './modern.ts'
import { metaOf, Post } from './post.ts'
import { filterOf, holdSubscription, Subscription } from './subscription.ts'

/** How long an HTTP server may take to answer the era probe, in milliseconds. */
const PROBE_MS = 5_000

/**
 * Greets a server for one session.
 * @throws UpstreamFailed never `unknown_fate`: no call was sent
 */
export async function connectHttp(
  endpoint: HttpEndpoint,
  context: ConnectContext,
  signal: AbortSignal,
): Promise<Connection> {
  try {
    const handshake = await discover(endpoint, context, signal)
    if (handshake !== undefined) return new ModernConnection(endpoint, context, handshake)
    return await connectLegacy(endpoint, context, signal)
  } catch (cause) {
    if (cause instanceof UpstreamFailed && cause.fault === 'unknown_fate') {
      throw new UpstreamFailed('unavailable', cause.message, { cause })
    }
    throw cause
  }
}

/** The era probe: undefined means legacy. A server that is down or refuses the gate itself fails, whatever its era. */
async function discover(
  endpoint: HttpEndpoint,
  context: ConnectContext,
  signal: AbortSignal,
): Promise<Handshake | undefined> {
  if (context.era === 'legacy') return undefined
  const method = 'server/discover'
  const probe = new Post(endpoint, context, silentInbound(context), method)
  const body = encodeOwnRequest(probe.id, method, discoverParams(context.clientInfo))
  const limit = AbortSignal.timeout(PROBE_MS)
  let found: Handshake | undefined
  endpoint.enter()
  try {
    const headers = postHeaders(modernHeaders(method, {}))
    found = readDiscover(await probe.send(body, headers, AbortSignal.any([signal, limit])))
  } catch (cause) {
    const fault = cause instanceof UpstreamFailed ? cause.fault : undefined
    const silent = limit.aborted && !signal.aborted
    if (fault !== 'protocol' && fault !== 'too_large' && !silent) throw cause
  } finally {
    endpoint.leave()
  }
  if (found === undefined && context.era === 'modern') {
    throw new UpstreamFailed(
      'protocol',
      `server \`${endpoint.server}\` does not speak the modern era it is configured for`,
    )
  }
  return found
}

/** A modern server over HTTP gets no answers from the gate: it must not ask by requests. */
function silentInbound(context: ConnectContext): Inbound {
  return new Inbound(context, () => {})
}

/** Modern: no session, so nothing to keep but what the server said; a closed stream is the cancel. */
class ModernConnection implements Connection {
  readonly handshake: Handshake
  readonly #endpoint: HttpEndpoint
  readonly #context: ConnectContext
  readonly #meta: RequestMeta
  readonly #inbound: Inbound
  readonly #gone = new AbortController()

  constructor(endpoint: HttpEndpoint, context: ConnectContext, handshake: Handshake) {
    this.#endpoint = endpoint
    this.#context = context
    this.#meta = new RequestMeta(context)
    this.handshake = handshake
    this.#inbound = silentInbound(context)
    this.#inbound.greeted(handshake)
  }

  get alive(): boolean {
    return !this.#gone.signal.aborted
  }

  async request(outgoing: Outgoing, signal: AbortSignal): Promise<Answer> {
    const { method, head, argsBytes, meta, host, retry, paramHeaders } = outgoing
    this.#endpoint.enter()
    try {
      const post = new Post(this.#endpoint, this.#context, this.#inbound, method, host)
      const token = host?.onProgress === undefined ? undefined : post.id
      const all = metaOf(meta, 'modern', token, this.#meta.of(host))
      const headers = postHeaders(modernHeaders(method, head))
      if (paramHeaders !== undefined) headers.push(...paramHeaders)
      return await post.send(encodeRequest(post.id, method, head, argsBytes, all, retry), headers, signal)
    } finally {
      this.#endpoint.leave()
    }
  }

  async listen(wish: Wish, signal: AbortSignal, onTaken: () => void): Promise<void> {
    const filter = filterOf(this.handshake, wish.resources)
    const gone = this.#gone.signal
    if (filter === undefined) {
      onTaken()
      await aborted(signal, gone)
      return
    }
    const endpoint = this.#endpoint
    endpoint.enterStream()
    const method = 'subscriptions/listen'
    const post = new Post(endpoint, this.#context, this.#inbound, method)
    const params = { notifications: filter, _meta: this.#meta.of(undefined) }
    const body = encodeOwnRequest(post.id, method, params)
    const headers = postHeaders(modernHeaders(method, {}))
    try {
      await holdSubscription(
        this.#inbound,
        this.#context,
        new Subscription(post.id, filter, wish, onTaken),
        (during) => post.send(body, headers, during, { pool: endpoint.streams }),
        AbortSignal.any([signal, gone]),
      )
    } finally {
      endpoint.leaveStream()
    }
  }

  close(): Promise<void> {
    this.#gone.abort(new Error('the connection ends'))
    return Promise.resolve()
  }
}
