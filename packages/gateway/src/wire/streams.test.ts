import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, type ServerResponse, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { Principal } from '../call/call.ts'
import type { JsonObject } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import type { Gate } from '../pipeline/gate.ts'
import { Listeners } from '../pipeline/listeners.ts'
import type { Listening } from '../ports/upstream.ts'
import { catalogServer, identifiedCall } from '../testing/calls.ts'
import { verifies } from '../testing/verifies.ts'
import { HttpChannel } from './channel.ts'
import type { HostSession } from './host-sessions.ts'
import { createStreams } from './streams.ts'
import type { Replies, Request } from './turn.ts'

const { caller, principal, session } = identifiedCall()
const KEEP_ALIVE_MS = 20_000
const LIFE_MS = 60_000
const NOW = principal.token.exp * 1_000 - LIFE_MS
const agreed: HostSession = {
  session: session.id,
  version: '2025-11-25',
  capabilities: {},
  until: NOW + 3_600_000,
  nonce: 'one',
}

/** Streams before a server `fix` that offers resources; every URI but `note://secret` may be read. */
function streamsOver({
  mayHear = () => true,
  who = principal,
}: { readonly mayHear?: Gate['mayHear']; readonly who?: Principal } = {}) {
  const heard: { listening: Listening; signal: AbortSignal }[] = []
  const server = catalogServer('fix', [], { capabilities: { resources: {} } })
  const listeners = new Listeners({
    upstream: {
      listen: (listening, signal) => {
        heard.push({ listening, signal })
        return Promise.resolve()
      },
    },
    server: (id) => (id === 'fix' ? server : undefined),
    declared: (_, host) => host,
  })
  const gate: Pick<
    Gate,
    'identify' | 'listeners' | 'logs' | 'server' | 'serversWith' | 'mayHear' | 'mayReach'
  > = {
    identify: () => Promise.resolve({ principal: who, session }),
    listeners,
    logs: () => (params, to) => to(params),
    server: (id) => (id === 'fix' ? server : undefined),
    serversWith: (_known, _server, capability) =>
      Object.hasOwn(server.capabilities, capability) ? [server] : [],
    mayHear,
    mayReach: (_, target) => target.name !== 'note://secret',
  }
  const answered: JsonObject[] = []
  const replies: Replies = {
    answer: (_, result) => void answered.push(result),
    refuse: () => assert.fail('not refused'),
  }
  return { streams: createStreams(gate, replies, () => NOW), listeners, heard, answered }
}

/** A host's request as a channel, and what the host has read. */
async function host(t: TestContext, accept = 'text/event-stream') {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const sent = request({ port, host: '127.0.0.1', headers: { accept } })
  sent.on('error', () => undefined)
  sent.end()
  t.after(() => {
    sent.destroy()
    server.close()
  })
  const [incoming, response] = (await once(server, 'request')) as [IncomingMessage, ServerResponse]
  let text = ''
  let ended = false
  const gone = new Promise<void>((resolve) => {
    sent.on('response', (answer: IncomingMessage) => {
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()))
      answer.on('end', () => (ended = true))
      answer.on('close', resolve)
      answer.on('error', () => undefined)
    })
  })
  return {
    channel: new HttpChannel({
      request: incoming,
      response,
      path: '/mcp/fix',
      peer: '127.0.0.1',
      certificate: undefined,
    }),
    closed: once(response, 'close'),
    /** Waits until this text has been read. */
    async reads(wanted: string): Promise<void> {
      while (!text.includes(wanted)) await new Promise((resolve) => setTimeout(resolve, 5))
    },
    text: () => text,
    gone,
    ended: () => ended,
    leave: () => sent.destroy(),
  }
}

const endpoint = { server: 'fix', resource: 'https://gate.example/mcp/fix' }

function listening(channel: HttpChannel, notifications: JsonObject, id: string | number = 'sub'): Request {
  return {
    channel,
    endpoint,
    caller,
    id,
    message: {
      id,
      method: 'subscriptions/listen',
      params: { notifications },
      meta: {},
      argsBytes: Buffer.alloc(0),
      exactNumbers: true,
    },
    spoken: { era: 'modern', version: '2026-07-28' },
    agreed: undefined,
    rawHeaders: [],
  }
}

test('a GET stream tells what its session hears, stays alive, and ends in order', async (t) => {
  verifies('eras.streams')
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { streams, listeners, heard } = streamsOver()
  const one = await host(t)
  await streams.opened({ channel: one.channel, endpoint, caller }, agreed)
  listeners.changed()
  heard[0]?.listening.onNotification('notifications/message', { level: 'info', data: 'x' })
  await one.reads('"data":"x"')
  assert.match(
    one.text(),
    /^data: {"jsonrpc":"2.0","method":"notifications\/tools\/list_changed","params":{}}\n\n/,
  )
  t.mock.timers.tick(KEEP_ALIVE_MS)
  await one.reads(':\n\n')
  listeners.close()
  await one.gone
  assert.equal(one.ended(), true, 'a stream that ends is no stream that broke')
  assert.equal(heard[0]?.signal.aborted, true)
})

test('a subscription is acknowledged first, names itself in everything, stays alive, and ends with its answer', async (t) => {
  verifies('eras.streams')
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { streams, listeners, heard } = streamsOver()
  const one = await host(t)
  const wishes = {
    toolsListChanged: true,
    promptsListChanged: true,
    resourceSubscriptions: ['note://open', 'note://secret', 7],
  }
  await streams.subscribed(listening(one.channel, wishes))
  heard[0]?.listening.onNotification('notifications/resources/updated', { uri: 'note://open' })
  heard[0]?.listening.onNotification('notifications/resources/updated', { uri: 'note://secret' })
  heard[0]?.listening.onNotification('notifications/message', { level: 'info' })
  listeners.changed()
  t.mock.timers.tick(KEEP_ALIVE_MS)
  listeners.close()
  await one.gone
  const _meta = { 'io.modelcontextprotocol/subscriptionId': 'sub' }
  const said = one
    .text()
    .split('\n\n')
    .filter((event) => event !== '' && event !== ':')
  assert.deepEqual(
    said.map((event): unknown => JSON.parse(event.slice('data: '.length))),
    [
      {
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: {
          notifications: { toolsListChanged: true, resourceSubscriptions: ['note://open'] },
          _meta,
        },
      },
      { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'note://open', _meta } },
      { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { _meta } },
      { jsonrpc: '2.0', id: 'sub', result: { resultType: 'complete', _meta } },
    ],
  )
  assert.match(one.text(), /\n\n:\n\n/)
})

test('a host that goes is forgotten, with what was heard for it', async (t) => {
  verifies('bridge.disconnect')
  const { streams, heard } = streamsOver()
  for (const open of [
    (channel: HttpChannel) => streams.opened({ channel, endpoint, caller }, agreed),
    (channel: HttpChannel) => streams.subscribed(listening(channel, { toolsListChanged: true })),
  ]) {
    const one = await host(t)
    await open(one.channel)
    one.leave()
    await one.closed
    assert.equal(heard.at(-1)?.signal.aborted, true)
  }
})

test('twelve subscriptions at once leave eight, each ended with its own answer, and nothing that listens on', async (t) => {
  verifies('eras.streams')
  const { streams, heard } = streamsOver()
  const hosts = []
  for (let i = 0; i < 12; i++) hosts.push(await host(t))
  await Promise.all(hosts.map(({ channel }, i) => streams.subscribed(listening(channel, {}, i))))
  await Promise.all(hosts.slice(0, 4).map(({ gone }) => gone))
  for (const [i, { ended, text }] of hosts.entries()) {
    assert.equal(ended(), i < 4)
    assert.equal(text().includes(`"id":${i},"result"`), i < 4)
  }
  assert.equal(heard.filter(({ signal }) => !signal.aborted).length, 8)
})

test('a stream ends in order with the token that opened it', async (t) => {
  verifies('eras.streams')
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  const { streams, heard } = streamsOver()
  const [get, listen] = [await host(t), await host(t)]
  await streams.opened({ channel: get.channel, endpoint, caller }, agreed)
  await streams.subscribed(listening(listen.channel, { toolsListChanged: true }))
  t.mock.timers.tick(LIFE_MS - 1)
  assert.deepEqual(
    heard.map(({ signal }) => signal.aborted),
    [false, false],
  )
  t.mock.timers.tick(1)
  await Promise.all([get.gone, listen.gone])
  assert.deepEqual([get.ended(), listen.ended()], [true, true])
  assert.match(listen.text(), /"id":"sub","result"/)
  assert.deepEqual(
    heard.map(({ signal }) => signal.aborted),
    [true, true],
  )
})

test('a stream ends with the certificate of its connection, and one that has months left stays open', async (t) => {
  verifies('play2.mtls-in')
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  const shown = { thumbprint: 'x', uris: [], dns: [], subject: 'CN=x', notBefore: 0 }
  const certificate = { ...shown, notAfter: principal.token.exp - 10 }
  const { streams } = streamsOver()
  const bound = await host(t)
  await streams.opened({ channel: bound.channel, endpoint, caller: { ...caller, certificate } }, agreed)
  t.mock.timers.tick(LIFE_MS - 10_000)
  await bound.gone
  assert.equal(bound.ended(), true)

  const lasting = { ...principal, token: { ...principal.token, exp: NOW / 1_000 + 90 * 86_400 } }
  const { streams: long, heard } = streamsOver({ who: lasting })
  const held = await host(t)
  await long.opened({ channel: held.channel, endpoint, caller }, agreed)
  t.mock.timers.tick(2)
  assert.equal(heard[0]?.signal.aborted, false)
})

test('of two streams of one legacy session the newer one is told, and the older again when that is gone', async (t) => {
  verifies('eras.streams')
  const { streams, listeners } = streamsOver()
  const [older, newer, other] = [await host(t), await host(t), await host(t)]
  const open = (one: typeof older, session = agreed) =>
    streams.opened({ channel: one.channel, endpoint, caller }, session)
  await open(older)
  await open(newer)
  await open(other, { ...agreed, nonce: 'another' })
  listeners.changed()
  await Promise.all([newer, other].map((one) => one.reads('list_changed')))
  newer.leave()
  await newer.closed
  assert.doesNotMatch(older.text(), /list_changed/)
  listeners.changed()
  await older.reads('list_changed')
})

test('a legacy session that is ended takes its streams with it, and no other’s', async (t) => {
  verifies('eras.streams')
  const { streams, heard } = streamsOver()
  const [one, two, other] = [await host(t), await host(t), await host(t)]
  for (const { channel } of [one, two]) await streams.opened({ channel, endpoint, caller }, agreed)
  await streams.opened({ channel: other.channel, endpoint, caller }, { ...agreed, nonce: 'another' })
  streams.ended(agreed)
  await Promise.all([one.gone, two.gone])
  assert.deepEqual([one.ended(), two.ended(), other.ended()], [true, true, false])
  assert.deepEqual(
    heard.map(({ signal }) => signal.aborted),
    [true, true, false],
  )
})

test('what policy gives a principal no more is not told on a stream that was opened before', async (t) => {
  verifies('eras.streams')
  let gives = true
  const { streams, heard } = streamsOver({ mayHear: () => gives })
  const one = await host(t)
  await streams.opened({ channel: one.channel, endpoint, caller }, agreed)
  const log = (data: string) => heard[0]?.listening.onNotification('notifications/message', { data })
  log('first')
  gives = false
  log('second')
  gives = true
  log('third')
  await one.reads('third')
  assert.match(one.text(), /first/)
  assert.doesNotMatch(one.text(), /second/)
})

test('what takes no stream of events is refused before anything is heard for it', async (t) => {
  const { streams, heard } = streamsOver()
  const { channel } = await host(t, 'application/json')
  const refused = (error: unknown): boolean => error instanceof Refusal && error.code === 'CG_WIRE_ACCEPT'
  await assert.rejects(streams.opened({ channel, endpoint, caller }, agreed), refused)
  await assert.rejects(streams.subscribed(listening(channel, {})), refused)
  assert.equal(heard.length, 0)
})

test('a resource is watched only where its caller may read it', async (t) => {
  const { streams, answered } = streamsOver()
  const { channel } = await host(t)
  const watch = (uri: string, server: string | undefined) => {
    const base = listening(channel, {})
    const message = { ...base.message, method: 'resources/subscribe', params: { uri } }
    return streams.watched({ ...base, endpoint: { ...endpoint, server }, message }, true)
  }
  await watch('note://open', 'fix')
  await watch('fix+note://open', undefined)
  assert.equal(answered.length, 2)
  for (const [uri, server] of [
    ['note://secret', 'fix'],
    ['fix+note://secret', undefined],
    ['note://open', undefined],
    ['nobody+note://open', undefined],
  ] as const) {
    await assert.rejects(watch(uri, server), { code: 'CG_POLICY_NO_ALLOW' })
  }
})
