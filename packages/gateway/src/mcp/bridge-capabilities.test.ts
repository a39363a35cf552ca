import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Json, JsonObject } from '../call/json.ts'
import { verifies } from '../testing/verifies.ts'
import { allowedRequests, declaredUpstream, isAllowed, type ClientCapability } from './bridge-capabilities.ts'

const ALL: readonly ClientCapability[] = [
  'elicitation.form',
  'elicitation.url',
  'sampling',
  'sampling.tools',
  'sampling.context',
  'tasks',
]

function allowed(capabilities: JsonObject): ClientCapability[] {
  return [...allowedRequests(capabilities)]
}

test('a declaration is read as each version means it', () => {
  assert.deepEqual(allowed({}), [])
  assert.deepEqual(allowed({ elicitation: {} }), ['elicitation.form'])
  assert.deepEqual(allowed({ elicitation: { form: {} } }), ['elicitation.form'])
  assert.deepEqual(allowed({ elicitation: { url: {} } }), ['elicitation.url'])
  assert.deepEqual(allowed({ elicitation: { form: {}, url: {} } }), ['elicitation.form', 'elicitation.url'])
  assert.deepEqual(allowed({ sampling: {} }), ['sampling'])
  assert.deepEqual(allowed({ sampling: { tools: {}, context: {} } }), [
    'sampling',
    'sampling.tools',
    'sampling.context',
  ])
  assert.deepEqual(allowed({ roots: { listChanged: true }, tools: {}, extensions: {} }), [])
  for (const odd of [true, 'yes', null, [], 1] as Json[])
    assert.deepEqual(allowed({ elicitation: odd, sampling: odd }), [])
})

test('a server is told what host and operator both say, in empty objects, and by default nothing', () => {
  verifies('bridge.capability-rule')
  const host = {
    roots: { listChanged: true },
    sampling: { tools: { secret: 1 }, context: {} },
    elicitation: { form: { applyDefaults: true }, url: {} },
    extensions: { 'io.modelcontextprotocol/ui': {}, 'io.modelcontextprotocol/tasks': { secret: 1 } },
    experimental: { x: {} },
  }
  assert.deepEqual(declaredUpstream(host, []), {})
  assert.deepEqual(declaredUpstream(host, ['elicitation.form']), { elicitation: { form: {} } })
  assert.deepEqual(declaredUpstream(host, ['sampling']), { sampling: {} })
  assert.deepEqual(declaredUpstream(host, ['sampling', 'sampling.tools']), { sampling: { tools: {} } })
  assert.deepEqual(declaredUpstream(host, ['sampling.tools']), {})
  assert.deepEqual(declaredUpstream(host, ALL), {
    elicitation: { form: {}, url: {} },
    sampling: { context: {}, tools: {} },
    extensions: { 'io.modelcontextprotocol/tasks': {} },
  })
  assert.deepEqual(declaredUpstream({ elicitation: {} }, ALL), { elicitation: { form: {} } })
  assert.deepEqual(declaredUpstream({}, ALL), {})
})

test('no host and no grant lets a server ask more than both allow, and the same rights give the same text', () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const part = fc.constantFrom<Json>({}, { listChanged: true }, null, true)
  const host = fc.record(
    {
      elicitation: fc.oneof(part, fc.record({ form: part, url: part }, { requiredKeys: [] })),
      sampling: fc.oneof(part, fc.record({ tools: part, context: part }, { requiredKeys: [] })),
      roots: part,
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(host, fc.shuffledSubarray([...ALL]), (declared, granted) => {
      const upstream = declaredUpstream(declared, granted)
      const told = allowedRequests(upstream)
      for (const capability of told) {
        assert.ok(granted.includes(capability) && allowedRequests(declared).has(capability), capability)
      }
      assert.deepEqual(declaredUpstream(upstream, ALL), upstream)
      assert.equal(JSON.stringify(declaredUpstream(declared, granted.toReversed())), JSON.stringify(upstream))
      assert.equal(Object.hasOwn(upstream, 'roots'), false)
    }),
    { seed, numRuns: 500, verbose: 1 },
  )
})

test('a question needs its own capability: the mode of an elicitation, tools of sampling; roots need none', () => {
  verifies('bridge.capability-rule')
  const ask = (
    capabilities: readonly ClientCapability[],
    method: 'elicitation/create' | 'sampling/createMessage' | 'roots/list',
    params: JsonObject,
  ) => isAllowed(new Set(capabilities), { method, params })
  assert.equal(ask(['elicitation.form'], 'elicitation/create', { mode: 'form' }), true)
  assert.equal(ask(['elicitation.form'], 'elicitation/create', {}), true)
  assert.equal(ask(['elicitation.form'], 'elicitation/create', { mode: 'url' }), false)
  assert.equal(ask(['elicitation.url'], 'elicitation/create', { mode: 'url' }), true)
  assert.equal(ask(['elicitation.url'], 'elicitation/create', {}), false)
  assert.equal(ask(['sampling'], 'sampling/createMessage', { messages: [] }), true)
  assert.equal(ask(['elicitation.form', 'elicitation.url'], 'sampling/createMessage', {}), false)
  assert.equal(ask(['sampling'], 'sampling/createMessage', { tools: [] }), false)
  assert.equal(ask(['sampling'], 'sampling/createMessage', { toolChoice: {} }), false)
  assert.equal(
    ask(['sampling', 'sampling.tools'], 'sampling/createMessage', { tools: [], toolChoice: {} }),
    true,
  )
  assert.equal(ask([], 'roots/list', {}), true)
})
