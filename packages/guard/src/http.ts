import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { type AuthInfo, authInfoOf, type Caller } from './caller.ts'
import type { Guard } from './guard.ts'
import { NotVouched } from './refusals.ts'

/** A request that the guard let pass; `auth` is where transports of the SDK look for what they hand to tools. */
export type GuardedRequest = IncomingMessage & { auth?: AuthInfo }

/** @param message the parsed body; undefined for GET and DELETE, which have none */
export type GuardedHandler = (
  request: GuardedRequest,
  response: ServerResponse,
  message: object | undefined,
  caller: Caller | undefined,
) => unknown

export interface GuardedOptions {
  /** Largest body, in bytes. Default 4 MiB. */
  readonly maxBytes?: number
  /** Told of each refusal, for the server's own log. */
  readonly onRefused?: (cause: NotVouched, request: IncomingMessage) => void
}

const MAX_BYTES = 4 * 1_024 * 1_024

/**
 * Puts a guard before a handler of node:http. It reads the body itself: mount it before whatever parses bodies. What is refused is
 * answered with 403 and reaches nothing.
 */
export function guarded(
  guard: Guard,
  handler: GuardedHandler,
  { maxBytes = MAX_BYTES, onRefused = () => {} }: GuardedOptions = {},
): RequestListener {
  async function serve(request: GuardedRequest, response: ServerResponse): Promise<void> {
    if (request.method === 'GET' || request.method === 'DELETE')
      return void (await handler(request, response, undefined, undefined))
    if (request.method !== 'POST' || request.headers['content-encoding'] !== undefined)
      return refuse(
        response,
        request.method === 'POST' ? 415 : 405,
        'the guard takes plain POST, GET and DELETE',
      )
    const body = await bodyOf(request, maxBytes)
    if (body === undefined) return refuse(response, 413, `the body is larger than ${maxBytes} bytes`)
    const { message, caller } = await guard.admit(body)
    if (caller !== undefined) request.auth = authInfoOf(caller, request.auth)
    await handler(request, response, message, caller)
  }

  return (request, response) => {
    serve(request, response).catch((cause: unknown) => {
      if (cause instanceof NotVouched) {
        onRefused(cause, request)
        return refuse(response, cause.why === 'unavailable' ? 503 : 403, cause.message)
      }
      // The text of other errors may hold what the caller must not see.
      process.emitWarning(cause instanceof Error ? cause : String(cause))
      refuse(response, 500, 'the server failed')
    })
  }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) return void response.destroy()
  // The rest of a body that nobody reads must not be taken for the next request.
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: status, message } }))
}

/** The body; undefined: it is larger than allowed. */
async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  // Not destroyed when it is too long: the refusal goes out by the same socket.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > maxBytes) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
