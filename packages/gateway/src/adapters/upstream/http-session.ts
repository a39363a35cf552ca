import type { Answer } from '../../call/call.ts'
import { LATEST_LEGACY, VERSION_HEADER } from '../../mcp/era.ts'
import { encodeNotification, encodeOwnRequest, encodeRequest } from '../../mcp/jsonrpc.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import {
  abortedBy,
  untilAborted,
  type ConnectContext,
  type Connection,
  type Handshake,
  type Outgoing,
} from './connection.ts'
import { exchange } from './exchange.ts'
import { initializeParams, readInitialize } from './handshake.ts'
import { headerList, MAX_ASIDES, metaOf, Post, SESSION_HEADER, type HttpEndpoint } from './post.ts'

/** How long a side message (cancel, end of session, answer to the server) may take, in milliseconds. */
const ASIDE_MS = 2_000
/** How long a cancelled request's stream stays open so that the cancel can overtake it, in milliseconds. */
const CANCEL_MS = 150

interface Life {
  readonly handshake: Handshake
  readonly headers: Readonly<Record<string, string>>
  readonly sessionId: string | undefined
}

/**
 * Greets a legacy server; its session id stays with this connection and so with one Callgate session.
 * @throws UpstreamFailed
 */
export async function openLegacySession(
  endpoint: HttpEndpoint,
  context: ConnectContext,
  signal: AbortSignal,
): Promise<Connection> {
  let life = await initialize(endpoint, context, signal)
  let renewal: Promise<Life> | undefined
  let alive = true

  /** One renewal for all requests that met the end of the same session; none of them has run. */
  const renew = async (lost: Life, during: AbortSignal): Promise<Life> => {
    if (life !== lost) return life
    renewal ??= initialize(endpoint, context, AbortSignal.timeout(context.limits.connectMs)).finally(() => {
      renewal = undefined
    })
    try {
      life = await untilAborted(renewal, during, context.server)
    } catch (cause) {
      if (!(cause instanceof UpstreamFailed) || cause.fault !== 'unknown_fate') throw cause
      throw new UpstreamFailed('unavailable', cause.message, { cause })
    }
    return life
  }

  const send = async (
    at: Life,
    outgoing: Outgoing,
    during: AbortSignal,
  ): Promise<Answer | 'session lost'> => {
    if (during.aborted) throw abortedBy(during, context.server)
    const post = new Post(endpoint, context, outgoing.method, {
      onProgress: outgoing.host?.onProgress,
      answerServer: (bytes) => aside(endpoint, context, 'POST', at.headers, bytes),
    })
    const { method, head, argsBytes, meta, host } = outgoing
    const all = metaOf(meta, 'legacy', host?.onProgress === undefined ? undefined : post.id, {})
    const body = encodeRequest(post.id, method, head, argsBytes, all)
    const lost = (): boolean => post.status === 404 && at.sessionId !== undefined
    // A closed stream is no cancel for a legacy server: it is told first, then dropped.
    const cancel = (): void => {
      const notice = encodeNotification('notifications/cancelled', {
        requestId: post.id,
        reason: 'cancelled',
      })
      aside(endpoint, context, 'POST', at.headers, notice)
    }
    during.addEventListener('abort', cancel, { once: true })
    try {
      const answer = await post.send(body, at.headers, during, CANCEL_MS)
      return lost() ? 'session lost' : answer
    } catch (cause) {
      // 404 to a request with a session id: the session is gone and nothing ran (specification, session management).
      if (lost() && !during.aborted) return 'session lost'
      throw cause
    } finally {
      during.removeEventListener('abort', cancel)
      // Servers exist that answer 400 to a session they forgot: the next request greets them anew.
      if (post.status === 400) alive = false
    }
  }

  return {
    get handshake() {
      return life.handshake
    },
    get alive() {
      return alive
    },
    async request(outgoing, during) {
      const at = life
      const first = await send(at, outgoing, during)
      if (first !== 'session lost') return first
      const second = await send(await renew(at, during), outgoing, during)
      if (second !== 'session lost') return second
      alive = false
      throw new UpstreamFailed('unavailable', `server \`${context.server}\` forgets its sessions at once`)
    },
    async close() {
      alive = false
      if (life.sessionId !== undefined) await aside(endpoint, context, 'DELETE', life.headers, undefined)
    },
  }
}

async function initialize(
  endpoint: HttpEndpoint,
  context: ConnectContext,
  signal: AbortSignal,
): Promise<Life> {
  const post = new Post(endpoint, context, 'initialize')
  const params = initializeParams(context.clientInfo, endpoint.config.roots)
  const answer = await post.send(
    encodeOwnRequest(post.id, 'initialize', params),
    { [VERSION_HEADER]: LATEST_LEGACY },
    signal,
  )
  const handshake = readInitialize(answer, context.server)
  const { sessionId } = post
  const headers = {
    [VERSION_HEADER]: handshake.protocolVersion,
    ...(sessionId === undefined ? {} : { [SESSION_HEADER]: sessionId }),
  }
  await aside(endpoint, context, 'POST', headers, encodeNotification('notifications/initialized'))
  return { handshake, headers, sessionId }
}

/** Sends what needs no answer. Its failure changes nothing: the session's next request will tell. */
async function aside(
  endpoint: HttpEndpoint,
  context: ConnectContext,
  method: 'POST' | 'DELETE',
  headers: Readonly<Record<string, string>>,
  body: Buffer | undefined,
): Promise<void> {
  if (endpoint.asides >= MAX_ASIDES) return
  endpoint.asides++
  try {
    await exchange(endpoint.pool, context.server, {
      method,
      path: endpoint.path,
      headers: headerList(headers),
      body,
      signal: AbortSignal.timeout(ASIDE_MS),
      maxBytes: 65_536,
      onEvent: () => true,
    })
  } catch {
    // Told above: best effort by design.
  } finally {
    endpoint.asides--
  }
}
