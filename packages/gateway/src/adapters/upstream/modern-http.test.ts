import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { isJsonObject, member, stringMember, type Json, type JsonObject } from '../../call/json.ts'
import { META } from '../../mcp/era.ts'
import { UpstreamFailed, type UpstreamFault } from '../../ports/upstream.ts'
import { verifies } from '../../testing/verifies.ts'
import { createUpstream } from './index.ts'
import { until } from './testing/ask.ts'
import { callFor, testHost } from './testing/host.ts'
import { listen } from './testing/http-servers.ts'
import { Reply } from './testing/scripted-server.ts'

const subscriptions: Reply[] = []
const bodies: JsonObject[] = []
let refusesListen = false
let acknowledges = true

const server = await listen((_, response, body) => {
  const message: unknown = JSON.parse(body)
  assert.ok(isJsonObject(message))
  const reply = new Reply(response, member(message, 'id') ?? null)
  const capabilities = { tools: {}, prompts: { listChanged: true }, resources: { subscribe: true } }
  switch (stringMember(message, 'method')) {
    case 'server/discover': {
      const result = { supportedVersions: ['2026-07-28'], capabilities, resultType: 'complete' }
      reply.json({ jsonrpc: '2.0', id: reply.id, result })
      break
    }
    case 'subscriptions/listen':
      if (refusesListen) {
        reply.json({ jsonrpc: '2.0', id: reply.id, error: { code: -32601, message: 'no such method' } }, 404)
        break
      }
      subscriptions.push(reply)
      reply.begin()
      if (acknowledges) reply.events(notice('subscriptions/acknowledged', reply.id, { notifications: {} }))
      break
    default:
      bodies.push(message)
      reply.result('fine')
  }
})

function notice(method: string, subscription: Json, params: JsonObject = {}): JsonObject {
  const tagged = { ...params, _meta: { [META.subscriptionId]: subscription } }
  return { jsonrpc: '2.0', method: `notifications/${method}`, params: tagged }
}

const fix = { transport: 'http', network: ['127.0.0.0/8'], url: server.url, era: 'modern' } as const
const upstream = createUpstream({
  servers: { fix, rooted: { ...fix, roots: ['file:///srv'] } },
  limits: { connectMs: 300, backoffMinMs: 10, backoffMaxMs: 20 },
})
after(async () => {
  await upstream.close()
  await server.close()
})

function paramsOf(body: JsonObject | undefined): JsonObject {
  const params = body === undefined ? undefined : member(body, 'params')
  assert.ok(isJsonObject(params))
  return params
}
function metaOf(body: JsonObject | undefined): JsonObject {
  const meta = member(paramsOf(body), '_meta')
  assert.ok(isJsonObject(meta))
  return meta
}
function listening(resources: readonly string[] = [], session = 's1') {
  const told: string[] = []
  const stop = new AbortController()
  const onNotification = (method: string, params: JsonObject) =>
    told.push(`${method.slice(14)} ${stringMember(params, 'uri') ?? ''}`.trim())
  const wish = { server: 'fix', session, principal: undefined, capabilities: {}, resources, onNotification }
  return { told, stop: () => stop.abort(), taken: upstream.listen(wish, stop.signal) }
}
function failsWith(fault: UpstreamFault): (cause: unknown) => boolean {
  return (cause) => cause instanceof UpstreamFailed && cause.fault === fault
}

test('a modern server is told with each request what this host may be asked, the log level that it wants, and of roots', async () => {
  verifies('bridge.capability-rule')
  const capabilities = { elicitation: { url: {} } }
  for (const [name, host] of [
    ['fix', testHost({ capabilities, logLevel: 'warning' })],
    ['fix', testHost()],
    ['rooted', testHost({ capabilities })],
    ['fix', undefined],
  ] as const) {
    await callFor(upstream, name, 'echo', host)
  }
  assert.deepEqual(
    bodies.slice(-4).map((body) => [metaOf(body)[META.clientCapabilities], metaOf(body)[META.logLevel]]),
    [
      [capabilities, 'warning'],
      [{}, undefined],
      [{ ...capabilities, roots: {} }, undefined],
      [{}, undefined],
    ],
  )
})

test('a retry carries the answers byte for byte and the state; the headers of parameters go as they are given', async () => {
  verifies('bridge.mrtr')
  await callFor(upstream, 'fix', 'echo', testHost(), {
    argsBytes: Buffer.from('{"n":1.50}'),
    paramHeaders: ['mcp-param-region', 'eu', 'mcp-param-name', '=?base64?aMO8?='],
    retry: { inputResponses: Buffer.from('{"k": {"action":"accept"}}'), requestState: 'st"ate' },
  })
  const seen = server.seen.at(-1)
  assert.match(
    seen?.body ?? '',
    /"params":\{"name":"echo","arguments":\{"n":1\.50\},"inputResponses":\{"k": \{"action":"accept"\}\},"requestState":"st\\"ate","_meta":\{/,
  )
  assert.equal(seen?.headers['mcp-param-region'], 'eu')
  assert.equal(seen?.headers['mcp-param-name'], '=?base64?aMO8?=')
  await callFor(upstream, 'fix', 'echo', testHost(), {
    argsBytes: undefined,
    head: {},
    retry: { inputResponses: undefined, requestState: 'only' },
  })
  assert.match(server.seen.at(-1)?.body ?? '', /"params":\{"requestState":"only","_meta":\{/)
})

test('a subscription is taken once acknowledged, hears its own notifications of the kinds it asked for, and is closed by its abort', async () => {
  verifies('eras.listening')
  const mine = listening(['note://one'])
  await mine.taken
  const reply = subscriptions.at(-1)
  assert.ok(reply !== undefined)
  assert.deepEqual(paramsOf(JSON.parse(server.seen.at(-1)?.body ?? '{}'))['notifications'], {
    promptsListChanged: true,
    resourceSubscriptions: ['note://one'],
  })
  assert.equal(server.seen.at(-1)?.headers['mcp-method'], 'subscriptions/listen')
  reply.events(
    notice('prompts/list_changed', Number(reply.id) + 1),
    notice('prompts/list_changed', String(reply.id)),
    notice('resources/list_changed', reply.id),
    notice('resources/updated', reply.id, { uri: 'note://two' }),
    ': keep-alive\n\n',
    notice('prompts/list_changed', reply.id),
    notice('resources/updated', reply.id, { uri: 'note://one' }),
  )
  await until('it was told', () => mine.told.length === 2)
  assert.deepEqual(mine.told, ['prompts/list_changed', 'resources/updated note://one'])
  mine.stop()
  await until('the stream was closed', () => reply.closed)
})

test('a subscription whose stream breaks or is ended by a result is opened again', async () => {
  const mine = listening()
  await mine.taken
  const before = subscriptions.length
  subscriptions.at(-1)?.break()
  await until('it was opened again', () => subscriptions.length === before + 1)
  const second = subscriptions.at(-1)
  second?.events({ jsonrpc: '2.0', id: second.id, result: { resultType: 'complete' } })
  await until('it was opened a third time', () => subscriptions.length === before + 2)
  const third = subscriptions.at(-1)
  await until('it hears', () => {
    third?.events(notice('prompts/list_changed', third.id))
    return mine.told.length > 0
  })
  mine.stop()
})

test('a server that refuses to be heard, or never acknowledges, fails the wish', async (t) => {
  t.after(() => {
    refusesListen = false
    acknowledges = true
  })
  refusesListen = true
  await assert.rejects(listening().taken, failsWith('protocol'))
  refusesListen = false
  acknowledges = false
  await assert.rejects(listening().taken, failsWith('timeout'))
})

test('open subscriptions take no place of calls', async () => {
  const own = createUpstream({ servers: { fix }, limits: { maxInFlight: 1 } })
  const stop = new AbortController()
  for (const session of ['a', 'b', 'c']) {
    const wish = {
      server: 'fix',
      session,
      principal: undefined,
      capabilities: {},
      resources: [],
      onNotification: () => {},
    }
    await own.listen(wish, stop.signal)
  }
  await callFor(own, 'fix', 'echo', testHost())
  stop.abort()
  await own.close()
})
