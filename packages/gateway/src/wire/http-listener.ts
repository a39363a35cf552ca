import { type IncomingMessage, STATUS_CODES, type Server, type ServerResponse, createServer } from 'node:http'
import { type Server as TlsServer, createServer as createTlsServer } from 'node:https'
import { BlockList, type Socket, isIP } from 'node:net'
import type { PeerCertificate } from '../call/call.ts'
import { Refusal } from '../call/refusal.ts'
import { GrowingBytes } from '../mcp/growing-bytes.ts'
import { hygieneOf } from './headers.ts'
import { type TlsMaterial, peerCertificateOf, tlsServerOptions } from './tls.ts'

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
  /** TLS with the material of now; undefined: plain HTTP. */
  readonly tls?: TlsMaterial | undefined
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
  /** Client certificate of the connection, verified; undefined: none was shown. */
  readonly certificate: PeerCertificate | undefined
}

export interface ListenerHandlers {
  /** Answers a request. */
  serve(exchange: Exchange): Promise<void>
  /** Answers a refusal of the listener itself. */
  refuse(exchange: Exchange, refusal: Refusal): void
}

/** How often Node looks for requests that are over their time; its default of 30 s would let a slowloris sit. */
const CHECK_CONNECTIONS_MS = 1_000

/** Answers that one connection may be owed. No MCP host pipelines, and what waits behind an unread answer is held in memory. */
const MAX_PIPELINED = 16

/** How long a host may read the answer to a request that was refused before it was read, in milliseconds. */
const LINGER_MS = 500

/** Makes the HTTP listener: caps and timeouts on everything, Host and Origin checked before anything else. */
export function createListener(options: ListenerOptions, handlers: ListenerHandlers): Server | TlsServer {
  const proxies = blockList(options.trustedProxies)
  const settings = {
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: options.idleTimeoutMs,
    connectionsCheckingInterval: CHECK_CONNECTIONS_MS,
    // Node would answer a missing Host by itself, without our headers; checkRequest refuses it.
    requireHostHeader: false,
    noDelay: true,
  }
  const server =
    options.tls === undefined
      ? createServer(settings)
      : createTlsServer({
          ...settings,
          ...tlsServerOptions(options.tls),
          handshakeTimeout: options.headersTimeoutMs,
        })
  server.maxConnections = options.maxConnections
  /** The answers that a connection is owed, in their order; an answer that nobody reads is one of them. */
  const owed = new WeakMap<Socket, ServerResponse[]>()
  const owes = (socket: Socket) => (owed.get(socket) ?? []).filter((response) => !response.writableFinished)
  // A host that asks and never reads would hold its connection, and the answers in it, for ever. It has as long to read on as
  // it has to send a request, and a little more, so that a request which is too slow is told so first.
  server.timeout = options.requestTimeoutMs + CHECK_CONNECTIONS_MS
  server.on('timeout', (socket: Socket) => {
    // An answer that is still being made may take as long as its call; nothing of it waits to be read.
    if (owes(socket).length === 0 || socket.writableLength > 0) socket.destroy()
  })
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request
    const open = owes(socket)
    // Node reads a chunk to its end, however many requests stand in it, also behind the end of their connection.
    if (open.length >= MAX_PIPELINED || socket.destroyed) {
      socket.destroy()
      return
    }
    open.push(response)
    owed.set(socket, open)
    const certificate = peerCertificateOf(socket)
    const exchange = {
      request,
      response,
      path: request.url ?? '',
      peer: peerOf(request, proxies),
      certificate: certificate instanceof Refusal ? undefined : certificate,
    }
    const refusal =
      checkRequest(request, options) ?? (certificate instanceof Refusal ? certificate : undefined)
    if (refusal === undefined) handlers.serve(exchange).catch((error: unknown) => abandon(exchange, error))
    else handlers.refuse(exchange, refusal)
  }
  server.on('request', onRequest)
  // Without this handler Node invites the body of a request that is about to be refused.
  server.on('checkContinue', onRequest)
  // Node would answer what it does not expect by itself, without our headers.
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    send({ request, response, path: '', peer: '', certificate: undefined }, 417, [], Buffer.alloc(0))
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const response = owes(socket).at(-1)
    // Inside an answer that has begun, another one would read as a part of it. One without a socket waits behind such.
    const inside = response !== undefined && (response.headersSent || response.socket === null)
    if (socket.writable && !inside) socket.write(rawError(error, hygieneOf(socket)))
    socket.destroy()
  })
  return server
}

/** A fault of ours in one exchange ends that exchange and nothing else: a rejection that nobody takes would end the gate. */
function abandon(exchange: Exchange, error: unknown): void {
  process.emitWarning('an exchange could not be answered', { detail: String(error) })
  if (exchange.response.headersSent) exchange.response.destroy()
  else send(exchange, 500, [], Buffer.alloc(0))
}

function checkRequest(request: IncomingMessage, options: ListenerOptions): Refusal | undefined {
  const host = request.headers.host?.toLowerCase()
  // DNS rebinding: CVE-2025-49596, CVE-2025-64443, CVE-2025-66414. Always on, also on loopback.
  // Of two Host headers each proxy takes its own: none of them counts (RFC 9112 section 3.2).
  if (host === undefined || !options.hosts.has(host) || countOf(request, 'host') !== 1) {
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

/** How often a header stands in a request: Node keeps the first of several and is silent about the rest. */
export function countOf({ rawHeaders }: IncomingMessage, name: string): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.length === name.length && rawHeaders[i]?.toLowerCase() === name) count++
  }
  return count
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
    const body = new GrowingBytes()
    request.on('data', (chunk: Buffer) => {
      if (body.length + chunk.length > maxBytes) {
        request.pause()
        reject(tooLarge(maxBytes))
        return
      }
      body.append(chunk)
    })
    request.on('end', () => resolve(body.take()))
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
  const all = hygieneOf(request.socket).concat(headers, 'Content-Length', String(body.length))
  // Behind earlier answers of its connection a response has no socket yet, and waits for its turn.
  if (!request.complete && hasBody(request) && response.socket !== null) {
    sendUnread(response.socket, status, all, body)
    return
  }
  if (!request.complete && hasBody(request)) all.push('Connection', 'close')
  response.writeHead(status, all)
  response.end(body)
}

/**
 * Answers a request whose body is still coming. Node would read the rest of it to the end, or close at once, and a socket
 * that closes with bytes unread resets: the host would see a broken pipe instead of the reason. So nothing more is read,
 * and the host has a moment to read the answer.
 */
function sendUnread(socket: Socket, status: number, headers: readonly string[], body: Buffer): void {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}\r\n`
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
  socket.pause()
  socket.end(
    Buffer.concat([
      Buffer.from(`${head}Date: ${new Date().toUTCString()}\r\nConnection: close\r\n\r\n`),
      body,
    ]),
  )
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
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
function rawError(error: NodeJS.ErrnoException, hygiene: readonly string[]): string {
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  let head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n`
  for (let i = 0; i < hygiene.length; i += 2) head += `${hygiene[i]}: ${hygiene[i + 1]}\r\n`
  return `${head}\r\n`
}
