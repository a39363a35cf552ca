import type { JsonObject } from '../call/json.ts'
import { encodeNotification } from '../mcp/jsonrpc.ts'
import { encodeSseEvent } from '../mcp/sse.ts'
import { HYGIENE } from './headers.ts'
import { type Exchange, send } from './http-listener.ts'

const JSON_TYPE = ['Content-Type', 'application/json']
/** Bytes that may wait for a slow reader before progress messages are dropped (SECURITY.md 1.2). */
const MAX_WAITING = 256 * 1024

/** Sends a JSON-RPC message: as the answer, or as the last event when progress has opened a stream. */
export function reply(exchange: Exchange, status: number, body: Buffer): void {
  const { response } = exchange
  if (!response.headersSent) return send(exchange, status, JSON_TYPE, body)
  if (!response.destroyed) response.end(encodeSseEvent(body))
}

/** Sends one progress notification, opening the answer as a stream when it is the first. */
export function sendProgress({ response }: Exchange, params: JsonObject): void {
  if (response.destroyed || response.writableEnded || response.writableLength > MAX_WAITING) return
  if (!response.headersSent) {
    response.writeHead(200, [...HYGIENE, 'Content-Type', 'text/event-stream', 'X-Accel-Buffering', 'no'])
  }
  response.write(encodeSseEvent(encodeNotification('notifications/progress', params)))
}
