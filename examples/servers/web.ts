// A web fetcher over stdio, with a real fetch: `node web.ts`.
import { McpServer } from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { z } from 'zod'

const MAX_CHARS = 20_000

serveStdio(() => {
  const server = new McpServer({ name: 'web', version: '1.0.0' })
  server.registerTool(
    'fetch',
    {
      description: 'Fetches a page by URL and returns its text.',
      inputSchema: z.object({ url: z.string().max(2_048) }),
    },
    async ({ url }) => {
      const response = await fetch(url, { signal: AbortSignal.timeout(10_000) })
      const page = (await response.text()).slice(0, MAX_CHARS)
      return { content: [{ type: 'text', text: `${response.status}\n${page}` }] }
    },
  )
  return server
})
