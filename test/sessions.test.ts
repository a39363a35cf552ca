import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { ROOT, TestGate } from './harness/gate.ts'
import { type Came, type Message, RawHost } from './harness/principals.ts'

const fixture = new Fixture([textTool('echo'), textTool('slow')])
const PING = { id: 1, method: 'ping' }

let gate: TestGate
before(async () => {
  gate = await TestGate.start({ servers: fixture.yaml('fix') })
})
after(async () => {
  await gate.close()
  rmSync(fixture.folder, { recursive: true, force: true })
})

interface Who {
  readonly path?: string
  readonly subject?: string
  readonly of?: TestGate
  readonly era?: 'legacy' | 'modern'
  readonly lifetimeS?: number
}

function hostOf(
  t: TestContext,
  { path = '/mcp/fix', subject = 'alice', of = gate, era = 'legacy', lifetimeS = 300 }: Who = {},
) {
  const token = of.mint({ path, subject, lifetimeS })
  const host = new RawHost({ url: of.url, path, era, token: () => token })
  t.after(() => host.close())
  return host
}

async function greeted(t: TestContext, who: Who = {}, version?: string): Promise<RawHost> {
  const host = hostOf(t, who)
  await host.initialize(version)
  return host
}

const codes = ({ messages }: Came): unknown[] =>
  messages.map((message) => (message['error'] as { code?: number } | undefined)?.code)
const problem = ({ status, text }: Came): [number, string | undefined] => [
  status,
  /CG_[A-Z_]+/.exec(text)?.[0],
]
const GONE: [number, string] = [404, 'CG_WIRE_SESSION']

test('initialize gives a session id of visible ASCII, and each one is another', async (t) => {
  verifies('eras.sessions')
  const [one, other] = [await greeted(t), await greeted(t)]
  assert.match(one.session ?? '', /^[\x21-\x7e]{32,1024}$/)
  assert.notEqual(one.session, other.session)
  assert.equal((await one.post(PING)).status, 200)
})

test('DELETE ends a session and no other one of its host', async (t) => {
  verifies('eras.sessions')
  const [ended, other] = [await greeted(t), await greeted(t)]
  const came = await ended.exchange('DELETE', { ...ended.encode(PING).headers, 'content-length': '0' })
  assert.equal(came.status, 202)
  assert.deepEqual(problem(await ended.post(PING)), GONE)
  assert.equal((await other.post(PING)).status, 200)
  ended.session = undefined
  assert.equal((await ended.post(PING)).status, 200, 'a legacy request needs no session')
})

test('the session id of another principal, of another endpoint or with one changed letter is 404, for every method of HTTP', async (t) => {
  verifies('eras.sessions')
  verifies('bridge.isolation')
  const mine = await greeted(t)
  const id = mine.session ?? ''
  const changed = (at: number): string => id.slice(0, at) + (id[at] === 'A' ? 'B' : 'A') + id.slice(at + 1)
  const others: [string, RawHost, string][] = [
    ['another subject', hostOf(t, { subject: 'mallory' }), id],
    ['another endpoint', hostOf(t, { path: '/mcp' }), id],
    ['made up', hostOf(t), 'made-up'],
    ['cut', hostOf(t), id.slice(0, -1)],
    ['longer', hostOf(t), `${id}A`],
    ...[0, 16, 17, 40, id.length - 1].map((at): [string, RawHost, string] => [
      `changed at ${at}`,
      hostOf(t),
      changed(at),
    ]),
  ]
  for (const [what, host, session] of others) {
    host.session = session
    assert.deepEqual(problem(await host.post(PING)), GONE, what)
    const { headers } = host.encode(PING, { 'content-length': '', 'content-type': '' })
    for (const method of ['GET', 'DELETE']) {
      assert.deepEqual(problem(await host.exchange(method, headers)), GONE, `${method} ${what}`)
    }
  }
  assert.equal((await mine.post(PING)).status, 200, 'nobody ended it for its owner')
})

test('initialize with a foreign session id greets anew: 404 would keep a host from ever coming back', async (t) => {
  const host = hostOf(t)
  host.session = 'of-a-gate-that-was'
  assert.deepEqual(problem(await host.post(PING)), GONE)
  assert.equal((await host.initialize()).status, 200)
  assert.equal((await host.post(PING)).status, 200)
})

test('a session survives a key rotation, and a revoked key ends it within a second', async (t) => {
  verifies('eras.sessions')
  verifies('bridge.key-rotation')
  const own = await TestGate.start({ servers: fixture.yaml('fix') }, t)
  const [before_, rotated] = [await greeted(t, { of: own }), await rotate(own)]
  assert.match(rotated, /go on/)
  await told(own, 'keys.rotated')
  assert.equal((await before_.post(PING)).status, 200)
  const after_ = await greeted(t, { of: own })
  assert.notEqual(after_.session?.slice(0, 16), before_.session?.slice(0, 16), 'the new key seals')
  assert.match(await rotate(own, '--revoke'), /end/)
  await told(own, 'keys.rotated', 2)
  await sleep(500)
  for (const host of [before_, after_]) assert.deepEqual(problem(await host.post(PING)), GONE)
  assert.equal((await (await greeted(t, { of: own })).post(PING)).status, 200)
})

async function rotate(of: TestGate, ...more: readonly string[]): Promise<string> {
  const bin = join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs')
  const { stdout } = await promisify(execFile)(process.execPath, [bin, 'keys', 'rotate', ...more], {
    env: { ...process.env, CALLGATE_STATE: of.state },
  })
  return stdout
}

/** Waits until the gate has recorded an event of its own this often. */
async function told(of: TestGate, event: string, times = 1): Promise<void> {
  for (;;) {
    const records = await of.records()
    if (records.filter(({ record }) => JSON.stringify(record).includes(event)).length >= times) return
    await sleep(50)
  }
}

test('a modern host has no session: its id is ignored, none is given, GET and DELETE are 405', async (t) => {
  verifies('eras.sessions')
  const host = hostOf(t, { era: 'modern' })
  host.session = 'made-up'
  const came = await host.post({ id: 1, method: 'server/discover' })
  assert.deepEqual([came.status, came.headers['mcp-session-id']], [200, undefined])
  for (const method of ['GET', 'DELETE']) {
    const { headers } = host.encode(PING, { 'content-length': '', 'mcp-method': '' })
    const refused = await host.exchange(method, headers)
    assert.deepEqual([...problem(refused), refused.headers.allow], [405, 'CG_WIRE_HTTP_METHOD', 'POST'])
  }
})

test('a GET without a session is 405, as the specification lets a server without one answer', async (t) => {
  verifies('eras.streams')
  const host = hostOf(t)
  const came = await host.stream(() => undefined, AbortSignal.timeout(5_000))
  assert.deepEqual([...problem(came), came.headers.allow], [405, 'CG_WIRE_HTTP_METHOD', 'POST'])
})

/** An open stream of a host: what it said, and its end. */
async function opened(t: TestContext, host: RawHost) {
  const said: Message[] = []
  const stop = new AbortController()
  t.after(() => stop.abort())
  const open = Promise.withResolvers<number>()
  const end = host.stream((message) => void said.push(message), stop.signal, open.resolve)
  end.catch(open.reject)
  assert.equal(await open.promise, 200)
  return { said, end, stop }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(10)
}

test('a GET stream and a subscription tell that tools changed, and end in order when the gate stops', async (t) => {
  verifies('eras.streams')
  const changing = new Fixture([textTool('echo')])
  t.after(() => rmSync(changing.folder, { recursive: true, force: true }))
  const own = await TestGate.start({ servers: changing.yaml('fix') }, t)
  const legacy = await opened(t, await greeted(t, { of: own }))
  const modern = hostOf(t, { of: own, era: 'modern' })
  const heard: Message[] = []
  const subscribed = modern.post(
    { id: 'sub', method: 'subscriptions/listen', params: { notifications: { toolsListChanged: true } } },
    { onMessage: (message) => void heard.push(message) },
  )
  await until(() => heard.length > 0)
  assert.equal(heard[0]?.['method'], 'notifications/subscriptions/acknowledged')
  changing.list([textTool('echo', { description: 'another text' })])
  await until(() => legacy.said.length > 0 && heard.length > 1)
  assert.deepEqual(legacy.said[0], { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: {} })
  assert.equal(heard[1]?.['method'], 'notifications/tools/list_changed')
  await own.stop()
  const [gone, answered] = await Promise.all([legacy.end, subscribed])
  assert.deepEqual([gone.whole, answered.whole], [true, true])
  const last = heard.at(-1)
  assert.equal(last?.['id'], 'sub')
  assert.match(JSON.stringify(last), /"resultType":"complete"/)
})

test('DELETE ends the stream of its session and leaves that of another one', async (t) => {
  verifies('eras.streams')
  const [one, other] = [await greeted(t, { subject: 'leaver' }), await greeted(t, { subject: 'stayer' })]
  const [left, kept] = [await opened(t, one), await opened(t, other)]
  assert.equal((await one.exchange('DELETE', one.encode(PING, { 'content-length': '' }).headers)).status, 202)
  assert.equal((await left.end).whole, true)
  const later = await Promise.race([kept.end.then(() => 'ended'), sleep(100).then(() => 'open')])
  assert.equal(later, 'open')
  kept.stop.abort()
  await kept.end.catch(() => undefined)
})

test('nobody hears longer than the token lasts that he came with', async (t) => {
  verifies('eras.streams')
  const brief = await opened(t, await greeted(t, { subject: 'brief', lifetimeS: 2 }))
  const lasting = await opened(t, await greeted(t, { subject: 'lasting' }))
  assert.equal((await brief.end).whole, true)
  assert.equal(await Promise.race([lasting.end.then(() => 'ended'), sleep(100).then(() => 'open')]), 'open')
  lasting.stop.abort()
  await lasting.end.catch(() => undefined)
})

test('a host that opens ten streams at once keeps eight, and the gate goes on', async (t) => {
  verifies('eras.streams')
  const host = await greeted(t, { subject: 'greedy' })
  const streams = []
  for (let i = 0; i < 10; i++) streams.push(await opened(t, host))
  const [first, second] = streams
  assert.deepEqual([(await first?.end)?.whole, (await second?.end)?.whole], [true, true])
  const modern = hostOf(t, { subject: 'greedy', era: 'modern' })
  const stop = new AbortController()
  const subscribed = Array.from({ length: 40 }, (_, id) =>
    modern
      .post({ id, method: 'subscriptions/listen', params: { notifications: {} } }, { signal: stop.signal })
      .catch(() => undefined),
  )
  assert.equal((await Promise.race(subscribed))?.whole, true)
  assert.equal((await host.post(PING)).status, 200)
  stop.abort()
  await Promise.all(subscribed)
})

test('a batch of 2025-03-26 is answered as one, with the answers to its requests alone', async (t) => {
  verifies('eras.batches')
  const host = await greeted(t, {}, '2025-03-26')
  const came = await host.post([
    { id: 'a', method: 'tools/call', params: { name: 'echo', arguments: { text: 'x' } } },
    { method: 'notifications/initialized' },
    { id: 99, result: {} },
    { id: 'b', method: 'made/up' },
    { id: 'c', method: 'ping' },
  ])
  assert.equal(came.status, 200)
  assert.deepEqual(
    came.messages.map(({ id }) => id),
    ['a', 'b', 'c'],
  )
  assert.deepEqual(codes(came), [undefined, -32_601, undefined])
  const quiet = await host.post([{ method: 'notifications/initialized' }, { id: 99, result: {} }])
  assert.deepEqual([quiet.status, quiet.text], [202, ''])
})

test('a batch without session or version header is taken; one of a later version is refused', async (t) => {
  verifies('eras.batches')
  assert.equal((await hostOf(t).post([PING])).status, 200)
  assert.equal(
    (await hostOf(t).post([PING], { headers: { 'mcp-protocol-version': '2025-03-26' } })).status,
    200,
  )
  for (const version of ['2024-11-05', '2025-06-18', '2025-11-25']) {
    const agreed = await greeted(t, {}, version)
    assert.deepEqual(codes(await agreed.post([PING])), [-32_600], version)
    const came = await hostOf(t).post([PING], { headers: { 'mcp-protocol-version': version } })
    assert.deepEqual([came.status, codes(came)], [400, [-32_600]], version)
  }
  const modern = hostOf(t, { era: 'modern' })
  assert.equal((await modern.post([PING], { headers: { 'mcp-method': 'ping' } })).status, 400)
})

test('a batch of 64 messages passes, one of 65 or of none is refused whole', async (t) => {
  verifies('eras.batches')
  const host = hostOf(t)
  const pings = Array.from({ length: 65 }, (_, id) => ({ id, method: 'ping' }))
  assert.equal((await host.post(pings.slice(0, 64))).messages.length, 64)
  for (const batch of [pings, []]) {
    const came = await host.post(batch)
    assert.deepEqual([came.status, codes(came)], [400, [-32_600]])
  }
})

test('initialize in a batch is refused, and so is a message of another era', async (t) => {
  verifies('eras.batches')
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  }
  const came = await hostOf(t).post([
    { id: 0, method: 'initialize', params: { protocolVersion: '2025-03-26', capabilities: {} } },
    { id: 1, method: 'tools/list', params: { _meta } },
    { id: 2, method: 'ping' },
  ])
  assert.deepEqual([came.status, came.headers['mcp-session-id']], [200, undefined])
  assert.deepEqual(codes(came), [-32_600, -32_020, undefined])
})

test('a token that opens one call opens the first of a batch, whose answer stays; without one nothing runs', async (t) => {
  verifies('eras.batches')
  const token = gate.mint({ path: '/mcp/fix', once: true })
  const host = new RawHost({ url: gate.url, path: '/mcp/fix', era: 'legacy', token: () => token })
  t.after(() => host.close())
  const call = (id: number, text: string): Message => ({
    id,
    method: 'tools/call',
    params: { name: 'echo', arguments: { text } },
  })
  const came = await host.post([call(1, 'runs-once'), call(2, 'never-runs')])
  assert.equal(came.status, 200)
  assert.match(JSON.stringify(came.messages[0]), /runs-once/)
  const error = came.messages[1]?.['error'] as { data: { code: string } }
  assert.deepEqual([came.messages[1]?.['id'], error.data.code], [2, 'CG_IDENTITY_REPLAYED'])
  const replayed = await host.post([call(3, 'never-runs'), call(4, 'never-runs')])
  assert.deepEqual(problem(replayed), [401, 'CG_IDENTITY_REPLAYED'])
  assert.match(String(replayed.headers['www-authenticate']), /invalid_token/)
  assert.ok(!fixture.received.some(({ line }) => line.includes('never-runs')))
})

test('a posted response is taken with 202, whoever it is for, and a broken one is refused', async (t) => {
  verifies('bridge.answers')
  const host = await greeted(t)
  for (const answer of [
    { id: 'callgate-1', result: { action: 'accept' } },
    { id: 1, error: { code: -1, message: 'no' } },
  ]) {
    const came = await host.post(answer)
    assert.deepEqual([came.status, came.text], [202, ''])
  }
  assert.equal((await host.post({ id: 1, result: {}, error: { code: 1, message: 'x' } })).status, 400)
  host.session = 'made-up'
  assert.deepEqual(problem(await host.post({ id: 1, result: {} })), GONE)
})
