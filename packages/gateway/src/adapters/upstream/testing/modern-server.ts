import { setTimeout as sleep } from 'node:timers/promises'
import { McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'

const text = (value: string): { content: { type: 'text'; text: string }[] } => ({
  content: [{ type: 'text', text: value }],
})

/** Requests that were cancelled, by any server of this process. */
export const cancelled: string[] = []

/** A dual-era server of the SDK v2: echo, slow (progress, cancel), one resource, one prompt. */
export function createModernServer(): McpServer {
  const server = new McpServer({ name: 'modern-fixture', version: '1.0.0' }, { instructions: 'be modern' })
  server.registerTool(
    'echo',
    { description: 'Echoes', inputSchema: z.object({ message: z.string() }) },
    (args) => text(args.message),
  )
  server.registerTool('slow', { description: 'Takes its time' }, async (context) => {
    const token = context.mcpReq._meta?.progressToken
    for (let progress = 1; progress <= 20; progress++) {
      if (context.mcpReq.signal.aborted) {
        cancelled.push('slow')
        break
      }
      if (token !== undefined) {
        await context.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken: token, progress, total: 20 },
        })
      }
      await sleep(10)
    }
    return text('done')
  })
  server.registerResource('note', 'note://one', { mimeType: 'text/plain' }, (uri) => ({
    contents: [{ uri: uri.href, text: 'a note' }],
  }))
  server.registerPrompt('hello', {}, () => ({
    messages: [{ role: 'user', content: { type: 'text', text: 'hello' } }],
  }))
  return server
}
