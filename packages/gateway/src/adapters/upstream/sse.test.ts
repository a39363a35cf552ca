import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test, type TestContext } from 'node:test'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js'
import { isJsonObject, member } from '../../call/json.ts'
import { UpstreamFailed, type Upstream, type UpstreamFault } from '../../ports/upstream.ts'
import { verifies } from '../../testing/verifies.ts'
import { createUpstream } from './index.ts'
import { textOf, until } from './testing/ask.ts'
import { callFor, testHost } from './testing/host.ts'

const FORMS = { elicitation: { form: {} } }
const http = { transport: 'http', network: ['127.0.0.0/8'] } as const

/** A server of 2024-11-05 by the SDK v1: GET /sse, POST /messages. */
async function listenSse() {
  const transports = new Map<string, SSEServerTransport>()
  const cancelled: string[] = []
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://127.0.0.1')
    if (url.pathname === '/sse' && request.method === 'GET') {
      const transport = new SSEServerTransport('/messages', response)
      transports.set(transport.sessionId, transport)
      response.on('close', () => transports.delete(transport.sessionId))
      void createMcp(cancelled).connect(transport)
      return
    }
    const transport = transports.get(url.searchParams.get('sessionId') ?? '')
    if (url.pathname !== '/messages' || transport === undefined) response.writeHead(404).end()
    else void transport.handlePostMessage(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  return {
    url: `http://127.0.0.1:${address.port}/sse`,
    transports,
    cancelled,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function createMcp(cancelled: string[]): McpServer {
  const server = new McpServer({ name: 'sse-fixture', version: '1.0.0' })
  server.registerTool('echo', {}, () => ({ content: [{ type: 'text', text: 'echo' }] }))
  server.registerTool('hangs', {}, (extra) => {
    return new Promise((resolve) => {
      extra.signal.addEventListener('abort', () => {
        cancelled.push('hangs')
        resolve({ content: [] })
      })
    })
  })
  server.registerTool('asks', {}, async (extra) => {
    for (const progress of [1, 2]) {
      const progressToken = extra._meta?.progressToken ?? 0
      await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress } })
    }
    const { action } = await server.server.elicitInput({
      message: 'Which?',
      requestedSchema: { type: 'object', properties: { region: { type: 'string' } } },
    })
    return { content: [{ type: 'text', text: action }] }
  })
  return server
}

const fixture = await listenSse()
const upstream = createUpstream({ servers: { old: { ...http, url: fixture.url } } })
after(async () => {
  await upstream.close()
  await fixture.close()
})

function failsWith(fault: UpstreamFault, text: RegExp): (cause: unknown) => boolean {
  return (cause) => {
    assert.ok(cause instanceof UpstreamFailed, String(cause))
    assert.equal(cause.fault, fault, cause.message)
    assert.match(cause.message, text)
    return true
  }
}

test('a server that has HTTP+SSE alone is found behind the same URL, listed and called; each session has its own there', async () => {
  verifies('eras.http-sse')
  const described = await upstream.describe('old', AbortSignal.timeout(5_000))
  assert.equal(described.era, 'legacy')
  assert.equal(described.tools.length, 3)
  assert.equal(textOf(await callFor(upstream, 'old', 'echo', testHost())), 'echo')
  await callFor(upstream, 'old', 'echo', testHost(), { session: 's2' })
  assert.equal(fixture.transports.size, 3)
})

test('questions and progress come over its stream, and the answers reach it', async () => {
  const host = testHost({ capabilities: FORMS })
  assert.equal(textOf(await callFor(upstream, 'old', 'asks', host)), 'accept')
  assert.deepEqual(host.progress, [{ progress: 1 }, { progress: 2 }])
  assert.equal(host.asked.length, 1)
})

test('a cancel reaches it as a notification', async () => {
  const stop = new AbortController()
  const call = callFor(upstream, 'old', 'hangs', testHost(), { signal: stop.signal })
  setTimeout(() => stop.abort(), 50)
  await assert.rejects(call, failsWith('cancelled', /cancelled/))
  await until('the cancel came', () => fixture.cancelled.length === 1)
})

test('a stream that breaks makes the fate of calls in flight unknown; the next call gets another stream', async () => {
  const session = 'breaks'
  await callFor(upstream, 'old', 'echo', testHost(), { session })
  const call = callFor(upstream, 'old', 'hangs', testHost(), { session })
  const lost = assert.rejects(call, failsWith('unknown_fate', /before it answered/))
  setTimeout(() => {
    for (const transport of fixture.transports.values()) void transport.close()
  }, 50)
  await lost
  assert.equal(textOf(await callFor(upstream, 'old', 'echo', testHost(), { session })), 'echo')
})

/** A server by hand whose stream begins with some events, and whose POSTs get one status. */
async function odd(
  t: TestContext,
  events: (origin: string) => string,
  status = 202,
): Promise<[Upstream, string[]]> {
  const posted: string[] = []
  const server = createServer((request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(events(`http://${String(request.headers.host)}`))
      return
    }
    if (request.url === '/sse') {
      response.writeHead(405).end()
      return
    }
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      const message: unknown = JSON.parse(body)
      posted.push(`${String(request.url)} ${isJsonObject(message) ? String(member(message, 'method')) : ''}`)
      response.writeHead(status).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  const own = createUpstream({
    servers: { odd: { ...http, url: `http://127.0.0.1:${address.port}/sse`, era: 'legacy' } },
    limits: { connectMs: 400 },
  })
  t.after(async () => {
    await own.close()
    server.closeAllConnections()
    server.close()
  })
  return [own, posted]
}

for (const named of [
  'http://169.254.169.254/latest/',
  '//127.0.0.1:1/messages',
  'https://127.0.0.1/messages',
  'http://u:p@127.0.0.1/messages',
  'file:///etc/passwd',
]) {
  test(`an endpoint at another origin (${named}) is never spoken to`, async (t) => {
    const [own, posted] = await odd(t, () => `event: endpoint\ndata: ${named}\n\n`)
    await assert.rejects(
      callFor(own, 'odd', 'echo', testHost()),
      failsWith('protocol', /names an endpoint at another origin/),
    )
    assert.deepEqual(posted, [])
  })
}

test('an endpoint at the own origin is spoken to, as a path and as a whole URL; a second one changes nothing', async (t) => {
  for (const named of [() => '/messages?session=1', (origin: string) => `${origin}/messages?session=1`]) {
    const [own, posted] = await odd(
      t,
      (origin) => `event: endpoint\ndata: ${named(origin)}\n\nevent: endpoint\ndata: /elsewhere\n\n`,
    )
    await assert.rejects(callFor(own, 'odd', 'echo', testHost()), failsWith('timeout', /no answer in time/))
    assert.deepEqual(posted, ['/messages?session=1 initialize'])
  }
})

test('a stream that does not begin with an endpoint is no such server: what POST said stands', async (t) => {
  const [own] = await odd(t, () => 'data: {"jsonrpc":"2.0","method":"notifications/message"}\n\n')
  await assert.rejects(
    callFor(own, 'odd', 'echo', testHost()),
    failsWith('protocol', /answered `initialize` with HTTP 405/),
  )
})

test('a message that the server refuses fails its request at once', async (t) => {
  const [own] = await odd(t, () => 'event: endpoint\ndata: /messages\n\n', 413)
  await assert.rejects(callFor(own, 'odd', 'echo', testHost()), failsWith('protocol', /HTTP 413/))
})
