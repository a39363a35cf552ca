import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type TestContext, test } from 'node:test'
import { verifies } from '../../testing/verifies.ts'
import { splitBatch } from './batch.ts'
import { createUpstream } from './index.ts'
import { createLineDecoder } from './lines.ts'
import { callTool } from './testing/ask.ts'

// What only raw sockets can say: chunks and statuses that no HTTP library writes.
type Serve = (socket: Socket, message: { readonly id?: number; readonly method?: string }) => void

const MIB = 2 ** 20

function json(socket: Socket, value: unknown, status = '200 OK', more = ''): void {
  const body = JSON.stringify(value)
  socket.write(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\n${more}content-length: ${body.length}\r\n\r\n${body}`,
  )
}

/** A legacy server with sessions; `serve` takes the calls of tools. */
async function serverOf(t: TestContext, serve: Serve) {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    let held = ''
    socket.on('data', (chunk) => {
      held += chunk.toString('latin1')
      for (let end = held.indexOf('\r\n\r\n'); end >= 0; end = held.indexOf('\r\n\r\n')) {
        const length = Number(/content-length: (\d+)/i.exec(held.slice(0, end))?.[1] ?? 0)
        if (held.length < end + 4 + length) return
        const body = held.slice(end + 4, end + 4 + length)
        held = held.slice(end + 4 + length)
        const message: Parameters<Serve>[1] = body === '' ? {} : JSON.parse(body)
        const { id, method } = message
        if (method === 'tools/call') serve(socket, message)
        else if (method === 'initialize') {
          const result = { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: {} }
          json(socket, { jsonrpc: '2.0', id, result }, '200 OK', 'mcp-session-id: abc\r\n')
        } else json(socket, {}, id === undefined ? '202 Accepted' : '405 No')
      }
    })
  })
  return upstreamOf(t, server)
}

/** A legacy upstream `s` over a server written by hand; both end with the test. */
async function upstreamOf(t: TestContext, server: Server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const upstream = createUpstream({
    servers: {
      s: { transport: 'http', era: 'legacy', network: ['127.0.0.0/8'], url: `http://127.0.0.1:${port}/mcp` },
    },
  })
  t.after(async () => {
    await upstream.close()
    server.close()
  })
  return upstream
}

const held = (): number => {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

test('an answer in one-byte chunks holds no more than a few times its bytes', async (t) => {
  const upstream = await serverOf(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n')
    for (let i = 0; i < 50; i++) socket.write('1\r\n \r\n'.repeat(10_000))
  })
  const before = held()
  const call = callTool(upstream, 's', 'x', { signal: AbortSignal.timeout(2_500) }).catch(() => undefined)
  await sleep(2_000)
  const grown = held() - before
  await call
  // 500,000 bytes of body; a view for each would be 60 MiB.
  assert.ok(grown < 20 * MIB, `${Math.round(grown / MIB)} MiB`)
})

test('a line in one-byte pieces holds no more than a few times its bytes, and comes out whole', () => {
  const decoder = createLineDecoder(8 * MIB)
  const before = held()
  const piece = Buffer.from('x')
  let lines = 0
  for (let i = 0; i < 500_000; i++) decoder.push(Buffer.from(piece), () => assert.fail('no end yet'))
  const grown = held() - before
  decoder.push(Buffer.from('y\n'), (line) => {
    lines++
    assert.equal(line.length, 500_001)
  })
  assert.equal(lines, 1)
  assert.ok(grown < 20 * MIB, `${Math.round(grown / MIB)} MiB`)
})

test('a result of our own id under HTTP 404 is the answer: the call ran, and is not made again', async (t) => {
  verifies('call.fail-closed')
  let ran = 0
  const upstream = await serverOf(t, (socket, { id }) => {
    ran++
    json(socket, { jsonrpc: '2.0', id, result: { content: [] } }, '404 Not Found')
  })
  assert.deepEqual((await callTool(upstream, 's', 'x')).value, { content: [] })
  assert.equal(ran, 1)
})

test('a 404 without a result is a session that was forgotten: it is made again, and the call once more', async (t) => {
  verifies('call.fail-closed')
  let ran = 0
  const upstream = await serverOf(t, (socket, { id }) => {
    if (++ran > 1) return json(socket, { jsonrpc: '2.0', id, result: { content: [] } })
    json(
      socket,
      { jsonrpc: '2.0', id, error: { code: -32001, message: 'Session not found' } },
      '404 Not Found',
    )
  })
  assert.deepEqual((await callTool(upstream, 's', 'x')).value, { content: [] })
  assert.equal(ran, 2)
})

test('a batch is cut no further than it is read', () => {
  const bytes = Buffer.from(`[${'{},'.repeat(500_000)}{}]`)
  const before = held()
  const [first] = splitBatch(bytes)
  assert.equal(first?.length, 2)
  assert.ok(held() - before < 10 * MIB)
})

/** A server of which every GET is a stream that `say` writes, and the requests that it got. */
async function streaming(t: TestContext, say: (socket: Socket) => void) {
  const requests: string[] = []
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1')
      requests.push(text)
      if (text.startsWith('GET')) {
        socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n')
        say(socket)
      } else if (text.startsWith('POST /mcp')) {
        socket.end('HTTP/1.1 405 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
      }
    })
  })
  const upstream = await upstreamOf(t, server)
  return { upstream, requests }
}

test('an HTTP+SSE server that names an endpoint of more than 8,192 characters is refused, one just as long is used', async (t) => {
  verifies('call.fail-closed')
  for (const [length, used] of [
    [8_192, true],
    [8_193, false],
  ] as const) {
    const { upstream, requests } = await streaming(t, (socket) => {
      socket.write(`event: endpoint\ndata: /${'p'.repeat(length - 1)}\n\n`)
    })
    await callTool(upstream, 's', 'x', { signal: AbortSignal.timeout(1_000) }).catch(() => undefined)
    assert.equal(
      requests.some((text) => text.startsWith('POST /ppp')),
      used,
    )
  }
})

test('an event id that no header can carry, or that is too long for one, is no place to go on from', async (t) => {
  verifies('call.fail-closed')
  const sent: string[] = []
  const ids = ['\u20ac1', 'x'.repeat(1_025), 'e1', 'e2']
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1')
      if (text.startsWith('GET')) {
        sent.push(/last-event-id: (\S+)/i.exec(text)?.[1] ?? '')
        const id = ids[sent.length - 1]
        const event =
          id === undefined
            ? ''
            : `retry: 1\nid: ${id}\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\n`
        socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n')
        if (id === undefined) socket.write(':\n\n')
        else socket.end(event)
        return
      }
      const body = text.slice(text.indexOf('\r\n\r\n') + 4)
      const message: { id?: number; method?: string } = body === '' ? {} : JSON.parse(body)
      const result = { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: {} }
      if (message.method === 'initialize')
        json(socket, { jsonrpc: '2.0', id: message.id, result }, '200 OK', 'mcp-session-id: abc\r\n')
      else json(socket, {}, '202 Accepted')
    })
  })
  const upstream = await upstreamOf(t, server)
  const stop = new AbortController()
  const wish = {
    server: 's',
    session: 'one',
    principal: undefined,
    capabilities: {},
    resources: [],
    onNotification: () => undefined,
  }
  const heard = upstream.listen(wish, stop.signal).catch(() => undefined)
  for (let i = 0; i < 400 && sent.length < 5; i++) await sleep(20)
  stop.abort()
  await heard
  assert.deepEqual(sent.slice(0, 5), ['', '', '', 'e1', 'e2'])
})
