import { createServer } from 'node:http'

/** A server with tools of any arguments, resources and prompts, which answers what the test says and keeps what it got. */
export class SayingServer {
  /** Bodies of tools/call. */
  readonly seen: string[] = []
  /** The next result, for whatever is asked. */
  says: object = { content: [] }
  readonly #tools: readonly object[]
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const { id, method = '' } = JSON.parse(body || '{}') as { id?: number; method?: string }
      if (id === undefined) return void response.writeHead(202).end()
      if (method === 'tools/call') this.seen.push(body)
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
    if (method === 'resources/list') return { resources: [{ uri: 'file:///one', name: 'one' }] }
    if (method === 'resources/templates/list') return { resourceTemplates: [] }
    if (method === 'prompts/list') return { prompts: [{ name: 'one' }] }
    if (method !== 'initialize') return this.says
    return {
      protocolVersion: '2025-11-25',
      capabilities: { tools: {}, resources: {}, prompts: {} },
      serverInfo: { name: 'saying', version: '1' },
    }
  }

  /** @returns its URL */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/mcp`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}
