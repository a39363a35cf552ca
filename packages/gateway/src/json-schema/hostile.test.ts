import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../testing/verifies.ts'
import { compileSchema } from './compile.ts'
import type { SchemaObject } from './schema-object.ts'
import { assertRefused, assertVerdicts, judge } from './testing/verdicts.ts'

/** 2^levels references from one value. */
function bomb(levels: number): SchemaObject {
  const $defs: Record<string, unknown> = { d0: { type: 'string' } }
  for (let level = 1; level <= levels; level++) {
    const twice = { $ref: `#/$defs/d${level - 1}` }
    $defs[`d${level}`] = { allOf: [twice, twice] }
  }
  return { $ref: `#/$defs/d${levels}`, $defs }
}

function nest(levels: number): unknown {
  let schema: unknown = {}
  for (let level = 1; level < levels; level++) schema = { not: schema }
  return schema
}

test('the 2^22 reference bomb is refused at load, and by steps where the load bound is lifted', () => {
  verifies('play3.strict-schema.hostile')
  assertRefused(bomb(22), 'limit.expansion')
  const lifted = compileSchema(bomb(22), { limits: { expansion: Infinity } })
  assert.deepEqual(lifted.validate('s'), {
    pointer: '',
    keyword: 'budget',
    expected: 'a value that takes fewer validation steps',
  })
  assertVerdicts(bomb(8), { passes: ['s'], fails: [1] })
})

test('a bomb under not or anyOf is no mismatch', () => {
  const options = { limits: { expansion: Infinity } }
  const schema = { anyOf: [{ not: { $ref: '#/$defs/d22' } }, true], $defs: bomb(22)['$defs'] }
  assert.equal(judge(schema, 's', options)?.keyword, 'budget')
})

test('^(a+)+$ on 50,000 letters is answered within a tenth of the steps', () => {
  verifies('play3.strict-schema.hostile')
  const text = 'a'.repeat(50_000)
  const compiled = compileSchema({ pattern: '^(a+)+$' }, { limits: { steps: 10_000 } })
  assert.equal(compiled.validate(`${text}!`)?.keyword, 'pattern')
  assert.equal(compiled.validate(text), null)
})

test('a costly pattern on a long text ends in the budget', () => {
  const compiled = compileSchema({ pattern: '(?:a|b)*a(?:a|b){900}[^b]$' })
  assert.equal(compiled.validate('ab'.repeat(50_000))?.keyword, 'budget')
})

test('uniqueItems on huge arrays is linear in steps', () => {
  const objects = Array.from({ length: 10_000 }, (_, at) => ({ id: at, name: 'n' }))
  const schema = { uniqueItems: true }
  assert.equal(judge(schema, objects), null)
  assert.equal(judge(schema, [...objects, objects[0]])?.pointer, '/10000')
  assert.equal(
    judge(
      schema,
      Array.from({ length: 60_000 }, (_, at) => [at]),
    )?.keyword,
    'budget',
  )
})

test('a value nested without end is a violation, not a stack overflow', () => {
  let value: unknown = []
  for (let level = 0; level < 100_000; level++) value = [value]
  assert.equal(judge({ items: { $ref: '#' } }, value)?.keyword, 'budget')
  assert.equal(judge({ uniqueItems: true }, value)?.keyword, 'budget')
  assert.equal(judge({ allOf: [{ items: { $ref: '#' } }, { properties: {} }] }, value)?.keyword, 'budget')
  assert.equal(judge({ const: [[]] }, value)?.keyword, 'budget')
  let shallow: unknown = []
  for (let level = 0; level < 64; level++) shallow = [shallow]
  assert.equal(judge({ anyOf: [{ items: { $ref: '#' } }, { type: 'null' }] }, shallow), null)
})

test('the deepest allowed nesting leaves the stack alone', () => {
  const schema = { allOf: [{ anyOf: [{ oneOf: [{ unevaluatedItems: { $ref: '#' }, type: 'array' }] }] }] }
  let value: unknown = []
  for (let level = 0; level < 10_000; level++) value = [value]
  assert.equal(judge(schema, value)?.keyword, 'budget')
})

test('a long chain of references compiles without nesting', () => {
  const $defs: Record<string, unknown> = { d0: { type: 'string' } }
  for (let at = 1; at <= 3000; at++) $defs[`d${at}`] = { $ref: `#/$defs/d${at - 1}` }
  assert.equal(judge({ $ref: '#/$defs/d3000', $defs }, 's')?.keyword, 'budget')
  assertVerdicts({ $ref: '#/$defs/d100', $defs }, { passes: ['s'], fails: [1] })
})

test('depth, nodes and bytes are bounded at load', () => {
  assertRefused(nest(65), 'limit.depth')
  compileSchema(nest(64))
  assertRefused(nest(200_000), 'limit.depth')
  assertRefused({ enum: Array.from({ length: 9_999 }, (_, at) => at) }, 'limit.nodes')
  compileSchema({ enum: Array.from({ length: 9_998 }, (_, at) => at) })
  assertRefused({ description: 'x'.repeat(262_144) }, 'limit.bytes')
  compileSchema({ description: 'x'.repeat(262_144 - '{"description":""}'.length) })
})

function manyPatterns(count: number): SchemaObject {
  const entries = Array.from({ length: count }, (_, at) => [`^p${at}$`, true])
  return { patternProperties: Object.fromEntries(entries) }
}

test('the number of patterns in a schema is bounded', () => {
  assertRefused(manyPatterns(5), 'limit.patterns', undefined, { limits: { patterns: 4 } })
  assertRefused(manyPatterns(5), 'limit.patterns', undefined, { limits: { patternPrograms: 20 } })
  assertVerdicts(manyPatterns(4), { passes: [{ p1: 1 }], fails: [] }, { limits: { patterns: 4 } })
})

test('lists in the schema cost steps for each value they meet', () => {
  const required = Array.from({ length: 1_000 }, (_, at) => `m${at}`)
  const schema = { items: { anyOf: [{ required }, true] } }
  assert.equal(
    judge(
      schema,
      Array.from({ length: 1_000 }, () => ({})),
    )?.keyword,
    'budget',
  )
  assert.equal(
    judge(
      schema,
      Array.from({ length: 10 }, () => ({})),
    ),
    null,
  )
})
