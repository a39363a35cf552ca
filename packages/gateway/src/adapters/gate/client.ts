import { Pool } from 'undici'

/** The gate's answer to one POST. */
export interface GateAnswer {
  readonly status: number
  readonly contentType: string
  readonly body: AsyncIterable<Uint8Array>
}

/**
 * Client of a gate's MCP endpoint, for `callgate connect`. Each message is one POST; an answer may be a stream that
 * lasts as long as the call.
 */
export function createGateClient(url: string, tokenFor: () => string) {
  const { origin, pathname } = new URL(url)
  const pool = new Pool(origin, { connections: 64, bodyTimeout: 0, headersTimeout: 0 })
  return {
    async post(body: string, headers: Record<string, string>, signal: AbortSignal): Promise<GateAnswer> {
      const answer = await pool.request({
        path: pathname,
        method: 'POST',
        headers: {
          ...headers,
          authorization: `Bearer ${tokenFor()}`,
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
        },
        body,
        signal,
      })
      const type = answer.headers['content-type']
      return {
        status: answer.statusCode,
        contentType: typeof type === 'string' ? type : '',
        body: answer.body,
      }
    },
    close: () => pool.close(),
  }
}
