import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { startServerProcess } from './server-process.ts'

/** One tools/call as the server met it. */
export interface SeenCall {
  readonly tool: string
  /** Argument `mark`: the name that the load gave the call. */
  readonly mark: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** A running fixture server. */
export interface FixtureServer {
  /** Its MCP endpoint. */
  readonly url: string
  /** YAML of a gate's `servers:` for it, under the id `fix`: `look` is read class, `note` is write class. */
  readonly yaml: string
  /** Every call so far, in order. */
  seen(): Promise<readonly SeenCall[]>
  close(): Promise<void>
}

const SELF = fileURLToPath(import.meta.url)

/**
 * An MCP server over HTTP in a process of its own, modern era, answers as JSON: what it saw outlives every death of the
 * gate before it. A call is written down before it is answered, as a side effect is.
 * @param delayMs how long it thinks about each call, in milliseconds; default 0
 */
export async function startFixture(delayMs = 0): Promise<FixtureServer> {
  const { url, close } = await startServerProcess(SELF, 'serve', String(delayMs))
  return {
    url: `${url}/mcp`,
    yaml: `fix:
  url: ${url}/mcp
  network: [127.0.0.0/8]
  era: modern
  approve: first-use
  tools: { look: { class: read }, note: { class: write } }`,
    async seen() {
      const response = await fetch(`${url}/seen`)
      return (await response.json()) as readonly SeenCall[]
    },
    close,
  }
}

// From here on: the server itself.

const inputSchema = {
  type: 'object',
  properties: { mark: { type: 'string', maxLength: 64 } },
  required: ['mark'],
  additionalProperties: false,
}
const FRAME = { resultType: 'complete' }
const CACHE = { ttlMs: 0, cacheScope: 'private' }

interface Asked {
  readonly id?: number
  readonly method: string
  readonly params: { readonly name?: string; readonly arguments?: { readonly mark?: string } }
}

function serve(delayMs: number): void {
  const seen: SeenCall[] = []

  function resultOf({ method, params }: Asked): object | undefined {
    if (method === 'server/discover') {
      const serverInfo = { name: 'fixture', version: '1.0.0' }
      return {
        ...FRAME,
        ...CACHE,
        supportedVersions: ['2026-07-28'],
        capabilities: { tools: {} },
        serverInfo,
      }
    }
    if (method === 'tools/list') {
      return {
        ...FRAME,
        ...CACHE,
        tools: ['look', 'note'].map((name) => ({ name, description: name, inputSchema })),
      }
    }
    if (method !== 'tools/call') return undefined
    const mark = params.arguments?.mark ?? ''
    seen.push({ tool: params.name ?? '', mark, at: Date.now() })
    return { ...FRAME, content: [{ type: 'text', text: `done ${mark}` }] }
  }

  function answer(asked: Asked, response: ServerResponse): void {
    const result = resultOf(asked)
    const rest = result === undefined ? { error: { code: -32601, message: 'no such method' } } : { result }
    const send = (): void => sendJson(response, { jsonrpc: '2.0', id: asked.id, ...rest })
    if (delayMs === 0 || asked.method !== 'tools/call') send()
    else setTimeout(send, delayMs)
  }

  const server = createServer((request: IncomingMessage, response) => {
    if (request.method === 'GET') return sendJson(response, seen)
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => answer(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Asked, response))
    // The gate dies in the middle of its requests; that is what this server is for.
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    return undefined
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (typeof address === 'object' && address !== null) console.log(address.port)
  })
}

function sendJson(response: ServerResponse, value: object): void {
  const body = Buffer.from(JSON.stringify(value))
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body)
}

if (process.argv[1] === SELF && process.argv[2] === 'serve') serve(Number(process.argv[3]))
