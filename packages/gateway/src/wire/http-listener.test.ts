import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, type Socket, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifies } from '../testing/verifies.ts'
import { type Exchange, createListener, readBody, send } from './http-listener.ts'

/** What a host may let pass without reading: requestTimeoutMs and a second. */
const PATIENCE_MS = 1_100

/** @returns a way to open a socket to it that has asked once */
async function listening(
  t: TestContext,
  serve: (exchange: Exchange) => Promise<void>,
  requestTimeoutMs = 100,
) {
  const hosts = new Set<string>()
  const server = createListener(
    {
      host: '127.0.0.1',
      port: 0,
      maxConnections: 10,
      headersTimeoutMs: 100,
      requestTimeoutMs,
      idleTimeoutMs: 5_000,
      maxHeaderBytes: 16_384,
      maxRequestBytes: 1_024,
      hosts,
      origins: new Set(),
      trustedProxies: [],
    },
    { serve, refuse: () => assert.fail('not refused') },
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  hosts.add(`127.0.0.1:${port}`)
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return async (): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    socket.write(`GET /x HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)
    return socket
  }
}

test('a host that asks and never reads loses its connection, and the answer is let go', async (t) => {
  const closed: Promise<unknown>[] = []
  const open = await listening(t, async (exchange) => {
    closed.push(once(exchange.response, 'close'))
    send(exchange, 200, [], Buffer.alloc(16 * 1_048_576))
  })
  const socket = await open()
  socket.pause()
  while (closed.length === 0) await sleep(5)
  await Promise.all(closed)
})

test('a host that reads slowly gets the whole answer, and one that waits long for its call does too', async (t) => {
  const size = 16 * 1_048_576
  const open = await listening(t, async (exchange) => {
    await sleep(PATIENCE_MS + 200)
    send(exchange, 200, [], Buffer.alloc(size))
  })
  const socket = await open()
  let read = 0
  // What is not pulled stays in the socket, and no chunk comes while nobody listens.
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    const before = Math.floor(read / 4_194_304)
    read += chunk.length
    if (Math.floor(read / 4_194_304) !== before) await sleep(PATIENCE_MS / 3)
    if (read > size) break
  }
  assert.ok(read > size)
})

test('what is no HTTP ends its connection, with a 400 only where no answer is on the way', async (t) => {
  const heard = async (answer: (exchange: Exchange) => void, requests: number): Promise<string> => {
    const asked: Exchange[] = []
    const open = await listening(t, async (exchange) => {
      asked.push(exchange)
      answer(exchange)
    })
    const socket = await open()
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
    const port = socket.remotePort
    while (asked.length < 1) await sleep(5)
    for (let i = 1; i < requests; i++) socket.write(`GET /x HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)
    while (asked.length < requests) await sleep(5)
    socket.write('\x00garbage\r\n\r\n')
    await once(socket, 'close')
    return text
  }
  const begin = ({ response }: Exchange): void => void response.writeHead(200).write('begun')
  const heads = (text: string): string[] => text.match(/HTTP\/1\.1 \d+/g) ?? []
  assert.deepEqual(heads(await heard(begin, 1)), ['HTTP/1.1 200'])
  let first = true
  const beginFirst = (exchange: Exchange): void => {
    if (first) begin(exchange)
    first = false
  }
  assert.deepEqual(heads(await heard(beginFirst, 2)), ['HTTP/1.1 200'])
  assert.deepEqual(heads(await heard((exchange) => send(exchange, 200, [], Buffer.alloc(0)), 1)), [
    'HTTP/1.1 200',
    'HTTP/1.1 400',
  ])
})

test('a body in one-byte chunks holds no more than a few times its bytes, and nobody had to say who he is', async (t) => {
  verifies('spine.bombs')
  const mib = 1_048_576
  const held = (): number => process.memoryUsage().heapUsed + process.memoryUsage().external
  let begun = false
  const body = Promise.withResolvers<Buffer>()
  const open = await listening(
    t,
    async (exchange) => {
      if (exchange.request.method === 'GET') return
      begun = true
      readBody(exchange, mib).then(body.resolve, body.reject)
    },
    20_000,
  )
  const { remotePort } = await open()
  const socket = connect(remotePort ?? 0, '127.0.0.1')
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  const before = held()
  socket.write(
    `POST /x HTTP/1.1\r\nHost: 127.0.0.1:${remotePort}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
  )
  const count = 300_000
  for (let i = 0; i < count / 10_000; i++) socket.write('1\r\nx\r\n'.repeat(10_000))
  while (socket.writableLength > 0) await sleep(5)
  await sleep(500)
  const grown = held() - before
  assert.equal(begun, true)
  socket.write('0\r\n\r\n')
  assert.equal((await body.promise).length, count)
  assert.ok(grown < 20 * mib, `${Math.round(grown / mib)} MiB`)
})
