/** How an MCP server of 2025-11-25 without sessions, which has one tool, answers a POST: status and body. */
export function oneTool(tool: string, text: string, body: string): { status: number; json: string } {
  const { id, method = '' } = JSON.parse(body || '{}') as { id?: number; method?: string }
  if (id === undefined) return { status: 202, json: '' }
  const results: Readonly<Record<string, object>> = {
    initialize: {
      protocolVersion: '2025-11-25',
      capabilities: { tools: {} },
      serverInfo: { name: tool, version: '1' },
    },
    'tools/list': { tools: [{ name: tool, inputSchema: { type: 'object' } }] },
    'tools/call': { content: [{ type: 'text', text }] },
  }
  const result = results[method]
  const answer = result === undefined ? { error: { code: -32601, message: 'no such method' } } : { result }
  return { status: 200, json: JSON.stringify({ jsonrpc: '2.0', id, ...answer }) }
}
