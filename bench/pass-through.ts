// The yardstick: what forwarding alone costs in this runtime. node:http in, undici Pool dispatch out, keep-alive on both
// sides, body and answer buffered once, no check at all. Argument: origin of the upstream. Prints its port.
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { Pool } from 'undici'

/** Headers that belong to one hop (RFC 9110 section 7.6.1), and those that undici writes itself. */
const HOP = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'host',
  'content-length',
])

const pool = new Pool(process.argv[2] ?? '', { connections: 64, pipelining: 1 })

function forward(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  const sent: string[] = []
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i] ?? ''
    if (!HOP.has(name.toLowerCase())) sent.push(name, request.rawHeaders[i + 1] ?? '')
  }
  const chunks: Buffer[] = []
  let status = 502
  const received: string[] = []
  pool.dispatch(
    { path: request.url ?? '/', method: 'POST', headers: sent, body },
    {
      onRequestStart() {},
      onResponseStart(_, code, headers) {
        status = code
        for (const [name, value] of Object.entries(headers)) {
          if (!HOP.has(name) && typeof value === 'string') received.push(name, value)
        }
      },
      onResponseData(_, chunk) {
        chunks.push(chunk)
      },
      onResponseEnd() {
        const [first] = chunks
        const answer = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks)
        response.writeHead(status, [...received, 'content-length', String(answer.length)])
        response.end(answer)
      },
      onResponseError() {
        response.writeHead(502).end()
      },
    },
  )
}

const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const [first] = chunks
    forward(request, response, chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks))
  })
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) console.log(JSON.stringify({ port: address.port }))
})
