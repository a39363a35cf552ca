import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../testing/verifies.ts'
import { accepted, events, json, never, problem, type SentText, TestRelay } from './stdio-relay-testing.ts'
import type { Posted } from './stdio-relay-answers.ts'

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: { elicitation: {} } },
}
const INITIALIZED = { jsonrpc: '2.0', method: 'notifications/initialized' }
const list = (id: number): object => ({ jsonrpc: '2.0', id, method: 'tools/list' })

/** A gate that keeps one session and forgets it when the test says so. */
class Sessions {
  current = 's1'
  stream: (sent: SentText) => Posted | Promise<Posted> = never
  initializes = 0

  readonly answer = (sent: SentText): Posted | Promise<Posted> => {
    if (sent.body.includes('"initialize"')) {
      this.initializes++
      return json({ jsonrpc: '2.0', id: 0, result: { protocolVersion: '2025-06-18' } }, 200, this.current)
    }
    if (sent.headers['mcp-session-id'] !== this.current) return problem(404, 'the session is not known')
    if (sent.method === 'GET') return this.stream(sent)
    const { id } = JSON.parse(sent.body)
    return id === undefined ? accepted() : json({ jsonrpc: '2.0', id, result: { in: this.current } })
  }
}

async function begun(gate: Sessions): Promise<TestRelay> {
  const relay = new TestRelay(gate.answer)
  relay.say(INITIALIZE)
  await relay.until(() => relay.written.length === 1)
  relay.say(INITIALIZED)
  await relay.until(() => relay.sentOf('GET').length === 1)
  return relay
}

test('version and session of the initialize answer go with every later legacy message, and not before', async () => {
  verifies('cli.connect')
  const relay = await begun(new Sessions())
  relay.say(list(1))
  await relay.close()
  assert.deepEqual(
    relay.sent.map(({ headers }) => [headers['mcp-protocol-version'], headers['mcp-session-id']]),
    [
      [undefined, undefined],
      ['2025-06-18', 's1'],
      ['2025-06-18', 's1'],
      ['2025-06-18', 's1'],
    ],
  )
  assert.deepEqual(
    relay.written.map(({ id }) => id),
    [0, 1],
  )
})

test('a gate that gives no session id is asked for no stream', async () => {
  verifies('cli.connect')
  const relay = new TestRelay(({ body }) =>
    body.includes('"initialize"')
      ? json({ jsonrpc: '2.0', id: 0, result: { protocolVersion: '2025-06-18' } })
      : accepted(),
  )
  relay.say(INITIALIZE)
  await relay.until(() => relay.written.length === 1)
  relay.say(INITIALIZED)
  await relay.close()
  assert.equal(relay.sentOf('GET').length, 0)
})

test('what the standing stream says becomes lines, and it is opened again when it breaks', async () => {
  verifies('cli.connect')
  const gate = new Sessions()
  const streams = [events(), events()]
  let opened = 0
  gate.stream = () => streams[opened++]?.posted ?? never({ signal: new AbortController().signal })
  const relay = await begun(gate)
  streams[0]?.say({ method: 'notifications/tools/list_changed' })
  streams[0]?.end()
  await relay.until(() => relay.sentOf('GET').length === 2)
  streams[1]?.say({ method: 'notifications/resources/updated' })
  await relay.until(() => relay.written.length === 3)
  streams[1]?.end()
  await relay.close()
  assert.deepEqual(
    relay.written.slice(1).map(({ method }) => method),
    ['notifications/tools/list_changed', 'notifications/resources/updated'],
  )
})

test('a gate that has no standing stream is asked once', async () => {
  verifies('cli.connect')
  const gate = new Sessions()
  gate.stream = () => problem(405, 'POST only')
  const relay = await begun(gate)
  await new Promise((resolve) => setTimeout(resolve, 400))
  await relay.close()
  assert.equal(relay.sentOf('GET').length, 1)
})

test('a session that the gate forgot is begun anew with the words of the host, and the message is sent once more', async () => {
  verifies('cli.connect')
  const gate = new Sessions()
  const relay = await begun(gate)
  gate.current = 's2'
  relay.say(list(1), list(2), list(3))
  await relay.until(() => relay.written.length === 4)
  await relay.until(() => relay.sentOf('GET').length === 2)
  await relay.close()
  assert.equal(gate.initializes, 2, 'three messages share one new session')
  assert.deepEqual(relay.sentOf('initialize')[1]?.body, relay.sentOf('initialize')[0]?.body)
  assert.deepEqual(
    relay.written.slice(1).map(({ id, result }) => [id, result]),
    [1, 2, 3].map((id) => [id, { in: 's2' }]),
    'the host sees the answers and no second initialize',
  )
  assert.deepEqual(relay.sentOf('GET')[1]?.headers['mcp-session-id'], 's2')
  assert.equal(relay.sentOf('GET')[0]?.signal.aborted, true)
})

test('a message that the new session does not take either is not sent a third time', async () => {
  verifies('cli.connect')
  const gate = new Sessions()
  const relay = new TestRelay((sent) =>
    sent.body.includes('tools/list') ? problem(404, 'the session is not known') : gate.answer(sent),
  )
  relay.say(INITIALIZE)
  await relay.until(() => relay.written.length === 1)
  relay.say(list(1))
  await relay.close()
  assert.equal(relay.sentOf('tools/list').length, 2)
  assert.match(relay.lines.at(-1) ?? '', /"id":1.*404: the session is not known/)
})

test('any other refusal is passed on and begins no session', async () => {
  verifies('cli.connect')
  const gate = new Sessions()
  const relay = new TestRelay((sent) =>
    sent.body.includes('tools/list') ? problem(503, 'the gate stops') : gate.answer(sent),
  )
  relay.say(INITIALIZE)
  await relay.until(() => relay.written.length === 1)
  relay.say(list(1))
  await relay.close()
  assert.deepEqual([gate.initializes, relay.sentOf('tools/list').length], [1, 1])
  assert.match(relay.lines.at(-1) ?? '', /503: the gate stops/)
})

test('a new session hears again what the host subscribed to, at the level that it set, before its message is sent', async () => {
  verifies('cli.connect')
  const gate = new Sessions()
  const refused = '"uri":"note://refused"'
  const relay = new TestRelay((sent) =>
    sent.body.includes(refused)
      ? json({ jsonrpc: '2.0', id: JSON.parse(sent.body).id, error: { code: -32602, message: 'no' } })
      : gate.answer(sent),
  )
  relay.say(INITIALIZE)
  await relay.until(() => relay.written.length === 1)
  relay.say(INITIALIZED)
  let id = 0
  const ask = async (method: string, params: object): Promise<void> => {
    relay.say({ jsonrpc: '2.0', id: ++id, method, params })
    await relay.until(() => relay.written.some((answer) => answer['id'] === id))
  }
  for (const uri of ['note://kept', 'note://left', 'note://refused'])
    await ask('resources/subscribe', { uri })
  await ask('resources/unsubscribe', { uri: 'note://left' })
  await ask('logging/setLevel', { level: 'debug' })
  await ask('logging/setLevel', { level: 'error' })
  gate.current = 's2'
  await ask('tools/list', {})
  await relay.close()
  const again = relay.sent
    .filter(({ method, headers }) => method === 'POST' && headers['mcp-session-id'] === 's2')
    .map(({ body }): { method: string; params?: object } => JSON.parse(body))
  assert.deepEqual(
    again.map(({ method, params }) => [method, params]),
    [
      ['notifications/initialized', undefined],
      ['logging/setLevel', { level: 'error' }],
      ['resources/subscribe', { uri: 'note://kept' }],
      ['tools/list', {}],
    ],
  )
  assert.equal(relay.written.length, 1 + id, 'the host sees the answers to its own requests alone')
})

/** A host that subscribed to one resource and set a level, and what the gate met after that. */
async function subscribed(
  gate: Sessions,
  answer = gate.answer,
): Promise<{ relay: TestRelay; after: () => string[] }> {
  const relay = new TestRelay((sent) => answer(sent))
  relay.say(INITIALIZE)
  await relay.until(() => relay.written.length === 1)
  relay.say(INITIALIZED)
  await relay.until(() => relay.sentOf('GET').length === 1)
  relay.say({ jsonrpc: '2.0', id: 'uri', method: 'resources/subscribe', params: { uri: 'note://one' } })
  relay.say({ jsonrpc: '2.0', id: 'level', method: 'logging/setLevel', params: { level: 'debug' } })
  await relay.until(() => relay.written.length === 3)
  const before = relay.sent.length
  const name = ({ method, body }: SentText): string => (method === 'GET' ? 'GET' : JSON.parse(body).method)
  return { relay, after: () => relay.sent.slice(before).map(name) }
}

const AGAIN = ['logging/setLevel', 'resources/subscribe']

test('after a broken stream the same session is asked again, because the gate may be another process that knows its id', async () => {
  verifies('cli.connect')
  const gate = new Sessions()
  const stream = events()
  let opened = 0
  gate.stream = (sent) => (opened++ === 0 ? stream.posted : never(sent))
  const { relay, after } = await subscribed(gate)
  stream.end()
  await relay.until(() => opened === 2)
  await relay.close()
  assert.deepEqual(after(), [...AGAIN, 'GET'])
  assert.deepEqual([gate.initializes, relay.written.length], [1, 3], 'the host notices nothing')
})

test('a message that comes while the stream is broken goes behind what is asked again, and the stream waits no longer', async () => {
  verifies('cli.connect')
  const gate = new Sessions()
  const stream = events()
  let opened = 0
  gate.stream = (sent) => {
    if (opened++ === 0) return stream.posted
    return opened <= 3 ? problem(503, 'the gate stops') : never(sent)
  }
  const { relay, after } = await subscribed(gate)
  stream.end()
  await relay.until(() => opened === 3)
  const said = performance.now()
  const asked = after().length
  relay.say(list(1), list(2))
  await relay.until(() => relay.written.length === 5 && opened === 4)
  assert.ok(performance.now() - said < 800, 'the pause is a second long by now')
  await relay.close()
  assert.deepEqual(after().slice(asked, asked + 2), AGAIN)
  assert.deepEqual(
    after()
      .slice(asked + 2)
      .sort(),
    ['GET', 'tools/list', 'tools/list'],
  )
})

test('a stream that lasted and ended in order is opened at once, and nothing is asked again', async (t) => {
  verifies('cli.connect')
  const gate = new Sessions()
  const stream = events()
  let opened = 0
  gate.stream = (sent) => (opened++ === 0 ? stream.posted : never(sent))
  const { relay, after } = await subscribed(gate)
  const { now } = performance
  t.mock.method(performance, 'now', () => now.call(performance) + 10_000)
  stream.end()
  await relay.until(() => opened === 2)
  await relay.close()
  assert.deepEqual(after(), ['GET'])
})

test('a gate that goes away while a session is begun anew loses nothing: the next message begins it', async () => {
  verifies('cli.connect')
  const gate = new Sessions()
  let away = false
  const { relay, after } = await subscribed(gate, (sent) => {
    if (away && sent.body.includes('setLevel')) throw new Error('connection refused')
    return gate.answer(sent)
  })
  gate.current = 's2'
  away = true
  relay.say(list(1))
  await relay.until(() => relay.written.length === 4)
  assert.match(relay.lines.at(-1) ?? '', /"id":1.*connection refused/)
  away = false
  relay.say(list(2))
  await relay.until(() => relay.written.length === 5 && after().includes('GET'))
  await relay.close()
  assert.deepEqual(relay.written.at(-1)?.['result'], { in: 's2' })
  const session = relay.sent.filter(({ headers }) => headers['mcp-session-id'] === 's2')
  assert.deepEqual(
    session
      .slice(-5)
      .map(({ body }) => /"method":"([^"]+)/.exec(body)?.[1] ?? 'GET')
      .sort(),
    ['GET', ...AGAIN, 'notifications/initialized', 'tools/list'].sort(),
  )
})

test('a gate that is slow to grant it again does not hold up the host', async () => {
  verifies('cli.connect')
  const gate = new Sessions()
  let slow = false
  const { relay } = await subscribed(gate, (sent) =>
    slow && sent.body.includes('setLevel') ? never(sent) : gate.answer(sent),
  )
  gate.current = 's2'
  slow = true
  relay.say(list(1))
  await relay.until(() => relay.written.length === 4)
  await relay.close()
  assert.deepEqual(relay.written.at(-1)?.['result'], { in: 's2' })
})

test('a host that initializes anew asked for nothing yet', async () => {
  verifies('cli.connect')
  const gate = new Sessions()
  const { relay, after } = await subscribed(gate)
  relay.say({ ...INITIALIZE, id: 9 })
  await relay.until(() => relay.written.length === 4)
  gate.current = 's2'
  relay.say(list(1))
  await relay.until(() => relay.written.length === 5)
  await relay.close()
  assert.ok(!after().some((method) => AGAIN.includes(method)))
})

test('no more resources are remembered than the gate lets a session watch', async () => {
  verifies('cli.connect')
  const gate = new Sessions()
  const { relay, after } = await subscribed(gate)
  for (let from = 0; from < 1_000; from += 200) {
    for (let id = from; id < from + 200; id++)
      relay.say({ jsonrpc: '2.0', id, method: 'resources/subscribe', params: { uri: `note://${id}` } })
    await relay.until(() => relay.written.length === 3 + from + 200)
  }
  gate.current = 's2'
  const asked = after().length
  relay.say(list(-1))
  await relay.until(() => relay.written.length === 1_004)
  await relay.close()
  const again = after()
    .slice(asked)
    .filter((method) => method === 'resources/subscribe')
  assert.equal(again.length, 1_000)
})
