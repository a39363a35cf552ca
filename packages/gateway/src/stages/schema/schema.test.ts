import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ResolvedCall } from '../../call/call.ts'
import { Refusal } from '../../call/refusal.ts'
import { compileSchema } from '../../json-schema/compile.ts'
import { resolvedCall } from '../../testing/calls.ts'
import { verifies } from '../../testing/verifies.ts'
import { createSchemaStage } from './schema.ts'

const schema = compileSchema({ type: 'object', properties: { text: { type: 'string' } }, required: ['text'] })
const signal = new AbortController().signal

function refusalOf(change: Partial<ResolvedCall>, mayReach = true): Refusal | undefined {
  try {
    void createSchemaStage(() => mayReach).run(resolvedCall({ schema, ...change }), signal)
    return undefined
  } catch (error) {
    assert.ok(error instanceof Refusal)
    return error
  }
}

test('members that the schema does not name are refused, also those that objects inherit', () => {
  verifies('play7.mass-assignment')
  verifies('play3.strict-schema')
  assert.equal(refusalOf({ args: { text: 'x' } }), undefined)
  for (const args of [
    {},
    { text: 1 },
    { text: 'x', is_admin: true },
    { text: 'x', constructor: {} },
    JSON.parse('{"text":"x","__proto__":{"a":1}}'),
  ]) {
    assert.equal(refusalOf({ args })?.code, 'CG_SCHEMA_VIOLATION', JSON.stringify(args))
  }
})

test('the place goes back to the caller alone: its names are the caller’s own, and the record has none of them', () => {
  const refusal = refusalOf({ args: { text: 'x', 'secret-name': 1 } })
  assert.match(refusal?.publicText ?? '', /`\/secret-name`/)
  assert.doesNotMatch(refusal?.internal ?? '', /secret/)
})

test('a place that the caller made very long is not sent back whole', () => {
  const refusal = refusalOf({ args: { text: 'x', ['y'.repeat(100_000)]: 1 } })
  assert.ok((refusal?.publicText ?? '').length < 1_000)
})

test('a number that the server would read differently is refused, with a schema and without', () => {
  for (const change of [{}, { schema: undefined }]) {
    assert.equal(refusalOf({ ...change, args: { text: 'x' }, exactNumbers: false })?.code, 'CG_SCHEMA_NUMBER')
    assert.equal(refusalOf({ ...change, args: { text: 'x' } }), undefined)
  }
})

test('a check that runs out of steps is refused as that', () => {
  const spent = { validate: () => ({ pointer: '', keyword: 'budget', expected: 'less' }) }
  assert.equal(refusalOf({ schema: spent })?.code, 'CG_SCHEMA_BUDGET')
})

test('headers that say something else than the arguments are refused, of a modern host alone', () => {
  verifies('bridge.param-headers')
  const checked = {
    validate: () => null,
    headers: {
      check: (_: object, received: readonly string[]) =>
        received.includes('eu') ? undefined : '`Mcp-Param-Region` is missing',
      of: () => [],
    },
  }
  const refused = refusalOf({ schema: checked, era: 'modern', headers: ['Mcp-Param-Region', 'us'] })
  assert.equal(refused?.code, 'CG_WIRE_HEADER_MISMATCH')
  assert.match(refused?.publicText ?? '', /Mcp-Param-Region/)
  assert.equal(refusalOf({ schema: checked, era: 'modern', headers: ['Mcp-Param-Region', 'eu'] }), undefined)
  assert.equal(refusalOf({ schema: checked, era: 'legacy', headers: [] }), undefined)
})

test('who may not call a tool learns nothing of its schema', () => {
  verifies('play3.allow-lists')
  for (const args of [{}, { text: 1 }, { text: 'x', more: 1 }]) {
    const refused = refusalOf({ args }, false)
    assert.deepEqual([refused?.code, refused?.publicText], ['CG_POLICY_NO_ALLOW', undefined])
  }
  // What fits goes on to policy, which says why.
  assert.equal(refusalOf({ args: { text: 'x' } }, false), undefined)
  const spent = { validate: () => ({ pointer: '', keyword: 'budget', expected: 'less' }) }
  assert.equal(refusalOf({ schema: spent }, false)?.code, 'CG_POLICY_NO_ALLOW')
})
