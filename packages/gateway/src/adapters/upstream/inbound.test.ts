import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../call/json.ts'
import { META } from '../../mcp/era.ts'
import type { HostReach } from '../../ports/upstream.ts'
import { verifies } from '../../testing/verifies.ts'
import type { ConnectContext, Handshake } from './connection.ts'
import { Inbound, type OpenCall } from './inbound.ts'
import { DEFAULT_LIMITS } from './options.ts'
import { Subscription } from './subscription.ts'

function connection(era: Handshake['era'] = 'legacy', shared = false) {
  let changes = 0
  const context: ConnectContext = {
    server: 'crm',
    limits: DEFAULT_LIMITS,
    scan: {},
    clock: () => 0,
    clientInfo: {},
    era: undefined,
    capabilities: {},
    roots: undefined,
    shared,
    credentials: { headers: () => [], refused: () => false, accepted: () => undefined },
    onToolsChanged: () => changes++,
  }
  const replies: string[] = []
  const inbound = new Inbound(context, (bytes) => replies.push(bytes.toString()))
  inbound.greeted({
    era,
    protocolVersion: era === 'legacy' ? '2025-11-25' : '2026-07-28',
    serverInfo: {},
    capabilities: {},
    instructions: undefined,
  })
  return {
    inbound,
    replies,
    changes: () => changes,
    call(id: number, hears: Partial<Record<'progress' | 'log', JsonObject[]>>): OpenCall {
      const host: HostReach = {
        capabilities: {},
        logLevel: undefined,
        hearsLogs: false,
        onProgress: hears.progress === undefined ? undefined : (params) => hears.progress?.push(params),
        onLog: hears.log === undefined ? undefined : (params) => hears.log?.push(params),
        ask: () => Promise.resolve({}),
      }
      const call = { id, method: 'tools/call', host, questions: undefined }
      inbound.started(call)
      return call
    },
    says(method: string, params: JsonObject, own?: OpenCall): void {
      const bytes = Buffer.from(JSON.stringify(params))
      inbound.receive({ kind: 'notification', method: `notifications/${method}`, params: bytes }, own)
    },
  }
}

test('progress reaches the call whose token it names, and on the stream of a call that call alone', () => {
  verifies('bridge.server-notices')
  const { call, says, inbound } = connection()
  const [a, b]: [JsonObject[], JsonObject[]] = [[], []]
  const first = call(1, { progress: a })
  call(2, { progress: b })
  says('progress', { progressToken: 2, progress: 1 })
  says('progress', { progressToken: 2, progress: 2 }, first)
  says('progress', { progressToken: '1', progress: 3 }, first)
  says('progress', { progressToken: 7, progress: 4 })
  says('progress', { progress: 5 }, first)
  says('progress', { progressToken: 1, progress: 6, _meta: { x: 1 } }, first)
  assert.deepEqual([a, b], [[{ progress: 6, _meta: { x: 1 } }], [{ progress: 1 }]])
  inbound.ended(first)
  says('progress', { progressToken: 1, progress: 7 })
  assert.equal(a.length, 1)
})

test('a log message is for the call of its stream, else for the youngest call that hears logs, else for the listeners', () => {
  const { call, says, inbound } = connection()
  const [a, b, session]: [JsonObject[], JsonObject[], JsonObject[]] = [[], [], []]
  inbound.join((_, params) => session.push(params))
  says('message', { level: 'info', data: 1 })
  const first = call(1, { log: a })
  const second = call(2, { log: b })
  const deaf = call(3, {})
  says('message', { level: 'info', data: 2 }, first)
  says('message', { level: 'info', data: 3 })
  says('message', { level: 'info', data: 4 }, deaf)
  inbound.ended(second)
  says('message', { level: 'info', data: 5 })
  const data = (heard: JsonObject[]): unknown[] => heard.map((params) => params['data'])
  assert.deepEqual([data(a), data(b), data(session)], [[2, 5], [3], [1, 4]])
})

test('listeners hear changes of lists and resources without what belongs to the hop, and no other notification', () => {
  const { says, inbound, changes } = connection()
  const heard: [string, JsonObject][] = []
  const leave = inbound.join((method, params) => heard.push([method, params]))
  says('tools/list_changed', {})
  says('prompts/list_changed', { _meta: { [META.subscriptionId]: 1, 'vendor/x': 1 } })
  says('resources/list_changed', { _meta: { [META.subscriptionId]: 1 } })
  says('resources/updated', { uri: 'note://one' })
  says('vendor/thing', {})
  says('initialized', {})
  leave()
  says('resources/updated', { uri: 'note://two' })
  assert.deepEqual(heard, [
    ['notifications/tools/list_changed', {}],
    ['notifications/prompts/list_changed', { _meta: { 'vendor/x': 1 } }],
    ['notifications/resources/list_changed', {}],
    ['notifications/resources/updated', { uri: 'note://one' }],
  ])
  assert.equal(changes(), 1)
})

test('a listener that throws ends neither the connection nor what the others hear', () => {
  const { says, inbound } = connection()
  const heard: string[] = []
  inbound.join(() => {
    throw new Error('gone')
  })
  inbound.join((method) => heard.push(method))
  says('resources/list_changed', {})
  assert.equal(heard.length, 1)
})

test('of a shared connection nobody hears more than the progress of his own call', () => {
  const { call, says } = connection('legacy', true)
  const [progress, log]: [JsonObject[], JsonObject[]] = [[], []]
  call(1, { progress, log })
  says('message', { level: 'info', data: 'of whom?' })
  says('progress', { progressToken: 1, progress: 1 })
  assert.deepEqual([progress, log], [[{ progress: 1 }], []])
})

test('a modern server is heard by its subscriptions alone, each by its own id, and gets no answer to a request', () => {
  const { inbound, says, replies } = connection('modern')
  const heard: string[] = []
  const stray: string[] = []
  const wish = { resources: ['note://one'], onNotification: (method: string) => heard.push(method) }
  inbound.join((method) => stray.push(method))
  inbound.subscribed(new Subscription(5, { promptsListChanged: true }, wish, () => heard.push('taken')))
  const of = (id: number): JsonObject => ({ _meta: { [META.subscriptionId]: id } })
  says('prompts/list_changed', of(5))
  assert.deepEqual(heard, [])
  says('subscriptions/acknowledged', of(6))
  says('subscriptions/acknowledged', of(5))
  says('subscriptions/acknowledged', of(5))
  says('prompts/list_changed', of(6))
  says('prompts/list_changed', {})
  says('resources/list_changed', of(5))
  says('resources/updated', { uri: 'note://two', ...of(5) })
  says('resources/updated', { uri: 'note://one', ...of(5) })
  says('prompts/list_changed', of(5))
  assert.deepEqual(heard, ['taken', 'notifications/resources/updated', 'notifications/prompts/list_changed'])
  assert.deepEqual(stray, [])
  inbound.receive({ kind: 'request', id: 1, method: 'ping', params: undefined }, undefined)
  assert.deepEqual(replies, [])
})
