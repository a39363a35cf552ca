import { createServer } from 'node:http'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { type GuardOptions, callerOf, createGuard, guarded, owned } from '@callgate/guard'
import { z } from 'zod'

interface Order {
  readonly tenant: string
  readonly issuer: string
  readonly subject: string
  readonly item: string
}

/** Finds an order and says whose it is: the only way to orders that tools have. */
function lookupIn(orders: ReadonlyMap<string, Order>) {
  return (id: string) => {
    const order = orders.get(id)
    if (order === undefined) return undefined
    const { tenant, issuer, subject } = order
    return { owner: { tenant, person: { issuer, subject } }, object: order }
  }
}

function createOrders(orders: ReadonlyMap<string, Order>): McpServer {
  const server = new McpServer({ name: 'orders', version: '1.0.0' })
  server.registerTool(
    'get_order',
    { description: 'Reads one order.', inputSchema: { id: z.string() } },
    async ({ id }, extra) => {
      const order = await owned(callerOf(extra), id, lookupIn(orders))
      return { content: [{ type: 'text', text: order.item }] }
    },
  )
  return server
}

export function createOrdersServer(options: GuardOptions, orders: ReadonlyMap<string, Order>) {
  const serve = guarded(createGuard(options), async (request, response, message) => {
    // Without sessions: a server and a transport for each request.
    const transport = new StreamableHTTPServerTransport({})
    await createOrders(orders).connect(transport as Parameters<McpServer['connect']>[0])
    await transport.handleRequest(request, response, message)
  })
  return createServer(serve)
}
