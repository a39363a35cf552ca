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

function refusalOf(change: Partial<ResolvedCall>): Refusal | undefined {
  try {
    void createSchemaStage().run(resolvedCall({ schema, ...change }), signal)
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
