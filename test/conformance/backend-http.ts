import type { IncomingMessage, ServerResponse } from 'node:http'
import { type JsonObject, isJsonObject } from '../../packages/gateway/src/call/json.ts'

/** One header as text; a repeated one is joined. */
export function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value.join(',') : value
}

/** The JSON object that a request carries; undefined when it is none. */
export async function readMessage(request: IncomingMessage): Promise<JsonObject | undefined> {
  const chunks: Buffer[] = []
  for await (const chunk of request) if (chunk instanceof Buffer) chunks.push(chunk)
  try {
    const parsed: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    return isJsonObject(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

export function sendJson(
  response: ServerResponse,
  status: number,
  value: JsonObject,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(JSON.stringify(value))
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': body.length,
    ...headers,
  })
  response.end(body)
}

/** A JSON-RPC error as a whole HTTP answer. */
export function sendError(
  response: ServerResponse,
  status: number,
  code: number,
  message: string,
  about: { readonly id?: string | number | null; readonly data?: JsonObject } = {},
): void {
  const error = { code, message, ...(about.data === undefined ? {} : { data: about.data }) }
  sendJson(response, status, { jsonrpc: '2.0', id: about.id ?? null, error })
}

export function startEvents(response: ServerResponse, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
    ...headers,
  })
  response.flushHeaders()
}
