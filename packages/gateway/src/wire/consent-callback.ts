import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { BroughtBack, ConsentCallback } from '../ports/consents.ts'

const MAX_HEADER_BYTES = 16_384
const HEADERS_MS = 5_000
const MAX_CONNECTIONS = 16
const PATH = '/callback'

/** Opens one, on loopback and a free port. */
export async function listenForConsent(): Promise<ConsentCallback> {
  let take: ((query: URLSearchParams) => boolean) | undefined
  const server = createServer(
    { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: HEADERS_MS, requestTimeout: HEADERS_MS },
    (request, response) => {
      const query = queryOf(request, origin())
      if (query === undefined) return say(response, 404, 'There is nothing here.')
      if (take?.(query) !== true)
        return say(
          response,
          400,
          'This is not the answer that callgate waits for. Begin anew in the terminal.',
        )
      say(response, 200, 'Callgate has your answer. You may close this window; the terminal says the rest.')
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const origin = (): string => `127.0.0.1:${port}`
  return {
    redirectUri: `http://${origin()}${PATH}`,
    answer: (state, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
        take = (query) => {
          const brought = broughtBack(query, state)
          if (brought === undefined) return false
          take = undefined
          resolve(brought)
          return true
        }
      }),
    close() {
      server.close()
      server.closeIdleConnections()
    },
  }
}

/** The query of a browser that comes back; undefined: it is something else, such as a page that knows our port (DNS rebinding). */
function queryOf({ method, url = '', headers }: IncomingMessage, host: string): URLSearchParams | undefined {
  if (method !== 'GET' || headers.host !== host) return undefined
  const [path, query = ''] = url.split('?', 2)
  return path === PATH ? new URLSearchParams(query) : undefined
}

function broughtBack(query: URLSearchParams, state: string): BroughtBack | undefined {
  const names = ['state', 'code', 'error', 'iss']
  if (names.some((name) => query.getAll(name).length > 1) || query.get('state') !== state) return undefined
  const error = query.get('error')
  if (error !== null)
    return { error: /^[a-z_]{1,64}$/.test(error) ? error : 'an error that OAuth does not name' }
  const code = query.get('code')
  return code === null || code === '' ? undefined : { code, issuer: query.get('iss') ?? undefined }
}

function say(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    connection: 'close',
  })
  response.end(`${text}\n`)
}
