import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { IdentifiedCall, ResolvedCall } from '../../call/call.ts'
import { Refusal } from '../../call/refusal.ts'
import type { Catalog, CatalogServer } from '../../ports/catalog.ts'
import { catalogServer, identifiedCall } from '../../testing/calls.ts'
import { verifies } from '../../testing/verifies.ts'
import { createCatalogStage } from './catalog.ts'
import { createResolver } from './resolver.ts'

function stageOver(...servers: CatalogServer[]): (call: IdentifiedCall) => ResolvedCall | string {
  const catalog: Catalog = { server: (id) => servers.find((each) => each.id === id), servers: () => servers }
  const resolver = createResolver(catalog)
  resolver.rebuild()
  const stage = createCatalogStage(catalog, resolver.resolve)
  return (call) => {
    try {
      const resolved = stage.run(call, new AbortController().signal)
      assert.ok(!(resolved instanceof Promise))
      return resolved
    } catch (error) {
      assert.ok(error instanceof Refusal)
      return error.code
    }
  }
}

const asks = (requested: string, server?: string, change: Partial<IdentifiedCall> = {}): IdentifiedCall =>
  identifiedCall({
    requested,
    caller: {
      peer: '127.0.0.1',
      token: undefined,
      endpoint: { server, resource: 'https://gate.example/mcp' },
    },
    ...change,
  })

const withheld = new Map([
  ['new', { state: 'pending', why: 'w' } as const],
  ['turned', { state: 'drifted', why: 'w' } as const],
  ['sick', { state: 'refused', why: 'w' } as const],
])
const run = stageOver(
  catalogServer('fix', ['echo', 'a.b'], { withheld }),
  catalogServer('late', [], { state: 'starting' }),
  catalogServer('dead', [], { state: 'failed' }),
  catalogServer('known', ['echo'], { state: 'failed' }),
)

test('a tool is found by its wire name on the aggregate and by its own at its server, and never the other way round', () => {
  verifies('mcp.names')
  for (const call of [asks('fix__echo'), asks('echo', 'fix')]) {
    const resolved = run(call)
    assert.ok(typeof resolved === 'object')
    assert.deepEqual(resolved.target, { server: 'fix', kind: 'tool', name: 'echo' })
    assert.equal(resolved.class, 'read')
  }
  for (const call of [
    asks('echo'),
    asks('fix__echo', 'fix'),
    asks('fix.echo'),
    asks('late__echo'),
    asks('fix__'),
    asks(''),
  ]) {
    assert.equal(run(call), 'CG_CATALOG_UNKNOWN_TOOL')
  }
})

test('a tool that is withheld is refused by its own reason', () => {
  verifies('play8.signed-only.definitions')
  for (const [tool, code] of [
    ['new', 'CG_CATALOG_NOT_APPROVED'],
    ['turned', 'CG_CATALOG_DRIFTED'],
    ['sick', 'CG_CATALOG_REFUSED'],
  ] as const) {
    assert.equal(run(asks(`fix__${tool}`)), code)
    assert.equal(run(asks(tool, 'fix')), code)
  }
})

test('a server that has listed nothing yet says so, one whose tools are known serves them', () => {
  assert.equal(run(asks('echo', 'late')), 'CG_CATALOG_NOT_READY')
  assert.equal(run(asks('echo', 'dead')), 'CG_CATALOG_NOT_READY')
  assert.equal(typeof run(asks('echo', 'known')), 'object')
  assert.equal(run(asks('echo', 'nobody')), 'CG_CATALOG_UNKNOWN_SERVER')
})

test('resources and prompts mean something at a server alone, count as reads and have no definition', () => {
  for (const [method, kind] of [
    ['resources/read', 'resource'],
    ['prompts/get', 'prompt'],
  ] as const) {
    const resolved = run(asks('note://a', 'fix', { method }))
    assert.ok(typeof resolved === 'object')
    assert.deepEqual(
      [resolved.target.kind, resolved.class, resolved.digest, resolved.schema],
      [kind, 'read', undefined, undefined],
    )
    assert.equal(run(asks('note://a', undefined, { method })), 'CG_CATALOG_UNKNOWN_TOOL')
  }
})
