import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, type Socket, createServer } from 'node:net'
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
