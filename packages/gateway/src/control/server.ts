import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { JsonObject } from '../call/json.ts'
import { isJsonObject } from '../call/json.ts'
import { JsonFault, type ScanOptions, scanJson } from '../mcp/json-scan.ts'

/** What a verb answers: an HTTP status and a JSON body. */
export interface ControlAnswer {
  readonly status: number
  readonly body: JsonObject
}

/** One verb: a method on a path. */
export interface ControlVerb {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Whole path; its first group is handed to `run`. */
  readonly path: RegExp
  /** @throws ControlRefused */
  readonly run: (body: JsonObject, named: string) => Promise<ControlAnswer> | ControlAnswer
}

/** What was asked of the control API cannot be done: what, where, how to fix it. The operator reads it. */
export class ControlRefused extends Error {
  override readonly name = 'ControlRefused'
  readonly status: number

  constructor(status: number, message: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.status = status
  }
}

/** Longest body, in bytes. */
export const MAX_BODY_BYTES = 8_192
const MAX_HEADER_BYTES = 8_192
/** Connections at once; an operator has one, and a script of his a few. */
const MAX_CONNECTIONS = 64
const HEADERS_MS = 5_000
const REQUEST_MS = 10_000
const SCAN: ScanOptions = { maxBytes: MAX_BODY_BYTES, maxDepth: 4, maxKeys: 64, twinKeys: {} }

/**
 * The control API: HTTP of its own, on a listener of its own (control/socket.ts), for the operator and nobody else. It knows
 * nothing of tokens: who can open the socket is who may.
 * @param onFault told of a fault of ours, with nothing of the request
 */
export function createControlServer(
  verbs: readonly ControlVerb[],
  onFault: (error: unknown) => void,
): Server {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: 1_000,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      answerTo(request, verbs).then(
        (answer) => send(request, response, answer),
        (error: unknown) => {
          const known = error instanceof ControlRefused
          if (!known) onFault(error)
          const status = known ? error.status : 500
          const detail = known ? error.message : 'the gate could not do it; its log says why'
          send(request, response, { status, body: { status, detail } })
        },
      )
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  return server
}

async function answerTo(request: IncomingMessage, verbs: readonly ControlVerb[]): Promise<ControlAnswer> {
  const path = request.url ?? ''
  const here = verbs.filter((verb) => verb.path.test(path))
  if (here.length === 0) throw new ControlRefused(404, 'there is no such path in the control API')
  const verb = here.find(({ method }) => method === request.method)
  if (verb === undefined)
    throw new ControlRefused(405, `this path takes ${here.map(({ method }) => method).join(', ')}`)
  const body = verb.method === 'POST' ? await readObject(request) : {}
  return verb.run(body, verb.path.exec(path)?.[1] ?? '')
}

async function readObject(request: IncomingMessage): Promise<JsonObject> {
  // Pages in browsers cannot reach a Unix socket; what is no JSON is refused all the same, as everywhere here.
  if (request.headers['content-type']?.split(';')[0]?.trim().toLowerCase() !== 'application/json')
    throw new ControlRefused(415, 'the body is not application/json')
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > MAX_BODY_BYTES)
      throw new ControlRefused(413, `the body is larger than ${MAX_BODY_BYTES} bytes`)
    chunks.push(bytes)
  }
  const whole = Buffer.concat(chunks)
  try {
    scanJson(whole, SCAN)
  } catch (cause) {
    if (!(cause instanceof JsonFault)) throw cause
    throw new ControlRefused(400, `the body is not strict JSON: ${cause.message}`, { cause })
  }
  const value: unknown = JSON.parse(whole.toString('utf8'))
  if (!isJsonObject(value)) throw new ControlRefused(400, 'the body is not a JSON object')
  return value
}

function send(request: IncomingMessage, response: ServerResponse, { status, body }: ControlAnswer): void {
  if (response.destroyed) return
  const bytes = Buffer.from(JSON.stringify(body))
  response.writeHead(status, {
    'content-type': status < 400 ? 'application/json' : 'application/problem+json',
    'content-length': bytes.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // A body that was not read to its end is not worth reading.
    ...(request.complete ? {} : { connection: 'close' }),
  })
  response.end(bytes)
}
