import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'

type Members = Record<string, unknown>

/** One request as the server met it. */
export interface SeenRequest {
  readonly method: string
  readonly params: Members
  readonly headers: IncomingHttpHeaders
}

const FRAME = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' }
const inputSchema = { type: 'object', properties: {}, additionalProperties: false }

/** The extension, as either side declares it. */
export const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} } }

/** A server of one era over HTTP whose answers to calls and tasks a test chooses: tools `job` (write) and `look` (read). */
export class TasksServer {
  readonly seen: SeenRequest[] = []
  readonly #server: Server
  readonly #era: 'modern' | 'legacy'
  /** Result of each method; one with `code` is answered as an error. */
  answers: Record<string, Members> = {}

  private constructor(era: 'modern' | 'legacy') {
    this.#era = era
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        if (request.method !== 'POST') return response.writeHead(405).end()
        const asked = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
          id?: number
          method: string
          params: Members
        }
        this.seen.push({ method: asked.method, params: asked.params, headers: request.headers })
        if (asked.id === undefined) return response.writeHead(202).end()
        const answer = this.#answer(asked.method)
        const text = JSON.stringify({
          jsonrpc: '2.0',
          id: asked.id,
          ['code' in answer ? 'error' : 'result']: answer,
        })
        // A number that no double holds: it must reach the host as it stands here.
        return response.writeHead(200, { 'content-type': 'application/json' }).end(text.replace('"BIG"', BIG))
      })
    })
  }

  static async start(era: 'modern' | 'legacy' = 'modern'): Promise<TasksServer> {
    const server = new TasksServer(era)
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  /** YAML of a gate's `servers:` for it. */
  yaml(id: string, more = ''): string {
    const address = this.#server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    return `${id}:
  url: http://127.0.0.1:${port}/mcp
  network: [127.0.0.0/8]
  approve: first-use
  tools: { look: { class: read }, job: { class: write } }
${more}`
  }

  /** What came by a method, oldest first. */
  came(method: string): SeenRequest[] {
    return this.seen.filter((request) => request.method === method)
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #answer(method: string): Members {
    // A legacy server that says so all the same must not be believed.
    const capabilities = { tools: {}, ...TASKS }
    const serverInfo = { name: 'tasks-fixture', version: '1' }
    if (method === 'server/discover' && this.#era === 'modern')
      return { ...FRAME, supportedVersions: ['2026-07-28'], capabilities, serverInfo }
    if (method === 'initialize') return { protocolVersion: '2025-11-25', capabilities, serverInfo }
    if (method === 'tools/list')
      return { ...FRAME, tools: ['job', 'look'].map((name) => ({ name, inputSchema })) }
    return this.answers[method] ?? { code: -32601, message: 'no such method' }
  }
}

/** What `BIG` stands for in an answer. */
export const BIG = '12345678901234567890.5'
