import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { BlockList, type Socket, isIP } from 'node:net'
import { Refusal } from '../call/refusal.ts'
import { HYGIENE } from './headers.ts'

/** Bounds and names of a listener; defaults stand in config/. */
export interface ListenerOptions {
  readonly host: string
  readonly port: number
  readonly maxConnections: number
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxHeaderBytes: number
  readonly maxRequestBytes: number
  /** `Host` values that are served, with port, lower case. */
  readonly hosts: ReadonlySet<string>
  /** `Origin` values that are served; a request without Origin does not come from a browser page. */
  readonly origins: ReadonlySet<string>
  /** CIDR ranges of proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[]
}

/** One HTTP request that passed the listener's own checks. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Path without query. A query is refused: nothing of ours takes one, and tokens must never stand there. */
  readonly path: string
  readonly peer: string
}

export interface ListenerHandlers {
  /** Answers a request. */
  serve(exchange: Exchange): Promise<void>
  /** Answers a refusal of the listener itself. */
  refuse(exchange: Exchange, refusal: Refusal): void
}

/** How often Node looks for requests that are over their time; its default of 30 s would let a slowloris sit. */
const CHECK_CONNECTIONS_MS = 1_000

/** Makes the HTTP listener: caps and timeouts on everything, Host and Origin checked before anything else. */
export function createListener(options: ListenerOptions, handlers: ListenerHandlers): Server {
  const proxies = blockList(options.trustedProxies)
  const server = createServer({
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: options.idleTimeoutMs,
    connectionsCheckingInterval: CHECK_CONNECTIONS_MS,
    noDelay: true,
  })
  server.maxConnections = options.maxConnections
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const exchange = { request, response, path: request.url ?? '', peer: peerOf(request, proxies) }
    const refusal = checkRequest(request, options)
    if (refusal === undefined) void handlers.serve(exchange)
    else handlers.refuse(exchange, refusal)
  }
  server.on('request', onRequest)
  // Without this handler Node invites the body of a request that is about to be refused.
  server.on('checkContinue', onRequest)
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (socket.writable) socket.write(rawError(error))
    socket.destroy()
  })
  return server
}

function checkRequest(request: IncomingMessage, options: ListenerOptions): Refusal | undefined {
  const host = request.headers.host?.toLowerCase()
  // DNS rebinding: CVE-2025-49596, CVE-2025-64443, CVE-2025-66414. Always on, also on loopback.
  if (host === undefined || !options.hosts.has(host)) {
    return new Refusal('CG_WIRE_HOST', { internal: 'the Host header names another host' })
  }
  const { origin } = request.headers
  if (origin !== undefined && !options.origins.has(origin.toLowerCase())) {
    return new Refusal('CG_WIRE_ORIGIN', {
      internal: 'the Origin header names an origin that is not allowed',
    })
  }
  const url = request.url ?? ''
  if (url.includes('?') || url.includes('#')) {
    return new Refusal('CG_WIRE_PATH', { internal: 'the request target has a query' })
  }
  return undefined
}

/**
 * Reads a body whole.
 * @throws Refusal CG_WIRE_TOO_LARGE having read at most the cap, CG_WIRE_CONTENT_ENCODING, CG_WIRE_CONTENT_TYPE
 */
export async function readBody({ request, response }: Exchange, maxBytes: number): Promise<Buffer> {
  const { headers } = request
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') {
    // A compressed body is a bomb until proven otherwise: 106 bytes of brotli become 64 MiB (SECURITY.md 1.2).
    throw new Refusal('CG_WIRE_CONTENT_ENCODING', { internal: 'the body is compressed' })
  }
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json')
    throw new Refusal('CG_WIRE_CONTENT_TYPE', { internal: 'the body is not application/json' })
  const declared = Number(headers['content-length'] ?? 0)
  if (declared > maxBytes) throw tooLarge(maxBytes)
  if (headers.expect !== undefined) response.writeContinue()
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > maxBytes) {
        request.pause()
        reject(tooLarge(maxBytes))
        return
      }
      chunks.push(chunk)
    })
    request.on('end', () =>
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)),
    )
    request.on('error', () => reject(new Refusal('CG_WIRE_TIMEOUT', { internal: 'the body did not arrive' })))
    request.on('close', () => {
      if (!request.complete) reject(new Refusal('CG_WIRE_TIMEOUT', { internal: 'the body did not arrive' }))
    })
  })
}

function tooLarge(maxBytes: number): Refusal {
  return new Refusal('CG_WIRE_TOO_LARGE', { internal: `the body is larger than ${maxBytes} bytes` })
}

/** Sends a whole answer. A request whose body was not read to its end takes its connection with it. */
export function send(exchange: Exchange, status: number, headers: readonly string[], body: Buffer): void {
  const { request, response } = exchange
  if (response.headersSent || response.destroyed) return
  const all = [...HYGIENE, ...headers, 'Content-Length', String(body.length)]
  const unread = !request.complete && hasBody(request)
  if (unread) all.push('Connection', 'close')
  response.writeHead(status, all)
  response.end(body, () => {
    if (unread) request.socket.destroySoon()
  })
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

/** Socket address, or the right-most hop that is no trusted proxy when the socket is one. */
function peerOf(request: IncomingMessage, proxies: BlockList): string {
  let peer = plainAddress(request.socket.remoteAddress ?? 'unknown')
  const forwarded = request.headers['x-forwarded-for']
  if (forwarded === undefined) return peer
  const hops = String(forwarded).split(',')
  for (let i = hops.length - 1; i >= 0 && trusted(proxies, peer); i--) {
    const hop = plainAddress(hops[i]?.trim() ?? '')
    if (isIP(hop) === 0) break
    peer = hop
  }
  return peer
}

const plainAddress = (address: string) => (address.startsWith('::ffff:') ? address.slice(7) : address)

function trusted(proxies: BlockList, address: string): boolean {
  const family = isIP(address)
  return family !== 0 && proxies.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

function blockList(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    list.addSubnet(address, Number(prefix ?? (family === 'ipv6' ? 128 : 32)), family)
  }
  return list
}

/** The answer to what is not even HTTP, with the same headers as every other. */
function rawError(error: NodeJS.ErrnoException): string {
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  let head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n`
  for (let i = 0; i < HYGIENE.length; i += 2) head += `${HYGIENE[i]}: ${HYGIENE[i + 1]}\r\n`
  return `${head}\r\n`
}
