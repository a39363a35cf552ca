import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { type Server as TlsServer, createServer as createTlsServer } from 'node:https'
import type { TlsOptions } from 'node:tls'

/** One request to the page, as far as its own checks let it. */
export interface PageRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** By name; one that comes twice counts as none. */
  readonly cookies: ReadonlyMap<string, string>
  /** Whether a page of our own sent it, by what browsers say and pages cannot: Origin, and Sec-Fetch-Site where it is sent. */
  readonly isOwn: boolean
  /** The form in its body. @throws PageRefused */
  form(): Promise<URLSearchParams>
}

/** What is answered: a page, or where to go. */
export interface PageAnswer {
  readonly status: number
  readonly html?: string
  readonly location?: string
  /** Values of Set-Cookie. */
  readonly cookies?: readonly string[]
  /** Whether the page has a form; see referrerPolicy. Default false. */
  readonly form?: boolean
}

/** A request that is not served at all. */
export class PageRefused extends Error {
  override readonly name = 'PageRefused'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export interface PageServerOptions {
  /** Origin under which browsers reach it. */
  readonly publicUrl: string
  /** Undefined: plain HTTP. */
  readonly tls: TlsOptions | undefined
  /** What a style must hash to: `sha256-...`. */
  readonly styleHash: string
  readonly serve: (request: PageRequest) => Promise<PageAnswer>
  /** The page for what is not served. */
  readonly refused: (status: number, why: string) => string
  /** Told of a fault of ours, with nothing of the request. */
  readonly onFault: (error: unknown) => void
}

/** Longest request head; it holds the cookies, of which a browser may have several. */
const MAX_HEADER_BYTES = 24_576
/** Longest form: 500 characters of comment, percent-encoded, and a token. */
const MAX_FORM_BYTES = 16_384
const MAX_CONNECTIONS = 128
const HEADERS_MS = 5_000
const REQUEST_MS = 10_000
/** Longest silence of a connection, in milliseconds; signing in waits for the provider three times. */
const IDLE_MS = 30_000

/** The listener of pages for people: bounded on every side, its own Host alone, no script, no frame, nothing kept by browsers. */
export function createPageServer(options: PageServerOptions): Server | TlsServer {
  const settings = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: 5_000,
    connectionsCheckingInterval: 1_000,
    // Node would answer a missing Host by itself, without our headers.
    requireHostHeader: false,
  }
  const server =
    options.tls === undefined
      ? createServer(settings)
      : createTlsServer({ ...settings, ...options.tls, handshakeTimeout: HEADERS_MS })
  server.maxConnections = MAX_CONNECTIONS
  server.maxRequestsPerSocket = 100
  server.timeout = IDLE_MS
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    answerTo(request, options).then(
      (answer) => send(request, response, answer, options),
      (error: unknown) => {
        const known = error instanceof PageRefused
        if (!known) options.onFault(error)
        const status = known ? error.status : 500
        const why = known ? error.message : 'The gate could not do it; its log says why.'
        send(request, response, { status, html: options.refused(status, why) }, options)
      },
    )
  })
  return server
}

async function answerTo(request: IncomingMessage, options: PageServerOptions): Promise<PageAnswer> {
  const { headers, headersDistinct, method = '', url = '' } = request
  const own = new URL(options.publicUrl)
  // DNS rebinding: a page of a stranger whose name leads here would read ours as its own.
  if (headersDistinct['host']?.length !== 1 || headers.host?.toLowerCase() !== own.host)
    throw new PageRefused(421, 'This gate has another address.')
  if (method !== 'GET' && method !== 'POST') throw new PageRefused(405, 'Pages are read, and decided on.')
  const [path = '', query = ''] = url.split('?', 2)
  const site = headers['sec-fetch-site']
  return options.serve({
    method,
    path,
    query: new URLSearchParams(query),
    cookies: cookiesIn(headers.cookie ?? ''),
    isOwn: headers.origin === own.origin && (site === undefined || site === 'same-origin'),
    form: () => readForm(request),
  })
}

function cookiesIn(header: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  const twice = new Set<string>()
  for (const pair of header.split(/; */)) {
    const at = pair.indexOf('=')
    const name = pair.slice(0, Math.max(at, 0))
    if (found.has(name)) twice.add(name)
    else found.set(name, pair.slice(at + 1))
  }
  for (const name of twice) found.delete(name)
  return found
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/x-www-form-urlencoded') throw new PageRefused(415, 'This is no form.')
  if (request.headers['content-encoding'] !== undefined) throw new PageRefused(415, 'The form is packed.')
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > MAX_FORM_BYTES) throw new PageRefused(413, 'The form is too long.')
    chunks.push(bytes)
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'))
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, html, location, cookies = [], form = false }: PageAnswer,
  { publicUrl, styleHash }: PageServerOptions,
): void {
  if (response.destroyed || response.headersSent) return
  const body = Buffer.from(html ?? '')
  response.writeHead(status, {
    ...(html === undefined ? {} : { 'content-type': 'text/html; charset=utf-8' }),
    'content-length': body.length,
    'cache-control': 'no-store',
    'content-security-policy': `default-src 'none'; style-src '${styleHash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    // Under `no-referrer` browsers send `Origin: null` with forms (Fetch section 3.2), and a click could not be told from one of
    // another site. `same-origin` tells other sites just as little.
    'referrer-policy': form ? 'same-origin' : 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    ...(publicUrl.startsWith('https:') ? { 'strict-transport-security': 'max-age=31536000' } : {}),
    ...(location === undefined ? {} : { location }),
    ...(cookies.length === 0 ? {} : { 'set-cookie': [...cookies] }),
    // A body that was not read to its end is not worth reading.
    ...(request.complete ? {} : { connection: 'close' }),
  })
  response.end(body)
}
