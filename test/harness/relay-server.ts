/**
 * A legacy stdio server for what passes through `callgate connect` and `callgate wrap`: it asks its host in the middle of a call,
 * tells progress right before its answer, answers at length, and writes to the file it is given which calls were cancelled.
 */
import { appendFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const [log = ''] = process.argv.slice(2)
const say = (message: object): void =>
  void process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
const text = (value: string): object => ({ content: [{ type: 'text', text: value }] })
const TOOLS = ['ask', 'count', 'big', 'never', 'whoami'].map((name) => ({
  name,
  description: name,
  inputSchema: { type: 'object', properties: {} },
}))
/** Calls by the id of the question that they wait for. */
const asking = new Map<string, unknown>()
const calls = new Map<unknown, unknown>()

createInterface({ input: process.stdin }).on('line', (line) => {
  const message = JSON.parse(line) as {
    id?: string | number
    method?: string
    params?: { name?: string; requestId?: unknown; _meta?: { progressToken?: unknown } }
    result?: { content?: { name?: string } }
  }
  const { id, method, params } = message
  if (method === undefined) {
    const call = asking.get(String(id))
    say({ id: call, result: text(`you are ${message.result?.content?.name}`) })
  } else if (method === 'initialize') {
    const serverInfo = { name: 'relay-server', version: '1' }
    say({ id, result: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo } })
  } else if (method === 'tools/list') say({ id, result: { tools: TOOLS } })
  else if (method === 'tools/call') called(id, params?.name, params?._meta?.progressToken)
  else if (method === 'notifications/cancelled')
    appendFileSync(log, `cancelled ${String(calls.get(params?.requestId))}\n`)
  else if (id !== undefined) say({ id, error: { code: -32601, message: 'Method not found' } })
})

function called(id: unknown, name: string | undefined, progressToken: unknown): void {
  calls.set(id, name)
  switch (name) {
    case 'ask':
      asking.set(`q${asking.size}`, id)
      return say({
        id: `q${asking.size - 1}`,
        method: 'elicitation/create',
        params: {
          message: 'Who are you?',
          requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
        },
      })
    case 'count':
      for (const progress of [1, 2, 3])
        say({ method: 'notifications/progress', params: { progressToken, progress } })
      return say({ id, result: text('counted') })
    case 'big':
      return say({ id, result: text('x'.repeat(1_000_000)) })
    case 'whoami':
      return say({ id, result: text(JSON.stringify(process.env)) })
    default:
  }
}
