import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** A crowd of MCP servers over HTTP, modern era, in one process and behind one port: server n is the path `/sN`. */
export interface ManyServers {
  /** URL of one of them, by number. */
  url(server: number): string
  /** Requests so far, by `sN method`. */
  readonly asked: readonly string[]
  /** Lets the servers that hang answer from now on. */
  release(): void
  close(): Promise<void>
}

export interface Crowd {
  /** Tools of each server: `tool-0` and so on, about a kilobyte each. */
  readonly tools: number
  /** How long a server thinks about its list, in milliseconds; `hangs` until it is released. */
  readonly listMs: (server: number) => number | 'hangs'
}

/** A definition like those of real servers, about 1,000 bytes. */
export function sizedTool(name: string): object {
  const property = (of: string) => ({ type: 'string', description: `${of}: ${'what it is for. '.repeat(3)}` })
  return {
    name,
    title: `Tool ${name}`,
    description: 'It does what its name says. '.repeat(16),
    inputSchema: {
      type: 'object',
      properties: Object.fromEntries(['path', 'query', 'limit'].map((of) => [of, property(of)])),
      required: ['path'],
      additionalProperties: false,
    },
    annotations: { readOnlyHint: true, destructiveHint: false },
  }
}

/** Starts the crowd on a port of its own. */
export async function startMany(crowd: Crowd): Promise<ManyServers> {
  const asked: string[] = []
  const released = Promise.withResolvers<void>()
  const tools = Array.from({ length: crowd.tools }, (_, i) => sizedTool(`tool-${i}`))
  const frame = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' }

  async function resultOf(server: number, method: string): Promise<object | undefined> {
    if (method === 'server/discover') {
      const serverInfo = { name: `s${server}`, version: '1.0.0' }
      return { ...frame, supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, serverInfo }
    }
    if (method === 'tools/call') return { resultType: 'complete', content: [{ type: 'text', text: 'done' }] }
    if (method !== 'tools/list') return undefined
    const ms = crowd.listMs(server)
    await (ms === 'hangs' ? released.promise : sleep(ms))
    return { ...frame, tools }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { id, method } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
      id: number
      method: string
    }
    const server = Number(request.url?.slice('/s'.length))
    asked.push(`s${server} ${method}`)
    const result = await resultOf(server, method)
    const rest = result === undefined ? { error: { code: -32601, message: 'no such method' } } : { result }
    const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, ...rest }))
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body)
  }

  const http = createServer((request, response) => {
    // A gate that stops in the middle of its requests breaks them.
    serve(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const address = http.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: (server) => `http://127.0.0.1:${port}/s${server}`,
    asked,
    release: () => released.resolve(),
    async close() {
      released.resolve()
      http.closeAllConnections()
      await new Promise<void>((resolve) => http.close(() => resolve()))
    },
  }
}
