import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertRefused, assertVerdicts, judge } from './testing/verdicts.ts'

const open = { strict: false }

test('only own members count, whatever they are called', () => {
  assertVerdicts({ required: ['toString'] }, { passes: [{ toString: 1 }], fails: [{}] })
  const proto: unknown = JSON.parse('{"__proto__":{"a":1}}')
  assertVerdicts({ required: ['__proto__'] }, { passes: [proto], fails: [{}] })
  assertVerdicts({ properties: { a: {} } }, { passes: [{ a: 1 }], fails: [proto] })
  const declared: unknown = JSON.parse('{"properties":{"__proto__":{"type":"string"}}}')
  assertVerdicts(declared, { passes: [JSON.parse('{"__proto__":"s"}')], fails: [proto] })
  assertVerdicts(
    { properties: { constructor: { type: 'string' } } },
    { passes: [{}], fails: [{ constructor: 1 }] },
  )
  assertVerdicts({ dependentRequired: { toString: ['a'] } }, { passes: [{ b: 1 }], fails: [{ toString: 1 }] })
  assertVerdicts({ const: { toString: null } }, { passes: [{ toString: null }], fails: [{}] })
  // A keyword is an own member of the schema too.
  assertVerdicts(JSON.parse('{"__proto__":{"type":"string"}}'), { passes: [1, 's'], fails: [] })
})

test('a violation names the place and the expectation, and holds no value of the instance', () => {
  const schema = {
    properties: {
      'a/b': { type: 'array', items: { properties: { mode: { enum: ['r', 'w'] }, n: { minimum: 3 } } } },
    },
    required: ['a/b'],
  }
  assert.deepEqual(judge(schema, { 'a/b': [{ mode: 'r' }, { mode: 'SECRET' }] }), {
    pointer: '/a~1b/1/mode',
    keyword: 'enum',
    expected: 'one of "r", "w"',
  })
  assert.deepEqual(judge(schema, { 'a/b': [{ n: 2 }] }), {
    pointer: '/a~1b/0/n',
    keyword: 'minimum',
    expected: 'a number of at least 3',
  })
  assert.deepEqual(judge(schema, {}), { pointer: '', keyword: 'required', expected: 'the member "a/b"' })
  assert.deepEqual(judge({ type: ['string', 'null'] }, 1), {
    pointer: '',
    keyword: 'type',
    expected: 'one of the types string, null',
  })
})

test('a branch that failed leaves nothing in a later violation', () => {
  const schema = {
    properties: {
      a: { anyOf: [{ properties: { x: { type: 'string' } }, required: ['x'] }, { type: 'object' }] },
    },
    maxProperties: 1,
  }
  assert.deepEqual(judge(schema, { a: { x: 1 }, b: 2 }, open), {
    pointer: '',
    keyword: 'maxProperties',
    expected: 'an object with at most 1 members',
  })
  const second = { properties: { a: { not: { items: { type: 'string' } } }, b: { type: 'string' } } }
  assert.equal(judge(second, { a: [1], b: 2 }, open)?.pointer, '/b')
})

test('the same value gives the same violation again', () => {
  const schema = { properties: { a: { type: 'string' }, b: { type: 'string' } } }
  assert.deepEqual(judge(schema, { b: 1, a: 1 }), judge(schema, { b: 1, a: 1 }))
  assert.equal(judge(schema, { b: 1, a: 1 })?.pointer, '/b')
})

test('multipleOf is decimal, as the text says', () => {
  assertVerdicts(
    { multipleOf: 0.01 },
    { passes: [0.07, 1.1, 19.99, 0, -4.35, 1e20, 'x'], fails: [0.075, 1e-3] },
  )
  assertVerdicts({ multipleOf: 1e-7 }, { passes: [3e-7, 1], fails: [1.5e-7] })
  assertVerdicts({ multipleOf: 3 }, { passes: [9, 9007199254740990], fails: [10, 1e300] })
})

test('lengths count code points', () => {
  assertVerdicts({ maxLength: 2 }, { passes: ['🐲🐲', 'ab', ''], fails: ['🐲🐲🐲', 'abc', 'a'.repeat(9)] })
  assertVerdicts({ minLength: 2 }, { passes: ['🐲🐲', 'ab'], fails: ['🐲', 'a'] })
  // A lone surrogate is one character, and does not pair across another.
  assertVerdicts({ maxLength: 2 }, { passes: ['\ud83d\ud83d'], fails: ['\ud83da\udc32'] })
})

test('equality is by value: member order, -0 and 1.0 do not matter, types do', () => {
  assertVerdicts(
    { const: { a: [1, { b: 0 }], c: 's' } },
    { passes: [{ c: 's', a: [1, { b: -0 }] }], fails: [{ a: [1] }] },
  )
  assertVerdicts({ enum: [1, 'true', null] }, { passes: [1, 'true', null], fails: ['1', true, 0, [], {}] })
  assertVerdicts(
    { uniqueItems: true },
    {
      passes: [[1, '1', [1], ['1'], { a: 1 }, '{"a":1}']],
      fails: [
        [
          { a: 1, b: 2 },
          { b: 2, a: 1 },
        ],
        [0, -0],
      ],
    },
  )
})

test('references may run in circles through the value', () => {
  const tree = {
    $ref: '#/$defs/node',
    $defs: { node: { type: 'object', properties: { next: { $ref: '#' } } } },
  }
  assertVerdicts(tree, {
    passes: [{ next: { next: {} } }],
    fails: [{ next: { next: 1 } }, { next: { other: 1 } }],
  })
})

test('a reference that leaves the schema is refused, one that stays passes', () => {
  assertRefused({ $ref: 'https://example.com/x.json' }, 'ref.remote', '/$ref')
  assertRefused({ properties: { a: { $ref: 'other.json#/a' } } }, 'ref.remote', '/properties/a/$ref')
  assertRefused({ $ref: 'http://json-schema.org/draft-07/schema#' }, 'ref.remote')
  assertRefused({ $ref: '#/$defs/none' }, 'ref.unresolved')
  assertRefused({ $ref: '#none' }, 'ref.unresolved')
  assertRefused({ $ref: '#/toString', $defs: {} }, 'ref.unresolved')
  assertRefused({ $ref: '#/$defs/%zz', $defs: { '%zz': {} } }, 'ref.unresolved')
  assertVerdicts(
    { $id: 'https://example.com/x.json', $ref: 'y.json', $defs: { y: { $id: '/y.json', type: 'string' } } },
    { passes: ['s'], fails: [1] },
  )
  assertVerdicts(
    { $ref: '#/components/S', components: { S: { type: 'string' } } },
    { passes: ['s'], fails: [1] },
  )
})

test('two parts of one name are refused', () => {
  assertRefused({ $defs: { a: { $anchor: 'x' }, b: { $anchor: 'x' } } }, 'ref.ambiguous', '/$defs/b/$anchor')
  assertRefused({ $defs: { a: { $id: 'x' }, b: { $id: 'x' } } }, 'ref.ambiguous', '/$defs/b/$id')
})

test('a schema that applies itself to the same value is refused', () => {
  assertRefused({ $ref: '#' }, 'ref.loop')
  assertRefused(
    {
      $defs: { a: { anyOf: [{ $ref: '#/$defs/b' }] }, b: { not: { $ref: '#/$defs/a' } } },
      $ref: '#/$defs/a',
    },
    'ref.loop',
  )
  assertVerdicts({ items: { $ref: '#' }, type: 'array' }, { passes: [[[], [[]]]], fails: [[1]] })
  const dynamic = { $dynamicAnchor: 'x', $dynamicRef: '#x' }
  assert.equal(judge(dynamic, 1)?.keyword, 'budget')
})

test('a known keyword with a malformed value is refused by its name', () => {
  const malformed: Record<string, unknown>[] = [
    { type: 'any' },
    { type: [] },
    { type: 5 },
    { minimum: '1' },
    { exclusiveMinimum: true },
    { exclusiveMaximum: false },
    { multipleOf: 0 },
    { multipleOf: -1 },
    { minLength: -1 },
    { maxLength: 1.5 },
    { minItems: '0' },
    { uniqueItems: 'true' },
    { required: true },
    { required: [1] },
    { properties: [] },
    { patternProperties: 'x' },
    { allOf: [] },
    { anyOf: {} },
    { oneOf: [] },
    { enum: 'a' },
    { pattern: 5 },
    { dependentRequired: { a: 'b' } },
    { dependentSchemas: [] },
    { $ref: 5 },
    { $anchor: '#x' },
    { $id: '#x' },
    { $recursiveRef: '#' },
  ]
  for (const schema of malformed) assertRefused(schema, `keyword.${Object.keys(schema).join()}`)
  for (const schema of [
    { not: 1 },
    { items: 'x' },
    { properties: { a: 'string' } },
    { allOf: [null] },
    'x',
    null,
    [],
  ]) {
    assertRefused(schema, 'schema.type')
  }
})

test('an unknown keyword, an annotation and format judge nothing', () => {
  assertVerdicts(
    { nullable: true, format: 'email', 'x-y': { type: 'string' }, contentEncoding: 'base64' },
    { passes: [1, 'no mail'], fails: [] },
  )
})

test('draft-07 habits keep their meaning', () => {
  const $schema = 'http://json-schema.org/draft-07/schema#'
  for (const dialect of [{ $schema }, {}]) {
    assertVerdicts(
      { ...dialect, $ref: '#/definitions/a', definitions: { a: { type: 'string' } } },
      { passes: ['s'], fails: [1] },
    )
    const tuple = { ...dialect, items: [{ type: 'string' }, { type: 'number' }], additionalItems: false }
    assertVerdicts(tuple, { passes: [['s'], ['s', 1], []], fails: [['s', 1, 2], [1]] })
    const dependent = { ...dialect, dependencies: { a: ['b'], c: { required: ['d'] } } }
    assertVerdicts(dependent, { passes: [{ a: 1, b: 1 }, { c: 1, d: 1 }, {}], fails: [{ a: 1 }, { c: 1 }] })
  }
  assertVerdicts(
    { $schema, $ref: '#x', definitions: { a: { $id: '#x', type: 'string' } } },
    { passes: ['s'], fails: [1] },
  )
  assertVerdicts(
    { additionalItems: false, items: { type: 'string' } },
    { passes: [['a', 'b']], fails: [[1]] },
  )
})

test('what an edition does not define is refused there', () => {
  const [seven, nineteen, twenty] = [
    'http://json-schema.org/draft-07/schema#',
    'https://json-schema.org/draft/2019-09/schema',
    'https://json-schema.org/draft/2020-12/schema',
  ]
  assertRefused({ $schema: twenty, items: [{}] }, 'keyword.items')
  assertRefused({ prefixItems: [{}], items: [{}] }, 'keyword.items')
  assertRefused({ $schema: seven, contains: true, minContains: 0 }, 'keyword.dialect', '/minContains')
  assertRefused({ $schema: seven, prefixItems: [{}] }, 'keyword.dialect')
  assertRefused({ $schema: nineteen, unevaluatedItems: false }, 'keyword.dialect')
  assertRefused({ $schema: 'http://json-schema.org/draft-04/schema#' }, 'schema.dialect')
  assertRefused({ $schema: 'https://example.com/own' }, 'schema.dialect', '/$schema')
  assertRefused({ properties: { a: { $schema: seven } } }, 'keyword.$schema')
  assertVerdicts({ $schema: nineteen, dependentRequired: { a: ['b'] } }, { passes: [{}], fails: [{ a: 1 }] })
})

test('text of the schema in an expectation is quoted, short and printable', () => {
  const violation = judge({ required: [`\u202e\n${'x'.repeat(500)}`] }, {})
  assert.match(violation?.expected ?? '', /^the member "\?\?x{62}\.\.\."$/)
})
