import type { Answer } from '../../call/call.ts'
import { modernHeaders, modernMeta } from '../../mcp/era.ts'
import { encodeOwnRequest, encodeRequest } from '../../mcp/jsonrpc.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import type { ConnectContext, Connection, Handshake } from './connection.ts'
import { discoverParams, readDiscover } from './handshake.ts'
import { openLegacySession } from './http-session.ts'
import { metaOf, Post, type HttpEndpoint } from './post.ts'

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
    if (handshake !== undefined) return modernConnection(endpoint, context, handshake)
    return await openLegacySession(endpoint, context, signal)
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
  const probe = new Post(endpoint, context, 'server/discover')
  const body = encodeOwnRequest(probe.id, 'server/discover', discoverParams(context.clientInfo))
  const limit = AbortSignal.timeout(PROBE_MS)
  let found: Handshake | undefined
  try {
    const answer: Answer = await probe.send(
      body,
      modernHeaders('server/discover', {}),
      AbortSignal.any([signal, limit]),
    )
    found = readDiscover(answer)
  } catch (cause) {
    const fault = cause instanceof UpstreamFailed ? cause.fault : undefined
    const silent = limit.aborted && !signal.aborted
    if (fault !== 'protocol' && fault !== 'too_large' && !silent) throw cause
  }
  if (found === undefined && context.era === 'modern') {
    throw new UpstreamFailed(
      'protocol',
      `server \`${endpoint.server}\` does not speak the modern era it is configured for`,
    )
  }
  return found
}

/** Modern: no session, so nothing to keep but what the server said; aborting the stream is the cancel. */
function modernConnection(endpoint: HttpEndpoint, context: ConnectContext, handshake: Handshake): Connection {
  const own = modernMeta(context.clientInfo, {})
  let open = true
  return {
    handshake,
    get alive() {
      return open
    },
    async request({ method, head, argsBytes, meta, host }, signal) {
      const onProgress = host?.onProgress
      const post = new Post(endpoint, context, method, { onProgress })
      const all = metaOf(meta, 'modern', onProgress === undefined ? undefined : post.id, own)
      const body = encodeRequest(post.id, method, head, argsBytes, all)
      return post.send(body, modernHeaders(method, head), signal)
    },
    async close() {
      open = false
    },
  }
}
