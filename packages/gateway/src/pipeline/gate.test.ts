import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Refusal } from '../call/refusal.ts'
import type { Answer } from '../call/call.ts'
import { wireName } from '../mcp/naming.ts'
import { type Upstream, UpstreamFailed } from '../ports/upstream.ts'
import { FakeLog, answerOf, catalogServer, identifiedCall } from '../testing/calls.ts'
import { verifies } from '../testing/verifies.ts'
import { createToolList } from '../wire/tool-list.ts'
import { createGate } from './gate.ts'
import { InFlight } from './in-flight.ts'
import { Listeners } from './listeners.ts'
import { RefusalCounter } from './refusal-counter.ts'

const { principal, session } = identifiedCall()
const known = { principal, session }

function gateOver(
  reachable: (name: string) => boolean,
  answer: () => Promise<Answer> = () => assert.fail('not asked'),
) {
  const servers = [
    catalogServer('b', ['two', 'one'], { withheld: new Map([['gone', { state: 'drifted', why: '' }]]) }),
    catalogServer('a', ['x']),
  ]
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
    run: nobody,
    catalog: { server: (id) => servers.find((each) => each.id === id), servers: () => servers },
    mayReach: (_, target) => reachable(target.name),
    upstream,
    inFlight: new InFlight(() => 0),
    refusals: new RefusalCounter(
      new FakeLog(),
      () => 0,
      () => 'id',
    ),
    listeners: new Listeners({ upstream, declared: () => ({}), server: () => undefined }),
    declared: () => ({}),
    listTimeoutMs: 1_000,
  })
}

test('a list shows what the caller may reach and nothing that is withheld, in one order', () => {
  verifies('play3.allow-lists')
  const gate = gateOver((name) => name !== 'two')
  const list = createToolList(gate)
  assert.deepEqual(list(known, undefined), [{ name: 'b__one' }, { name: 'a__x' }])
  assert.deepEqual(list(known, undefined), list(known, undefined))
  assert.deepEqual(list(known, 'b'), [{ name: 'one' }])
  assert.deepEqual(list(known, 'nobody'), [])
})

test('a tool without a wire name of its own is not shown on the aggregate', () => {
  verifies('mcp.names')
  const twin = wireName('fs', 'read.file').slice('fs__'.length)
  const server = catalogServer('fs', ['read.file', twin, 'other'])
  const tools = [...server.tools.values()]
  const list = createToolList({ tools: () => tools, server: () => server })
  const names = list(known, undefined).map(({ name }) => name)
  assert.deepEqual(names, ['fs__other'])
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
