/**
 * A legacy stdio server whose resources change ten times a second, told to whoever subscribed. Its tool `log` logs one message at
 * `debug` before it answers, and only where that level was asked for.
 */
import { createInterface } from 'node:readline'

const say = (message: object): void =>
  void process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
const watched = new Set<string>()
let level = 'warning'

setInterval(() => {
  for (const uri of watched) say({ method: 'notifications/resources/updated', params: { uri } })
}, 100).unref()

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line) as {
    id?: string | number
    method?: string
    params?: { uri?: string; level?: string }
  }
  if (id !== undefined && method !== undefined) say({ id, result: resultOf(method, params ?? {}) })
})

function resultOf(method: string, { uri = '', level: wanted }: { uri?: string; level?: string }): object {
  switch (method) {
    case 'initialize':
      return {
        protocolVersion: '2025-11-25',
        capabilities: { tools: {}, resources: { subscribe: true }, logging: {} },
        serverInfo: { name: 'watched-server', version: '1' },
      }
    case 'tools/list':
      return { tools: [{ name: 'log', description: 'log', inputSchema: { type: 'object' } }] }
    case 'tools/call':
      if (level === 'debug') say({ method: 'notifications/message', params: { level, data: 'detail' } })
      return { content: [{ type: 'text', text: 'logged' }] }
    case 'logging/setLevel':
      level = wanted ?? level
      return {}
    case 'resources/subscribe':
      watched.add(uri)
      return {}
    case 'resources/unsubscribe':
      watched.delete(uri)
      return {}
    default:
      return {}
  }
}
