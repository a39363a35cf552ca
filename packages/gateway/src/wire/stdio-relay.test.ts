import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../testing/verifies.ts'
import { TestRelay, accepted, answer, events, json, never, problem } from './stdio-relay-testing.ts'

const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }
const ping = (id: number | string): object => ({ jsonrpc: '2.0', id, method: 'ping' })
const call = (id: number | string): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'n' },
})
const pong = (id: number): object => ({ jsonrpc: '2.0', id, result: {} })

test('a modern message gets the headers that repeat it, and its line goes on byte for byte', async () => {
  verifies('cli.connect')
  const relay = new TestRelay(() => json(pong(1)))
  const line =
    '{"jsonrpc":"2.0", "id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"name":"fix__\u00e9cho","arguments":{"a":1.0}}}'
  relay.input.write(`${line}\r\n`)
  await relay.close()
  assert.equal(relay.sent[0]?.body.trimEnd(), line)
  assert.deepEqual(relay.sent[0]?.headers, {
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': `=?base64?${Buffer.from('fix__\u00e9cho').toString('base64')}?=`,
  })
})

test('a modern call repeats the parameters that its tool asks for, as the list that passed has them', async () => {
  verifies('bridge.param-headers')
  const tool = {
    name: 'query',
    inputSchema: { properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } },
  }
  const relay = new TestRelay(({ body }) =>
    json(body.includes('list') ? { id: 1, result: { tools: [tool] } } : pong(2)),
  )
  relay.say({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta } })
  await relay.until(() => relay.written.length === 1)
  const params = { _meta, name: 'query', arguments: { region: 'eu west' } }
  relay.say({ jsonrpc: '2.0', id: 2, method: 'tools/call', params })
  relay.say({ jsonrpc: '2.0', id: 3, method: 'tools/call', params: { ...params, name: 'other' } })
  await relay.close()
  assert.deepEqual(
    relay.sentOf('tools/call').map(({ headers }) => headers['mcp-param-region']),
    ['eu west', undefined],
  )
})

test('events of a call come out line by line, in order, and a question of the server among them', async () => {
  verifies('cli.connect')
  const stream = events()
  const relay = new TestRelay(({ body }) => (body.includes('"result"') ? accepted() : stream.posted))
  relay.say(call(1))
  for (const progress of [1, 2]) stream.say({ method: 'notifications/progress', params: { progress } })
  stream.say({ jsonrpc: '2.0', id: 'callgate-1', method: 'elicitation/create', params: {} })
  await relay.until(() => relay.written.length === 3)
  relay.say({ jsonrpc: '2.0', id: 'callgate-1', result: { action: 'accept' } })
  await relay.until(() => relay.sent.length === 2)
  stream.say({ method: 'notifications/progress', params: { progress: 3 } })
  stream.say(pong(1))
  stream.end()
  await relay.close()
  assert.deepEqual(
    relay.written.map(({ method, id }) => method ?? id),
    ['notifications/progress', 'notifications/progress', 'elicitation/create', 'notifications/progress', 1],
  )
})

test('an answer that is laid out over many lines leaves as one, and says the same', async () => {
  verifies('cli.connect')
  const relay = new TestRelay(() =>
    answer(200, 'application/json', '{\n  "id": 1,\r\n  "result": { "text": "a\\nb\u2028c" }\n}'),
  )
  relay.say(ping(1))
  await relay.close()
  assert.equal(relay.lines.length, 1)
  assert.deepEqual(relay.written, [{ id: 1, result: { text: 'a\nb\u2028c' } }])
})

test('a modern cancel closes the request, is not sent itself, and writes no answer', async () => {
  verifies('call.cancel')
  const relay = new TestRelay((sent) => (sent.body.includes('cancelled') ? accepted() : never(sent)))
  relay.say({ jsonrpc: '2.0', id: 'a', method: 'tools/call', params: { _meta, name: 'n' } })
  await relay.until(() => relay.sent.length === 1)
  relay.say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { _meta, requestId: 'b' } })
  await relay.until(() => relay.sent.length === 2)
  assert.equal(relay.sent[0]?.signal.aborted, false, 'another id')
  relay.say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'a' } })
  await relay.until(() => relay.sent[0]?.signal.aborted === true)
  await relay.close()
  assert.deepEqual([relay.sent.length, relay.written], [2, []])
})

test('a legacy cancel is said again while its call goes on, because it may have overtaken it', async () => {
  verifies('call.cancel')
  const stream = events()
  let cancels = 0
  const relay = new TestRelay(({ body }) => {
    if (!body.includes('cancelled')) return stream.posted
    if (++cancels === 2) stream.say({ jsonrpc: '2.0', id: 1, error: { code: -32_000, message: 'cancelled' } })
    if (cancels === 2) stream.end()
    return accepted()
  })
  relay.say(call(1), { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } })
  await relay.until(() => relay.written.length === 1)
  await relay.close()
  assert.equal(cancels, 2)
})

test('what is no JSON-RPC becomes the error of its request, and of a notification nobody hears', async () => {
  verifies('cli.connect')
  const relay = new TestRelay(() => problem(401, 'no access token was sent'))
  relay.say(ping(7), { jsonrpc: '2.0', method: 'x' })
  await relay.close()
  assert.equal(relay.written.length, 1)
  assert.equal(relay.written[0]?.['id'], 7)
  assert.match(JSON.stringify(relay.written[0]), /-31900.*401: no access token was sent/)
})

test('an error that names no request answers the one that was sent', async () => {
  verifies('cli.connect')
  const refused = { jsonrpc: '2.0', id: null, error: { code: -32_600, message: 'twin keys' } }
  const relay = new TestRelay(() => json(refused, 400))
  relay.say(ping('x'))
  await relay.close()
  assert.deepEqual(relay.written, [{ ...refused, id: 'x' }])
})

test('an error that the gate sends to a notification or an answer is not written: it would answer a request that is none', async () => {
  const relay = new TestRelay(() =>
    json({ jsonrpc: '2.0', id: 1, error: { code: -32_600, message: 'm' } }, 400),
  )
  relay.say({ jsonrpc: '2.0', method: 'x' }, { jsonrpc: '2.0', id: 1, result: {} })
  await relay.close()
  assert.equal(relay.sent.length, 2)
  assert.deepEqual(relay.written, [])
})

test('a stream that ends before its answer fails the request, and one that ends behind it does not', async () => {
  verifies('cli.connect')
  for (const [last, expected] of [
    [{ method: 'notifications/progress' }, -31_900],
    [pong(1), undefined],
  ] as const) {
    const stream = events()
    const relay = new TestRelay(() => stream.posted)
    relay.say(call(1))
    stream.say(last)
    stream.end()
    await relay.close()
    assert.equal(relay.lines.length, expected === undefined ? 1 : 2)
    assert.equal(/-31900/.test(relay.lines.at(-1) ?? ''), expected !== undefined)
  }
})

test('a gate that cannot be reached fails the requests one by one, and the relay goes on', async () => {
  verifies('cli.connect')
  let reachable = false
  const relay = new TestRelay(() => {
    if (reachable) return json(pong(2))
    reachable = true
    throw new Error('connection refused')
  })
  relay.say(ping(1))
  await relay.until(() => relay.written.length === 1)
  relay.say(ping(2))
  await relay.close()
  assert.deepEqual(
    relay.written.map(({ id, error }) => [id, error === undefined]),
    [
      [1, false],
      [2, true],
    ],
  )
})

test('a batch goes on as one line, and when it fails each of its requests is answered', async () => {
  verifies('cli.connect')
  let refuse = false
  const relay = new TestRelay(() => {
    if (refuse) throw new Error('connection refused')
    return answer(200, 'application/json', JSON.stringify([pong(1), pong(2)]))
  })
  const batch = JSON.stringify([ping(1), { jsonrpc: '2.0', method: 'x' }, ping(2)])
  relay.input.write(`${batch}\n`)
  await relay.until(() => relay.lines.length === 1)
  assert.equal(relay.sent[0]?.body, batch)
  assert.equal(relay.lines[0], JSON.stringify([pong(1), pong(2)]))
  refuse = true
  relay.input.write(`${batch}\n`)
  await relay.close()
  assert.deepEqual(
    relay.lines.slice(1).map((line) => [JSON.parse(line).id, JSON.parse(line).error.code]),
    [
      [1, -31_900],
      [2, -31_900],
    ],
  )
})

test('a line that is no message is answered at once and never posted', async () => {
  verifies('cli.connect')
  const relay = new TestRelay(accepted)
  relay.input.write('nonsense\n3\n   \n\nContent-Length: 12\r\n\r\n')
  await relay.close()
  assert.equal(relay.sent.length, 0)
  assert.deepEqual(
    relay.written.map(({ id }) => id),
    [null, null, null],
  )
})

test('more requests at once than are waited for are refused one by one, and a notification still goes through', async () => {
  verifies('cli.connect')
  const relay = new TestRelay((sent) => (sent.body.includes('"id"') ? never(sent) : accepted()), 20)
  for (let id = 1; id <= 257; id++) relay.say(ping(id))
  relay.say({ jsonrpc: '2.0', method: 'x' })
  await relay.until(() => relay.sent.length === 257)
  await relay.close()
  assert.deepEqual(
    relay.written.map(({ id }) => id),
    [257],
  )
})

test('a host that closes its end gets the answers that are on their way, and a subscription ends at once', async () => {
  verifies('cli.connect')
  const stream = events()
  const relay = new TestRelay((sent) => (sent.body.includes('listen') ? never(sent) : stream.posted))
  relay.say(call(1), { jsonrpc: '2.0', id: 2, method: 'subscriptions/listen', params: { _meta } })
  await relay.until(() => relay.sent.length === 2)
  relay.input.end()
  await relay.until(() => relay.sent[1]?.signal.aborted === true)
  assert.equal(relay.sent[0]?.signal.aborted, false)
  stream.say(pong(1))
  stream.end()
  await relay.done
  assert.deepEqual(relay.written, [pong(1)])
})

test('answers that do not come in time after the host closed its end are given up', async () => {
  verifies('cli.connect')
  const relay = new TestRelay(never, 20)
  relay.say(call(1))
  await relay.close()
  assert.equal(relay.sent[0]?.signal.aborted, true)
  assert.deepEqual(relay.written, [])
})

test('a host that reads no more ends everything, though its input is still open', async () => {
  verifies('cli.connect')
  const relay = new TestRelay(never)
  relay.say(call(1))
  await relay.until(() => relay.sent.length === 1)
  relay.output.destroy(new Error('EPIPE'))
  await relay.done
  assert.equal(relay.sent[0]?.signal.aborted, true)
})

test('a subscription that the gate ends in order goes on, and the host reads neither the end nor a second acknowledgement', async () => {
  verifies('cli.connect')
  const streams = [events(), events()]
  let opened = 0
  const relay = new TestRelay((sent) => streams[opened++]?.posted ?? never(sent))
  const acknowledged = { method: 'notifications/subscriptions/acknowledged', params: {} }
  const changed = { method: 'notifications/tools/list_changed', params: {} }
  relay.say({ jsonrpc: '2.0', id: 1, method: 'subscriptions/listen', params: { _meta, notifications: {} } })
  for (const stream of streams) {
    stream.say(acknowledged)
    stream.say(changed)
    stream.say({ jsonrpc: '2.0', id: 1, result: { resultType: 'complete' } })
    stream.end()
  }
  await relay.until(() => opened === 3)
  await relay.close()
  assert.deepEqual(relay.written, [acknowledged, changed, changed])
  assert.equal(new Set(relay.sent.map(({ body }) => body)).size, 1, 'with the words of the host')
})

test('a subscription that the gate refuses, or that breaks, is answered and not asked for again', async () => {
  verifies('cli.connect')
  const error = { jsonrpc: '2.0', id: 1, error: { code: -32602, message: 'no' } }
  const broken = events()
  for (const [posted, expected] of [
    [json(error), /-32602/],
    [broken.posted, /ended the answer before its end/],
  ] as const) {
    const relay = new TestRelay(() => posted)
    relay.say({ jsonrpc: '2.0', id: 1, method: 'subscriptions/listen', params: { _meta, notifications: {} } })
    broken.end()
    await relay.until(() => relay.lines.length === 1)
    await relay.close()
    assert.match(relay.lines[0] ?? '', expected)
    assert.equal(relay.sent.length, 1)
  }
})
