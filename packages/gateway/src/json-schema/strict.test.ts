// oxlint-disable unicorn/no-thenable -- `then` is a keyword of JSON Schema
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../testing/verifies.ts'
import { assertVerdicts, judge } from './testing/verdicts.ts'

const a = { properties: { a: { type: 'string' } } }
const b = { properties: { b: { type: 'string' } } }

test('a member that the schema does not declare is refused, and named by the pointer', () => {
  verifies('play3.strict-schema')
  assertVerdicts(a, { passes: [{ a: 's' }, {}, 1], fails: [{ a: 's', c: 1 }] })
  assert.deepEqual(judge({ properties: { o: a } }, { o: { a: 's', evil: 1 } }), {
    pointer: '/o/evil',
    keyword: 'unevaluatedProperties',
    expected: 'no member that the schema does not declare',
  })
  assertVerdicts(a, { passes: [{ a: 's', c: 1 }], fails: [] }, { strict: false })
})

test('an object opens itself by its own rule', () => {
  assertVerdicts({ ...a, additionalProperties: true }, { passes: [{ c: 1 }], fails: [{ a: 1 }] })
  assertVerdicts(
    { ...a, additionalProperties: { type: 'number' } },
    { passes: [{ c: 1 }], fails: [{ c: 's' }] },
  )
  assertVerdicts(
    { ...a, unevaluatedProperties: { type: 'number' } },
    { passes: [{ c: 1 }], fails: [{ c: 's' }] },
  )
  assertVerdicts(
    { ...a, patternProperties: { '^x-': true } },
    { passes: [{ a: 's', 'x-1': 1 }], fails: [{ c: 1 }] },
  )
  assertVerdicts({ type: 'object' }, { passes: [{ c: { d: 1 } }], fails: [1] })
  assertVerdicts({ required: ['c'] }, { passes: [{ c: 1, d: 1 }], fails: [{}] })
})

test('schemas that describe one object in part are taken together', () => {
  assertVerdicts({ allOf: [a, b] }, { passes: [{ a: 's', b: 's' }], fails: [{ c: 1 }, { a: 's', b: 1 }] })
  assertVerdicts(
    { ...a, $ref: '#/$defs/b', $defs: { b } },
    { passes: [{ a: 's', b: 's' }], fails: [{ c: 1 }] },
  )
  assertVerdicts({ $ref: '#/$defs/b', $defs: { b } }, { passes: [{ b: 's' }], fails: [{ c: 1 }] })
  const conditional = { ...a, if: { required: ['a'] }, then: b, else: { properties: { d: true } } }
  assertVerdicts(conditional, {
    passes: [{ a: 's', b: 's' }, { d: 1 }],
    fails: [{ a: 's', d: 1 }, { b: 's' }],
  })
  assertVerdicts({ ...a, dependentSchemas: { a: b } }, { passes: [{ a: 's', b: 's' }], fails: [{ b: 's' }] })
})

test('parts that describe one inner object are taken together too', () => {
  const schema = { allOf: [{ properties: { o: a } }, { properties: { o: b } }] }
  assertVerdicts(schema, { passes: [{ o: { a: 's', b: 's' } }], fails: [{ o: { c: 1 } }, { p: 1 }] })
  assert.equal(judge(schema, { o: { a: 's', c: 1 } })?.pointer, '/o/c')
  const items = { allOf: [{ items: a }, { items: b }] }
  assertVerdicts(items, { passes: [[{ a: 's', b: 's' }]], fails: [[{}, { c: 1 }]] })
  assert.equal(judge(items, [{}, { c: 1 }])?.pointer, '/1/c')
})

test('alternatives are judged as they stand, then closed', () => {
  assertVerdicts({ anyOf: [a, b] }, { passes: [{ a: 's', b: 's' }], fails: [{ c: 1 }] })
  const union = {
    oneOf: [
      { properties: { kind: { const: 'file' }, file: a }, required: ['kind'] },
      { properties: { kind: { const: 'url' }, url: { type: 'string' } }, required: ['kind'] },
    ],
  }
  assertVerdicts(union, {
    passes: [
      { kind: 'file', file: { a: 's' } },
      { kind: 'url', url: 'u' },
    ],
    fails: [
      { kind: 'url', file: {} },
      { kind: 'file', file: { c: 1 } },
      { kind: 'url', c: 1 },
    ],
  })
  // The free-form branch declares nothing, so what matches it alone stays free.
  const free = { anyOf: [{ ...a, required: ['a'] }, { type: 'object' }] }
  assertVerdicts(free, { passes: [{ c: 1 }], fails: [{ a: 's', c: 1 }] })
})

test('a condition is not turned round by the rule', () => {
  // Were `if` closed, the stranger would dodge `then`.
  const schema = { properties: { o: true, n: true }, if: { properties: { o: a } }, then: { required: ['n'] } }
  assertVerdicts(schema, { passes: [{ o: { a: 's', c: 1 }, n: 1 }], fails: [{ o: { a: 's', c: 1 } }] })
  assertVerdicts({ not: a }, { passes: [{ a: 1 }], fails: [{ a: 's', c: 1 }, {}] })
  assertVerdicts(
    { oneOf: [{ properties: { o: a } }, { properties: { o: b } }] },
    { passes: [], fails: [{ o: { a: 's', b: 's' } }, {}] },
  )
  assertVerdicts(
    { contains: a, maxContains: 1 },
    { passes: [[{ a: 's', c: 1 }]], fails: [[{ c: 1 }, { d: 1 }]] },
  )
})

test('the rule reaches into arrays, maps and references', () => {
  assertVerdicts({ items: a }, { passes: [[{ a: 's' }]], fails: [[{ c: 1 }]] })
  assertVerdicts(
    { prefixItems: [a], items: b },
    { passes: [[{ a: 's' }, { b: 's' }]], fails: [[{ b: 's' }], [{}, { a: 's' }]] },
  )
  assertVerdicts({ additionalProperties: a }, { passes: [{ x: { a: 's' } }], fails: [{ x: { c: 1 } }] })
  assertVerdicts(
    { properties: { t: { $ref: '#' } } },
    { passes: [{ t: { t: {} } }], fails: [{ t: { t: { c: 1 } } }] },
  )
  assertVerdicts(
    { properties: { o: { anyOf: [{ $ref: '#/$defs/a' }, { type: 'null' }] } }, $defs: { a } },
    {
      passes: [{ o: null }, { o: { a: 's' } }],
      fails: [{ o: { c: 1 } }],
    },
  )
})
