import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { JsonObject } from '../call/json.ts'
import { type ServerDescription, type Upstream, UpstreamFailed } from '../ports/upstream.ts'
import { verifies } from '../testing/verifies.ts'
import type { AvailabilityEvent } from './availability.ts'
import { ServerCatalog } from './catalog.ts'
import { Discovery } from './discovery.ts'

const TOOL: JsonObject = { name: 'note', inputSchema: { type: 'object' } }
const described: ServerDescription = {
  era: 'legacy',
  protocolVersion: '2025-11-25',
  serverInfo: {},
  capabilities: {},
  instructions: undefined,
  tools: [TOOL],
}

function bench(answers: Record<string, () => Promise<ServerDescription>>) {
  let listener: (server: string, tools?: readonly JsonObject[]) => void = () => undefined
  const asked: string[] = []
  const events: AvailabilityEvent[] = []
  const store = { fails: false }
  const upstream: Upstream = {
    request: () => assert.fail('nobody calls'),
    describe: (server) => {
      asked.push(server)
      return answers[server]?.() ?? assert.fail('unknown server')
    },
    listen: () => assert.fail('nobody listens'),
    onToolsChanged: (to) => (listener = to),
    close: () => Promise.resolve(),
  }
  const servers = Object.keys(answers)
  const catalog = new ServerCatalog({
    policies: new Map(
      servers.map((id) => [
        id,
        {
          approve: 'first-use' as const,
          publisher: 'local',
          classify: () => ({ class: 'write' as const, labels: [] }),
        },
      ]),
    ),
    store: {
      load: () => Promise.resolve({}),
      save: () => (store.fails ? Promise.reject(new Error('disk full')) : Promise.resolve()),
    },
    now: Date.now,
    onEvent: () => undefined,
    onChange: () => undefined,
  })
  const discovery = new Discovery({
    upstream,
    catalog,
    servers: new Map(servers.map((id) => [id, { listTimeoutMs: 5_000, transport: 'stdio' }])),
    onEvent: (event) => void events.push(event),
  })
  return {
    discovery,
    catalog,
    asked,
    events,
    store,
    tell: (server: string, tools?: readonly JsonObject[]) => listener(server, tools),
  }
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await turn()
}

test('it is settled once every server has listed or failed once', async () => {
  verifies('spine.healthz')
  let late: (description: ServerDescription) => void = () => undefined
  const { discovery, catalog, events } = bench({
    good: () => Promise.resolve(described),
    dead: () => Promise.reject(new UpstreamFailed('unavailable', 'gone')),
    slow: () => new Promise((resolve) => (late = resolve)),
  })
  const started = discovery.start()
  await settle()
  assert.deepEqual(
    [catalog.server('good')?.state, catalog.server('dead')?.state, discovery.settled],
    ['ready', 'failed', false],
  )
  late(described)
  await started
  discovery.stop()
  assert.equal(discovery.settled, true)
  assert.deepEqual(events, [
    { event: 'server.unavailable', server: 'dead', reason: 'unavailable', why: 'gone' },
  ])
})

test('a list waits for a server that hangs until its deadline and no longer, and it is back when it lists', async (t) => {
  verifies('hosts.list-deadline')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let late: (description: ServerDescription) => void = () => undefined
  const { discovery, catalog, events } = bench({
    good: () => Promise.resolve(described),
    hangs: () => new Promise((resolve) => (late = resolve)),
  })
  let found = false
  await catalog.load()
  void discovery.start()
  await discovery.found(['good'])
  void discovery.found(['good', 'hangs']).then(() => (found = true))
  t.mock.timers.tick(4_999)
  await settle()
  assert.deepEqual([found, catalog.server('hangs')?.state], [false, 'starting'])
  t.mock.timers.tick(1)
  await settle()
  assert.deepEqual([found, catalog.server('hangs')?.unavailable], [true, 'timeout'])
  t.mock.timers.tick(10_000)
  late(described)
  await settle()
  assert.deepEqual(
    [catalog.server('hangs')?.state, catalog.server('hangs')?.unavailable],
    ['ready', undefined],
  )
  assert.deepEqual(
    events.map(({ event, server }) => `${event} ${server}`),
    ['server.unavailable hangs', 'server.available hangs'],
  )
  discovery.stop()
})

test('nobody waits for servers once the gate stops', async () => {
  const { discovery } = bench({ hangs: () => new Promise(() => undefined) })
  void discovery.start()
  const found = discovery.found(['hangs'])
  discovery.stop()
  await found
})

test('calls that do not reach their server make the gate ask it once a second, however many they are', async (t) => {
  verifies('hosts.unavailable-told')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let alive = true
  const { discovery, asked, catalog } = bench({
    fix: () =>
      alive ? Promise.resolve(described) : Promise.reject(new UpstreamFailed('unavailable', 'gone')),
  })
  await discovery.start()
  alive = false
  for (let i = 0; i < 50; i++) discovery.look('fix')
  assert.equal(asked.length, 1)
  t.mock.timers.tick(1_000)
  await settle()
  assert.deepEqual([asked.length, catalog.server('fix')?.unavailable], [2, 'unavailable'])
  assert.deepEqual([...(catalog.server('fix')?.tools.keys() ?? [])], ['note'], 'its approved tools stay')
  discovery.stop()
})

test('a server that failed is asked again, until the gate stops', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let alive = false
  const { discovery, catalog, asked } = bench({
    fix: () => (alive ? Promise.resolve(described) : Promise.reject(new UpstreamFailed('timeout', 'late'))),
  })
  await discovery.start()
  alive = true
  t.mock.timers.tick(10_000)
  await settle()
  assert.deepEqual([asked.length, catalog.server('fix')?.state], [2, 'ready'])
  alive = false
  discovery.stop()
  t.mock.timers.tick(60_000)
  await settle()
  assert.equal(asked.length, 2)
})

test('a server that says "changed" at every listing is asked at most once a second', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { discovery, asked, tell } = bench({
    fix: async () => {
      await turn()
      tell('fix')
      return described
    },
  })
  await discovery.start()
  for (let i = 0; i < 10; i++) {
    t.mock.timers.tick(100)
    await settle()
  }
  assert.equal(asked.length, 2)
  discovery.stop()
})

test('a disk that takes no pins ends neither the start nor the gate', async (t) => {
  verifies('spine.one-dead-server')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { discovery, catalog, events, store, tell } = bench({ fix: () => Promise.resolve(described) })
  store.fails = true
  await discovery.start()
  const why = 'its tools could not be pinned: disk full'
  assert.deepEqual([discovery.settled, catalog.server('fix')?.unavailable], [true, 'not_pinned'])
  assert.deepEqual(events, [{ event: 'server.unavailable', server: 'fix', reason: 'not_pinned', why }])
  tell('fix', [TOOL, { ...TOOL, name: 'more' }])
  await settle()
  assert.equal(events.length, 1, 'the same is told once')
  store.fails = false
  t.mock.timers.tick(10_000)
  await settle()
  assert.deepEqual([...(catalog.server('fix')?.tools.keys() ?? [])], ['note'])
  discovery.stop()
})
