import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, createServer, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { verifies } from '../testing/verifies.ts'
import { BatchChannels, type Channel, HttpChannel } from './channel.ts'

const MESSAGE = Buffer.from('{"jsonrpc":"2.0","method":"notifications/message"}')
const ANSWER = Buffer.from('{"jsonrpc":"2.0","id":1,"result":{}}')

/** A server that hands each request to the test as a channel. */
async function served(t: TestContext): Promise<{ port: number; next: () => Promise<HttpChannel> }> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    port: (server.address() as AddressInfo).port,
    next: async () => {
      const [incoming, response] = (await once(server, 'request')) as [
        IncomingMessage,
        ConstructorParameters<typeof HttpChannel>[0]['response'],
      ]
      incoming.resume()
      return new HttpChannel({
        request: incoming,
        response,
        path: '/mcp',
        peer: '127.0.0.1',
        certificate: undefined,
      })
    },
  }
}

/** A host that asks and keeps what it reads. */
function asks(t: TestContext, port: number, accept = 'application/json, text/event-stream') {
  const sent = request({ port, host: '127.0.0.1', method: 'POST', headers: { accept } })
  sent.on('error', () => undefined)
  sent.end()
  t.after(() => sent.destroy())
  const whole = once(sent, 'response').then(async ([response]: IncomingMessage[]) => {
    let text = ''
    for await (const chunk of response ?? []) text += String(chunk)
    return { type: response?.headers['content-type'], status: response?.statusCode, text }
  })
  // A host that goes reads nothing.
  whole.catch(() => undefined)
  return { sent, whole }
}

test('an answer alone is JSON; behind a message it is the last event of a stream', async (t) => {
  const { port, next } = await served(t)
  const alone = asks(t, port)
  ;(await next()).reply(200, ANSWER)
  assert.deepEqual(await alone.whole, { type: 'application/json', status: 200, text: ANSWER.toString() })
  const streamed = asks(t, port)
  const channel = await next()
  assert.equal(channel.push(MESSAGE), true)
  channel.reply(200, ANSWER)
  assert.equal((await streamed.whole).text, `data: ${MESSAGE.toString()}\n\ndata: ${ANSWER.toString()}\n\n`)
})

test('a host that takes no stream gets its answer and no message', async (t) => {
  const { port, next } = await served(t)
  const host = asks(t, port, 'application/json')
  const channel = await next()
  assert.deepEqual([channel.streams, channel.push(MESSAGE, true)], [false, false])
  channel.reply(200, ANSWER)
  assert.equal((await host.whole).text, ANSWER.toString())
})

test('after the answer nothing is sent, not even a second answer', async (t) => {
  const { port, next } = await served(t)
  const host = asks(t, port)
  const channel = await next()
  channel.push(MESSAGE)
  channel.reply(200, ANSWER)
  channel.reply(200, ANSWER)
  channel.keepAlive()
  assert.equal(channel.push(MESSAGE, true), false)
  assert.equal((await host.whole).text, `data: ${MESSAGE.toString()}\n\ndata: ${ANSWER.toString()}\n\n`)
})

test('a stream that a host does not read holds 256 KiB of messages at most, and what is due behind them', async (t) => {
  const { port, next } = await served(t)
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  socket.pause()
  socket.write('POST / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: 0\r\n\r\n')
  const channel = await next()
  const large = Buffer.from(JSON.stringify({ text: 'x'.repeat(64 * 1024) }))
  let taken = 0
  while (channel.push(large) && taken < 1_000) {
    taken++
    await turn()
  }
  assert.ok(taken < 1_000, 'the socket takes what it holds, and then no more')
  assert.equal(channel.push(MESSAGE), false)
  assert.equal(channel.push(MESSAGE, true), true)
})

test('a host that goes is told of once, also to who asks late; one that was answered has not gone', async (t) => {
  verifies('bridge.disconnect')
  const { port, next } = await served(t)
  const leaves = asks(t, port)
  const left = await next()
  const told: string[] = []
  left.onGone(() => told.push('early'))
  leaves.sent.destroy()
  await new Promise<void>((resolve) => left.onGone(resolve))
  await new Promise<void>((resolve) => left.onGone(resolve))
  assert.deepEqual([told, left.streams], [['early'], false])

  const stays = asks(t, port)
  const answered = await next()
  answered.onGone(() => told.push('answered'))
  answered.reply(200, ANSWER)
  await stays.whole
  stays.sent.destroy()
  await turn()
  answered.onGone(() => told.push('answered, asked late'))
  await turn()
  assert.deepEqual(told, ['early'])
})

test('a keep-alive is a comment, and only inside a stream that is open', async (t) => {
  const { port, next } = await served(t)
  const host = asks(t, port)
  const channel = await next()
  channel.keepAlive()
  channel.open()
  channel.keepAlive()
  channel.end()
  assert.deepEqual(await host.whole, { type: 'text/event-stream', status: 200, text: ':\n\n' })
})

/** What a batch said to HTTP. */
function batchOf(count: number) {
  const said: string[] = []
  const nobody = (): never => assert.fail('not called')
  const whole: Channel = {
    streams: true,
    place: undefined,
    reply: (status, body) => said.push(`${status} ${body.toString()}`),
    accept: () => said.push('202'),
    refuse: (status) => said.push(`refused ${status}`),
    push: nobody,
    keepAlive: nobody,
    onGone: () => undefined,
  }
  return { batch: new BatchChannels(whole, count), said }
}

test('a batch is answered when its last message is, with the answers alone', () => {
  verifies('eras.batches')
  const { batch, said } = batchOf(3)
  batch.one().reply(200, Buffer.from('{"id":1}'))
  batch.one().accept()
  assert.deepEqual(said, [])
  const last = batch.one()
  assert.deepEqual([last.streams, last.push(MESSAGE, true)], [false, false])
  last.reply(404, Buffer.from('{"id":2}'))
  assert.deepEqual(said, ['200 [{"id":1},{"id":2}]'])
})

test('a batch without a request is accepted', () => {
  const { batch, said } = batchOf(2)
  batch.one().accept()
  batch.one().accept()
  assert.deepEqual(said, ['202'])
})

test('what HTTP refuses of the first message it refuses of all', () => {
  const { batch, said } = batchOf(2)
  const first = batch.one()
  assert.equal(first.place, 'first')
  first.refuse(401, [], Buffer.alloc(0))
  assert.deepEqual([batch.refused, said], [true, ['refused 401']])
})
