import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher, Pool } from 'undici'
import { SseDecoder, SseFault, type SseEvent } from '../../mcp/sse.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { abortedBy } from './connection.ts'

/** How long a server may keep a stream open behind the answer that ends it, in milliseconds. */
const LINGER_MS = 250

/** One HTTP request to a server. */
export interface ExchangeRequest {
  readonly method: 'POST' | 'DELETE'
  readonly path: string
  /** Flat list of names and values. */
  readonly headers: string[]
  readonly body: Buffer | undefined
  readonly signal: AbortSignal
  /** How long the socket stays open after an abort, in milliseconds, so that a cancel can overtake it; default 0. */
  readonly closeAfterMs?: number
  /** Longest body, or event of a stream, in bytes. */
  readonly maxBytes: number
  /** Reads one event of a stream; true: this was the answer. What it throws ends the exchange. */
  readonly onEvent: (data: Buffer) => boolean
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
 * One request over the pool: no redirect is followed, no compressed body read, nothing buffered past the cap; an aborted
 * signal settles at once and closes the socket, which tells a modern server to cancel.
 * @throws UpstreamFailed `unavailable` before the request was started, `unknown_fate` when the connection broke after,
 *   `timeout`, `cancelled`, `protocol`, `too_large`
 */
export function exchange(pool: Pool, server: string, request: ExchangeRequest): Promise<ExchangeReply> {
  const { signal } = request
  if (signal.aborted) return Promise.reject(abortedBy(signal, server))
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined
    let settled = false
    let reply: { status: number; headers: IncomingHttpHeaders; kind: 'json' | 'stream' | 'other' } | undefined
    let sse: SseDecoder | undefined
    let chunks: Buffer[] = []
    let received = 0
    let linger: NodeJS.Timeout | undefined

    const finish = (): void => {
      settled = true
      signal.removeEventListener('abort', onAbort)
      chunks = []
    }
    const fail = (failure: UpstreamFailed): void => {
      if (settled) return
      finish()
      reject(failure)
      controller?.abort(failure)
    }
    const onAbort = (): void => {
      const failure = abortedBy(signal, server)
      const { closeAfterMs } = request
      if (closeAfterMs === undefined) {
        fail(failure)
        return
      }
      finish()
      reject(failure)
      setTimeout(() => controller?.abort(failure), closeAfterMs).unref()
    }
    signal.addEventListener('abort', onAbort, { once: true })

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(started) {
        controller = started
        // Cancelled while it waited for a socket: not a byte of it goes out.
        if (settled) started.abort(new Error('cancelled before it was sent'))
      },
      onResponseStart(_, status, headers) {
        if (settled || status < 200) return
        const encoding = headers['content-encoding']
        if (encoding !== undefined && encoding !== 'identity') {
          fail(
            new UpstreamFailed(
              'protocol',
              `server \`${server}\` sent a compressed body, which it was not offered`,
            ),
          )
          return
        }
        if (status >= 300 && status < 400) {
          fail(
            new UpstreamFailed(
              'protocol',
              `server \`${server}\` answered with a redirect (${status}), which is never followed`,
            ),
          )
          return
        }
        reply = { status, headers, kind: kindOf(headers['content-type']) }
        if (reply.kind === 'stream') sse = new SseDecoder({ maxEventBytes: request.maxBytes })
      },
      onResponseData(_, chunk) {
        if (settled || reply === undefined) return
        if (sse === undefined) {
          received += chunk.length
          if (received > request.maxBytes) fail(tooLarge(server, request.maxBytes))
          else chunks.push(chunk)
          return
        }
        try {
          if (!hear(sse, chunk, request.onEvent)) return
        } catch (cause) {
          fail(streamFailure(cause, server))
          return
        }
        finish()
        resolve({ status: reply.status, headers: reply.headers, body: { kind: 'stream', answered: true } })
        linger = setTimeout(() => controller?.abort(new Error('answered')), LINGER_MS)
        linger.unref()
      },
      onResponseEnd() {
        clearTimeout(linger)
        if (settled || reply === undefined) return
        const { status, headers, kind } = reply
        const [first] = chunks
        const bytes = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks)
        finish()
        resolve({ status, headers, body: kind === 'stream' ? { kind, answered: false } : { kind, bytes } })
      },
      onResponseError(_, error) {
        clearTimeout(linger)
        fail(connectionFailure(error, server, controller !== undefined))
      },
    }
    try {
      pool.dispatch(
        { method: request.method, path: request.path, headers: request.headers, body: request.body ?? null },
        handler,
      )
    } catch (cause) {
      fail(new UpstreamFailed('unavailable', `request to server \`${server}\` could not be made`, { cause }))
    }
  })
}

/** Hands on the events of one chunk; true: the answer was among them. Those before a fault in the chunk still count. */
function hear(sse: SseDecoder, chunk: Buffer, onEvent: (data: Buffer) => boolean): boolean {
  let events: readonly SseEvent[]
  let fault: SseFault | undefined
  try {
    events = sse.push(chunk)
  } catch (cause) {
    if (!(cause instanceof SseFault)) throw cause
    fault = cause
    events = cause.events
  }
  // Events without data only keep the stream open.
  for (const event of events) if (event.data.length > 0 && onEvent(event.data)) return true
  if (fault !== undefined) throw fault
  return false
}

function kindOf(contentType: string | string[] | undefined): 'json' | 'stream' | 'other' {
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
