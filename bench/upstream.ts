// The server behind every target of the bench: node:http, both eras, nothing but the answer. Prints its port.
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'

const TOOL = {
  name: 'echo',
  description: 'says the text again',
  inputSchema: {
    type: 'object',
    properties: { text: { type: 'string', maxLength: 200 } },
    required: ['text'],
    additionalProperties: false,
  },
}

interface Asked {
  readonly id?: number | string
  readonly method: string
  readonly params?: { readonly arguments?: { readonly text?: string } }
}

const modern = process.argv[2] === 'modern'
const mark = modern ? { resultType: 'complete' } : {}
const info = { name: 'bench', version: '1.0.0' }

/** Undefined for a method that this era does not have. */
function resultOf({ method, params }: Asked): object | undefined {
  if (method === 'tools/call') return { ...mark, content: [{ type: 'text', text: params?.arguments?.text }] }
  if (method === 'tools/list')
    return modern ? { ...mark, tools: [TOOL], ttlMs: 0, cacheScope: 'private' } : { tools: [TOOL] }
  if (modern && method === 'server/discover') {
    return {
      ...mark,
      supportedVersions: ['2026-07-28'],
      capabilities: { tools: {} },
      serverInfo: info,
      ttlMs: 0,
      cacheScope: 'private',
    }
  }
  if (!modern && method === 'initialize') {
    return { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: info }
  }
  return undefined
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const asked: Asked = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    if (asked.id === undefined) {
      response.writeHead(202, { 'content-length': 0 }).end()
      return
    }
    const result = resultOf(asked)
    const answer = result === undefined ? { error: { code: -32601, message: 'no such method' } } : { result }
    const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: asked.id, ...answer }))
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body)
  })
}

const server = createServer({ keepAliveTimeout: 600_000 }, serve)
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) console.log(JSON.stringify({ port: address.port }))
})
