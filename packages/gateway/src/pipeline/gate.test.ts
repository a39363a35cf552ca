import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Refusal } from '../call/refusal.ts'
import type { CatalogServer } from '../ports/catalog.ts'
import { wireName } from '../mcp/naming.ts'
import { type Upstream, UpstreamFailed } from '../ports/upstream.ts'
import { FakeLog, answerOf, catalogServer, identifiedCall } from '../testing/calls.ts'
import { verifies } from '../testing/verifies.ts'
import { createToolList } from '../wire/tool-list.ts'
import { createGate } from './gate.ts'
import { InFlight } from './in-flight.ts'
import { Listeners } from './listeners.ts'
import { LogLevels } from './log-levels.ts'
import { RefusalCounter } from './refusal-counter.ts'
import type { Ended } from './runner.ts'

const { principal, session } = identifiedCall()
const known = { principal, session }

const SERVERS = [
  catalogServer('b', ['one', 'two'], { withheld: new Map([['gone', { state: 'drifted', why: '' }]]) }),
  catalogServer('a', ['x']),
]

function gateOver(
  reachable: (name: string) => boolean,
  answer: Upstream['request'] = () => assert.fail('not asked'),
  {
    servers = SERVERS,
    found = () => assert.fail('nobody waits'),
    run = () => assert.fail('not asked'),
    lost = () => assert.fail('nothing is lost'),
  }: {
    servers?: readonly CatalogServer[]
    found?: (servers: readonly string[]) => Promise<void>
    run?: () => Promise<Ended>
    lost?: (server: string) => void
  } = {},
) {
  const nobody = (): never => assert.fail('not asked')
  const upstream: Upstream = {
    request: answer,
    describe: nobody,
    listen: nobody,
    onToolsChanged: nobody,
    close: nobody,
  }
  return createGate({
    authenticate: () => Promise.resolve(known),
    run,
    catalog: { server: (id) => servers.find((each) => each.id === id), servers: () => servers },
    mayReach: (_, target) => reachable(target.name),
    mayReachServer: (_, server, kind) => reachable(kind === 'tool' ? server : `${server} ${kind}`),
    found,
    lost,
    upstream,
    inFlight: new InFlight(() => 0),
    refusals: new RefusalCounter(
      new FakeLog(),
      () => 0,
      () => 'id',
    ),
    listeners: new Listeners({ upstream, declared: () => ({}), server: () => undefined }),
    levels: new LogLevels(),
    declared: () => ({}),
    beside: {
      screened: (_, __, ___, values) =>
        Promise.resolve(values.map((value) => ({ value, changed: false, denied: [] }))),
      logs: () => (params, to) => to(params),
    },
    listTimeoutMs: (server) => (server === 'a' ? 20 : 60_000),
  })
}

test('a list shows what the caller may reach and nothing that is withheld, in one order', async () => {
  verifies('play3.allow-lists')
  const gate = gateOver((name) => name !== 'two')
  const list = createToolList(gate)
  assert.deepEqual(await list(known, undefined), { tools: [{ name: 'a__x' }, { name: 'b__one' }] })
  assert.deepEqual(await list(known, 'b'), { tools: [{ name: 'one' }] })
  assert.deepEqual(await list(known, 'nobody'), { tools: [] })
})

test('a tool without a wire name of its own is not shown on the aggregate', async () => {
  verifies('mcp.names')
  const twin = wireName('fs', 'read.file').slice('fs__'.length)
  const servers = [catalogServer('fs', ['read.file', twin, 'other'])]
  const list = createToolList(gateOver(() => true, undefined, { servers }))
  assert.deepEqual(await list(known, undefined), { tools: [{ name: 'fs__other' }] })
})

test('a list waits for the servers of which nothing is known, but for none that policy gives the caller nothing of', async () => {
  verifies('hosts.list-deadline')
  const servers = [
    catalogServer('fresh', [], { state: 'starting' }),
    catalogServer('hidden', [], { state: 'starting' }),
    catalogServer('pinned', ['x'], { state: 'starting' }),
    catalogServer('failed', [], { state: 'failed', unavailable: 'timeout' }),
  ]
  const awaited: string[] = []
  const found = (ids: readonly string[]) => {
    awaited.push(...ids)
    return Promise.resolve()
  }
  const list = createToolList(gateOver((name) => name !== 'hidden', undefined, { servers, found }))
  await list(known, 'hidden')
  assert.deepEqual(awaited, [])
  await list(known, undefined)
  assert.deepEqual(awaited, ['fresh'])
})

test('the first page names the servers that cannot be asked, and none that policy gives the caller nothing of', async () => {
  verifies('hosts.unavailable-named')
  const servers = [
    catalogServer('dead', [], { state: 'failed', unavailable: 'unavailable' }),
    catalogServer('hidden', [], { state: 'failed', unavailable: 'timeout' }),
    catalogServer('closed', ['secret'], { unavailable: 'timeout' }),
    catalogServer('known', ['x'], { unavailable: 'protocol' }),
  ]
  const gate = gateOver((name) => !['hidden', 'secret'].includes(name), undefined, { servers })
  const list = createToolList(gate)
  assert.deepEqual(await list(known, undefined), {
    tools: [{ name: 'known__x' }],
    _meta: {
      'dev.callgate/unavailable': [
        { server: 'dead', reason: 'unavailable' },
        { server: 'known', reason: 'protocol' },
      ],
    },
  })
  assert.deepEqual(await list(known, 'hidden'), { tools: [] })
})

test('a call that did not reach its server is told, one that was answered or refused is not', async () => {
  verifies('hosts.unavailable-told')
  const lost: string[] = []
  const target = { server: 'b', kind: 'tool', name: 'one' } as const
  const ends = (outcome: Ended['outcome']) =>
    gateOver(() => true, undefined, {
      run: () => Promise.resolve({ call: { ...identifiedCall(), target }, outcome }),
      lost: (server) => void lost.push(server),
    }).call(identifiedCall())
  await ends({ kind: 'refused', refusal: new Refusal('CG_POLICY_DENIED') })
  await ends({ kind: 'failed', refusal: new Refusal('CG_UPSTREAM_BUSY') })
  assert.deepEqual(lost, [])
  await ends({ kind: 'failed', refusal: new Refusal('CG_UPSTREAM_UNAVAILABLE') })
  assert.deepEqual(lost, ['b'])
})

test('resources, templates and prompts are filtered one by one, and what has no name is left out', async () => {
  verifies('play3.allow-lists')
  const gate = gateOver(
    (name) => name.startsWith('open'),
    () =>
      Promise.resolve(
        answerOf({
          resources: [{ uri: 'open:a' }, { uri: 'secret:b' }, { name: 'open' }, 'open', null],
          nextCursor: 'more',
          extra: 1,
        }),
      ),
  )
  assert.deepEqual(await gate.list({ known, server: 'b', capabilities: {} }, 'resources/list'), {
    items: [{ uri: 'open:a' }],
    nextCursor: 'more',
  })
})

test('a list that is none, and a server that is gone, are refused as failures of the server', async () => {
  for (const [answer, code] of [
    [() => Promise.resolve(answerOf({})), 'CG_UPSTREAM_PROTOCOL'],
    [() => Promise.resolve({ ...answerOf({ prompts: [] }), kind: 'error' as const }), 'CG_UPSTREAM_PROTOCOL'],
    [() => Promise.reject(new UpstreamFailed('timeout', 'late')), 'CG_UPSTREAM_UNAVAILABLE'],
  ] as const) {
    await assert.rejects(
      gateOver(() => true, answer).list({ known, server: 'b', capabilities: {} }, 'prompts/list'),
      (error: unknown) => {
        assert.ok(error instanceof Refusal)
        assert.equal(error.code, code)
        return true
      },
    )
  }
})

test('an endpoint offers what one of its servers does, by an own member of its capabilities', () => {
  const servers = [
    catalogServer('b', [], { capabilities: { prompts: {}, logging: {} } }),
    catalogServer('a', [], { capabilities: { prompts: {} } }),
  ]
  const gate = gateOver(() => true, undefined, { servers })
  const offering = (server: string | undefined, capability: string): string[] =>
    gate.serversWith(known, server, capability).map(({ id }) => id)
  assert.deepEqual(offering(undefined, 'prompts'), ['a', 'b'])
  assert.deepEqual(offering(undefined, 'logging'), ['b'])
  assert.deepEqual(offering('b', 'logging'), ['b'])
  assert.deepEqual(offering('a', 'logging'), [])
  assert.deepEqual(offering('nobody', 'prompts'), [])
  assert.deepEqual(offering(undefined, 'toString'), [])
})

test('a server that policy gives a principal nothing of offers him nothing', () => {
  verifies('play3.allow-lists')
  const servers = [
    catalogServer('b', ['x'], { capabilities: { prompts: {}, resources: {}, logging: {} } }),
    catalogServer('a', ['y'], { capabilities: { prompts: {}, resources: {}, logging: {} } }),
  ]
  const offering = (reachable: (name: string) => boolean, capability: string): string[] =>
    gateOver(reachable, undefined, { servers })
      .serversWith(known, undefined, capability)
      .map(({ id }) => id)
  // Of server `b` the tool `x` alone, of server `a` its prompts alone.
  const some = (name: string): boolean => ['x', 'a prompt'].includes(name)
  assert.deepEqual(offering(some, 'prompts'), ['a'])
  assert.deepEqual(offering(some, 'resources'), [])
  assert.deepEqual(offering(some, 'logging'), ['a', 'b'])
  assert.deepEqual(
    offering((name) => name === 'x', 'logging'),
    ['b'],
  )
})

test('a principal hears a server of which policy gives him something, and of its resources those that he may read', () => {
  verifies('eras.streams')
  const gate = gateOver((name) => name === 'x' || name === 'note://open')
  assert.equal(gate.mayHear(known, 'a', undefined), true)
  assert.equal(gate.mayHear(known, 'b', undefined), false)
  assert.equal(gate.mayHear(known, 'nobody', undefined), false)
  assert.equal(gate.mayHear(known, 'b', 'note://open'), true)
  assert.equal(gate.mayHear(known, 'a', 'note://secret'), false)
})

test('a server that hangs holds a list for as long as its own lists may take', async () => {
  verifies('hosts.list-deadline')
  const gate = gateOver(
    () => true,
    (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new UpstreamFailed('timeout', 'no answer in time')))
      }),
  )
  await assert.rejects(gate.list({ known, server: 'a', capabilities: {} }, 'prompts/list'), {
    code: 'CG_UPSTREAM_UNAVAILABLE',
  })
})
