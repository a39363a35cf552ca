import { createBackoff } from './backoff.ts'
import { abortedBy, pause, type ConnectContext } from './connection.ts'
import type { HttpEndpoint } from './endpoint.ts'
import type { StreamReader } from './exchange.ts'
import { getStream, type StreamEnd } from './get-stream.ts'

/** Attempts in a row that meet no stream before one is given up. */
const MAX_FAILURES = 5

/**
 * Takes up the stream of a call that ended before its answer, by GET with the last event id: since 2025-03-26 to redeliver what a
 * broken connection lost, since 2025-11-25 also to poll for a long call (SEP-1699). The call itself is never sent again.
 * Returns when the reader has the answer, or when the server has no such stream; the signal of the call bounds it.
 * @throws UpstreamFailed `timeout`, `cancelled`, or what the reader found wrong
 */
export async function resume(
  endpoint: HttpEndpoint,
  context: ConnectContext,
  broken: Pick<StreamEnd, 'lastEventId' | 'retryMs'>,
  reader: StreamReader,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const { server, limits, clock } = context
  const backoff = createBackoff(limits.backoffMinMs, limits.backoffMaxMs)
  let { lastEventId, retryMs } = broken
  // A server that names no wait has not closed the stream on purpose.
  if (retryMs === undefined) backoff.failed(clock())
  for (let failures = 0; failures < MAX_FAILURES;) {
    await pause(Math.max(retryMs ?? 0, backoff.waitMs(clock())), signal)
    if (signal.aborted) throw abortedBy(signal, server)
    const end = await getStream(endpoint, context, headers, lastEventId, reader, signal)
    if (end.outcome === 'answered' || end.outcome === 'refused') return
    // A stream that brings nothing yet is polling; the call's own deadline ends that.
    if (end.outcome === 'failed') failures++
    else failures = 0
    if (end.lastEventId !== '' && end.lastEventId !== lastEventId) backoff.recovered()
    backoff.failed(clock())
    lastEventId = end.lastEventId === '' ? lastEventId : end.lastEventId
    retryMs = end.retryMs ?? retryMs
  }
}
