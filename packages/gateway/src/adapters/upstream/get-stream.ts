import { UpstreamFailed } from '../../ports/upstream.ts'
import type { ConnectContext } from './connection.ts'
import { getHeaders, type HttpEndpoint } from './endpoint.ts'
import { Exchange, type StreamReader } from './exchange.ts'

/** How one GET of an event stream came out. */
export interface StreamEnd {
  /**
   * `answered`: the reader has what it waited for; `ended`: the stream closed or broke; `refused`: the server has no such stream;
   * `failed`: it could not be reached or is in trouble.
   */
  readonly outcome: 'answered' | 'ended' | 'refused' | 'failed'
  /** Status of the reply; 0 without one. */
  readonly status: number
  /** Where to take the stream up again; empty: nowhere. */
  readonly lastEventId: string
  /** How long the server asks to wait before, in milliseconds; undefined: it did not. */
  readonly retryMs: number | undefined
}

/** Faults of a stream that only mean that it is over. */
const BROKEN: ReadonlySet<string> = new Set(['unavailable', 'unknown_fate'])

/**
 * Reads one event stream of a server by GET, to its end.
 * @param lastEventId event behind which to go on; empty: from now on
 * @throws UpstreamFailed `timeout` and `cancelled` by the signal, else what the reader or the transport found wrong
 */
export async function getStream(
  endpoint: HttpEndpoint,
  context: Pick<ConnectContext, 'server' | 'limits' | 'credentials'>,
  headers: Readonly<Record<string, string>>,
  lastEventId: string,
  reader: StreamReader,
  signal: AbortSignal,
): Promise<StreamEnd> {
  // An id that no header can carry, or that every request would drag along, is no place to go on from.
  const resumed = /^[\x21-\x7e]{1,1024}$/.test(lastEventId) ? { 'last-event-id': lastEventId } : {}
  const { credentials } = context
  const own = await credentials.headers(signal)
  const exchange = new Exchange(
    endpoint.streams,
    context.server,
    {
      method: 'GET',
      path: endpoint.path,
      headers: [...getHeaders({ ...headers, ...resumed }), ...own],
      body: undefined,
      signal,
      limits: context.limits,
    },
    reader,
  )
  let status = 0
  let outcome: StreamEnd['outcome']
  try {
    const reply = await exchange.reply
    status = reply.status
    // The stream is asked for again by those who need it, with what is obtained then.
    if (status === 401) credentials.refused(own)
    if (reply.body.kind === 'stream') outcome = reply.body.answered ? 'answered' : 'ended'
    else outcome = status >= 500 ? 'failed' : 'refused'
  } catch (cause) {
    if (!(cause instanceof UpstreamFailed) || !BROKEN.has(cause.fault)) throw cause
    outcome = exchange.streaming ? 'ended' : 'failed'
  }
  return { outcome, status, lastEventId: exchange.lastEventId, retryMs: exchange.retryMs }
}
