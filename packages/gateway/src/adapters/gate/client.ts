import { Agent, type IncomingMessage, request } from 'node:http'
import type { Duplex } from 'node:stream'

/** One HTTP request to a gate. */
export interface GateRequest {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  readonly signal: AbortSignal
}

/** What a gate answered; the body may be a stream that lasts as long as the call. */
export interface GateAnswer {
  readonly status: number
  readonly contentType: string
  readonly sessionId: string | undefined
  readonly body: AsyncIterable<Uint8Array>
}

export interface GateClientOptions {
  /** The endpoint; plain HTTP, because a gate that is reached this way runs on this machine. */
  readonly url: string
  /** A token that is good for one more request. */
  readonly tokenFor: () => string
  /** Opens a connection in another way than over TCP; it serves one request. */
  readonly dial?: () => Duplex
}

/** Client of a gate's MCP endpoint, for `callgate connect` and `callgate wrap`. */
export function createGateClient({ url, tokenFor, dial }: GateClientOptions) {
  const agent = new Agent({ keepAlive: true })
  const connection = dial === undefined ? { agent } : { createConnection: dial }
  // Without an agent Node adds the port, and 127.0.0.1:80 is another name than 127.0.0.1.
  const { host } = new URL(url)
  return {
    /** @throws Error when the gate cannot be reached, or the signal is aborted */
    send({ method, headers, body, signal }: GateRequest): Promise<GateAnswer> {
      return new Promise((resolve, reject) => {
        const sent = request(
          url,
          {
            ...connection,
            method,
            signal,
            headers: {
              ...headers,
              host,
              authorization: `Bearer ${tokenFor()}`,
              accept: method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream',
              ...(method === 'GET'
                ? {}
                : { 'content-type': 'application/json', 'content-length': String(body.length) }),
            },
          },
          (answer) => resolve(answerOf(answer)),
        )
        sent.on('error', reject)
        sent.end(body)
      })
    },
    close: () => agent.destroy(),
  }
}

function answerOf(answer: IncomingMessage): GateAnswer {
  const { 'mcp-session-id': sessionId } = answer.headers
  return {
    status: answer.statusCode ?? 0,
    contentType: answer.headers['content-type'] ?? '',
    sessionId: typeof sessionId === 'string' ? sessionId : undefined,
    body: answer,
  }
}
