import { type ServerResponse, createServer } from 'node:http'

/** A server with tools of any arguments, resources and prompts, which answers what the test says and keeps what it got. */
export class SayingServer {
  /** Bodies of tools/call and completion/complete. */
  readonly seen: string[] = []
  /** The next result, for whatever is asked. */
  says: object = { content: [] }
  /** Results of lists by method. */
  lists: Readonly<Record<string, object>> = {
    'resources/list': { resources: [{ uri: 'file:///one', name: 'one' }] },
    'resources/templates/list': { resourceTemplates: [] },
    'prompts/list': { prompts: [{ name: 'one' }] },
  }
  /** Streams that are open for what nobody asked for. */
  readonly streams = new Set<ServerResponse>()
  readonly #tools: readonly object[]
  readonly #server = createServer((request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      this.streams.add(response)
      return void response.on('close', () => this.streams.delete(response))
    }
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const { id, method = '' } = JSON.parse(body || '{}') as { id?: number; method?: string }
      if (id === undefined) return void response.writeHead(202).end()
      if (method === 'tools/call' || method === 'completion/complete') this.seen.push(body)
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result: this.#result(method) }))
    })
  })

  /** @param tools names, each with what else stands in its definition */
  constructor(tools: Readonly<Record<string, object>>) {
    this.#tools = Object.entries(tools).map(([name, more]) => ({
      name,
      inputSchema: { type: 'object' },
      ...more,
    }))
  }

  #result(method: string): object {
    if (method === 'tools/list') return { tools: this.#tools }
    const list = this.lists[method]
    if (list !== undefined) return list
    if (method !== 'initialize') return this.says
    return {
      protocolVersion: '2025-11-25',
      capabilities: { tools: {}, resources: {}, prompts: {}, completions: {}, logging: {} },
      serverInfo: { name: 'saying', version: '1' },
    }
  }

  /** @returns its URL */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/mcp`
  }

  /** Tells whoever listens. */
  tell(method: string, params: object): void {
    const message = JSON.stringify({ jsonrpc: '2.0', method, params })
    for (const stream of this.streams) stream.write(`data: ${message}\n\n`)
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}
