import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { McpServer as LegacyServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { createMcpHandler } from '@modelcontextprotocol/server'
import { createModernServer } from './modern-server.ts'

/** What a server saw of one request. */
export interface Seen {
  readonly method: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** A listening server. */
export interface Listening {
  readonly url: string
  /** Every request, in order of arrival. */
  readonly seen: readonly Seen[]
  /** Requests whose socket the client closed before the answer was whole. */
  readonly aborted: readonly string[]
  /** Sockets that were opened. */
  readonly sockets: () => number
  close(): Promise<void>
}

/** Listens on 127.0.0.1 with a handler that gets the whole body. */
export async function listen(
  handler: (request: IncomingMessage, response: ServerResponse, body: string) => unknown,
): Promise<Listening> {
  const seen: Seen[] = []
  const aborted: string[] = []
  let sockets = 0
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      seen.push({ method: request.method ?? '', headers: request.headers, body })
      response.on('close', () => {
        if (!response.writableFinished) aborted.push(body)
      })
      void handler(request, response, body)
    })
  }
  const server = createServer(listener)
  server.on('connection', () => sockets++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  return {
    url: `http://127.0.0.1:${address.port}/mcp`,
    seen,
    aborted,
    sockets: () => sockets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** A modern HTTP server of the SDK v2; `reject`: modern only. */
export async function listenModern(legacy: 'stateless' | 'reject' = 'reject'): Promise<Listening> {
  const handler = createMcpHandler(createModernServer, { legacy })
  const listening = await listen(async (request, response, body) => {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    const headers = new Headers()
    for (const [name, value] of Object.entries(request.headers)) headers.set(name, String(value))
    const answer = await handler.fetch(
      new Request(`http://127.0.0.1${request.url ?? ''}`, {
        method: request.method ?? 'POST',
        headers,
        ...(request.method === 'GET' ? {} : { body }),
        signal: gone.signal,
      }),
    )
    response.writeHead(answer.status, Object.fromEntries(answer.headers))
    if (answer.body !== null) for await (const chunk of answer.body) response.write(chunk)
    response.end()
  })
  return {
    ...listening,
    close: async () => {
      await handler.close()
      await listening.close()
    },
  }
}

/** A legacy HTTP server of the SDK v1 with sessions, and a way to forget them all as a restart would. */
export interface LegacyListening extends Listening {
  readonly sessions: ReadonlyMap<string, unknown>
  /** Calls that a `notifications/cancelled` reached. */
  readonly cancelled: readonly string[]
  /** Times that `count` ran. */
  readonly ran: () => number
  forget(): void
}

/** @param tools names of further tools, by number of the session: what a rug pull per principal looks like */
export async function listenLegacy(
  tools: (session: number) => string[] = () => [],
): Promise<LegacyListening> {
  const sessions = new Map<string, StreamableHTTPServerTransport>()
  const cancelled: string[] = []
  let ran = 0
  let made = 0
  const listening = await listen(async (request, response, body) => {
    const id = request.headers['mcp-session-id']
    let transport = typeof id === 'string' ? sessions.get(id) : undefined
    if (transport === undefined) {
      if (id !== undefined) {
        response.writeHead(404, { 'content-type': 'application/json' })
        response.end('{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}')
        return
      }
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (session) => {
          if (transport !== undefined) sessions.set(session, transport)
        },
        onsessionclosed: (session) => {
          sessions.delete(session)
        },
      })
      const server = new LegacyServer({ name: 'legacy-fixture', version: '1.0.0' })
      server.registerTool('count', { description: 'Counts' }, () => ({
        content: [{ type: 'text', text: String(++ran) }],
      }))
      server.registerTool('slow', { description: 'Takes its time' }, async (extra) => {
        const progressToken = extra._meta?.progressToken
        for (let progress = 1; progress <= 20 && !extra.signal.aborted; progress++) {
          if (progressToken !== undefined) {
            await extra.sendNotification({
              method: 'notifications/progress',
              params: { progressToken, progress },
            })
          }
          await sleep(10)
        }
        if (extra.signal.aborted) cancelled.push('slow')
        return { content: [{ type: 'text', text: 'done' }] }
      })
      server.registerTool('roots', { description: 'Asks for roots' }, async (extra) => {
        const { roots } = await server.server.listRoots(undefined, { relatedRequestId: extra.requestId })
        return { content: [{ type: 'text', text: roots.map((root) => root.uri).join(' ') }] }
      })
      for (const name of tools(made++)) {
        server.registerTool(name, {}, () => ({ content: [{ type: 'text', text: name }] }))
      }
      await server.connect(transport)
    }
    await transport.handleRequest(request, response, body === '' ? undefined : JSON.parse(body))
  })
  return { ...listening, sessions, cancelled, ran: () => ran, forget: () => sessions.clear() }
}
