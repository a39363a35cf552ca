import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Json, JsonObject } from '../call/json.ts'
import { verifies } from '../testing/verifies.ts'
import { encodeHeaderValue } from './era.ts'
import {
  checkHeaders,
  decodeHeaderValue,
  expectedHeaders,
  paramHeadersOf,
  type ParamHeader,
} from './param-headers.ts'

/** An input schema with these properties. */
function schema(properties: JsonObject, rest: JsonObject = {}): JsonObject {
  return { type: 'object', properties, ...rest }
}

function headersOf(inputSchema: JsonObject): readonly ParamHeader[] {
  const read = paramHeadersOf(inputSchema)
  assert.ok('headers' in read, JSON.stringify(read))
  return read.headers
}

function problemOf(inputSchema: JsonObject): string {
  const read = paramHeadersOf(inputSchema)
  assert.ok('problem' in read, JSON.stringify(read))
  return read.problem
}

const region = { type: 'string', 'x-mcp-header': 'Region' }
const TOOL = schema({
  region,
  query: { type: 'string' },
  limits: schema({ rows: { type: 'integer', 'x-mcp-header': 'Rows' } }),
  dry: { type: 'boolean', 'x-mcp-header': 'Dry-Run' },
})
const HEADERS = headersOf(TOOL)

test('headers are found at every depth of properties, in lower case, and a tool without annotations has none', () => {
  verifies('bridge.param-headers')
  assert.deepEqual(HEADERS, [
    { path: ['region'], name: 'mcp-param-region', type: 'string' },
    { path: ['limits', 'rows'], name: 'mcp-param-rows', type: 'integer' },
    { path: ['dry'], name: 'mcp-param-dry-run', type: 'boolean' },
  ])
  assert.deepEqual(headersOf(schema({ region: { type: 'string' } })), [])
  assert.deepEqual(headersOf({}), [])
})

test('an annotation that is no header name, used twice or on another type makes the tool invalid; the same one right does not', () => {
  const annotated = (name: Json, type: Json = 'string') => schema({ a: { type, 'x-mcp-header': name } })
  for (const name of ['', 'a b', 'a:b', 'a\r\nx', 'ä', 'a/b', 7, null, {}, ['a']]) {
    assert.match(problemOf(annotated(name)), /is not the name of a header/, JSON.stringify(name))
  }
  assert.equal(headersOf(annotated("!#$%&'*+-.^_`|~09azAZ")).length, 1)
  for (const type of ['number', 'object', 'array', 'null', ['string'], ['string', 'null'], null, 'String']) {
    assert.match(problemOf(annotated('A', type)), /no string, integer or boolean/, JSON.stringify(type))
  }
  assert.match(problemOf(schema({ a: { 'x-mcp-header': 'A' } })), /no string, integer or boolean/)
  const twice = (one: string, two: string) =>
    schema({
      a: { type: 'string', 'x-mcp-header': one },
      b: schema({ c: { type: 'string', 'x-mcp-header': two } }),
    })
  assert.match(problemOf(twice('Region', 'rEGION')), /same header twice/)
  assert.equal(headersOf(twice('Region', 'Region2')).length, 2)
})

test('an annotation that no chain of properties reaches makes the tool invalid, wherever it stands', () => {
  const single =
    'items contains additionalProperties unevaluatedProperties unevaluatedItems propertyNames not if then else contentSchema additionalItems'
  for (const keyword of single.split(' ')) {
    for (const place of [region, schema({ region })]) {
      assert.match(
        problemOf(schema({ a: { type: 'object', [keyword]: place } })),
        /no chain of properties/,
        keyword,
      )
      assert.match(problemOf(schema({}, { [keyword]: place })), /no chain of properties/, keyword)
    }
  }
  for (const keyword of ['items', 'prefixItems', 'oneOf', 'anyOf', 'allOf']) {
    assert.match(problemOf(schema({}, { [keyword]: [{}, region] })), /no chain of properties/, keyword)
  }
  for (const keyword of ['patternProperties', 'dependentSchemas', 'dependencies', '$defs', 'definitions']) {
    assert.match(
      problemOf(schema({}, { [keyword]: { any: schema({ region }) } })),
      /no chain of properties/,
      keyword,
    )
  }
  assert.match(problemOf({ ...schema({}), 'x-mcp-header': 'Root' }), /no chain of properties/)
})

test('what only looks like an annotation is none: a property of that name, and data in const, default, enum and examples', () => {
  assert.deepEqual(headersOf(schema({ 'x-mcp-header': { type: 'string' } })), [])
  const data = { 'x-mcp-header': 'Region', type: 'string' }
  assert.deepEqual(
    headersOf(schema({ a: { const: data, default: data, enum: [data], examples: [data] } })),
    [],
  )
  assert.deepEqual(
    headersOf(schema({ ['__proto__']: { type: 'string' } }, { 'x-other': schema({ region }) })),
    [],
  )
})

test('headers say what the arguments say; absent, null and values of another type have none', () => {
  const expected = (args: JsonObject) => expectedHeaders(HEADERS, args)
  assert.deepEqual(expected({ region: 'us-west1', limits: { rows: -7 }, dry: true, query: 'q' }), [
    ['mcp-param-region', 'us-west1'],
    ['mcp-param-rows', '-7'],
    ['mcp-param-dry-run', 'true'],
  ])
  assert.deepEqual(expected({ region: null, limits: null, dry: null }), [])
  assert.deepEqual(expected({}), [])
  assert.deepEqual(expected({ region: 7, limits: { rows: 1.5 }, dry: 'true' }), [])
  assert.deepEqual(expected({ limits: { rows: 2 ** 53 } }), [])
  assert.deepEqual(expected({ limits: { rows: 2 ** 53 - 1 } }), [['mcp-param-rows', '9007199254740991']])
  assert.deepEqual(expected({ region: [{ region: 'x' }], limits: [1] }), [])
})

test('the examples of the specification are coded as it says', () => {
  const examples: [string, string][] = [
    ['us-west1', 'us-west1'],
    ['Hello, 世界', '=?base64?SGVsbG8sIOS4lueVjA==?='],
    [' padded ', '=?base64?IHBhZGRlZCA=?='],
    ['line1\nline2', '=?base64?bGluZTEKbGluZTI=?='],
    ['=?base64?literal?=', '=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?='],
  ]
  for (const [value, header] of examples) {
    assert.equal(encodeHeaderValue(value), header)
    assert.equal(decodeHeaderValue(header), value)
  }
})

test('wrapped text is strict base64 of UTF-8, and text without the whole wrapping in lower case is what it is', () => {
  for (const bad of [
    '=?base64?SGVsbG8?=',
    '=?base64?SGVs!!!bG8=?=',
    '=?base64?SGVsbG9=?=',
    '=?base64?SGVs bG8=?=',
    '=?base64?_w==?=',
    '=?base64?/w==?=',
    'caf\u00e9',
    'a\u0000',
    'a\u007f',
    'a\nb',
  ]) {
    assert.equal(decodeHeaderValue(bad), undefined, bad)
  }
  for (const plain of [
    'SGVsbG8=',
    '=?base64?SGVsbG8=',
    'SGVsbG8=?=',
    '=?BASE64?SGVsbG8=?=',
    '=?utf-8?x?=',
    '',
    'a\tb c',
  ]) {
    assert.equal(decodeHeaderValue(plain), plain)
  }
  assert.equal(decodeHeaderValue('=?base64??='), '')
})

test('headers made from arguments pass their own check, and hold nothing that could end a header line', () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const args = fc.record({
    region: fc.option(
      fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('=?base64?x?=', '', ' ', '\r\nX: 1')),
    ),
    limits: fc.option(fc.record({ rows: fc.option(fc.maxSafeInteger()) })),
    dry: fc.option(fc.boolean()),
  })
  fc.assert(
    fc.property(args, (given) => {
      const headers = expectedHeaders(HEADERS, given)
      for (const [, value] of headers) assert.match(value, /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/)
      assert.equal(checkHeaders(HEADERS, given, headers.flat()), undefined)
      for (const [name] of headers) {
        const without = headers.filter(([other]) => other !== name).flat()
        assert.equal(checkHeaders(HEADERS, given, without), `header \`${name}\` is missing`)
        assert.equal(
          checkHeaders(HEADERS, given, [...without, name, 'something else']),
          `header \`${name}\` does not say what its argument says`,
        )
      }
    }),
    { seed, numRuns: 300, verbose: 1 },
  )
})

test('a header is missing, twice, wrong, unreadable or without its argument: each is told, without the value', () => {
  verifies('bridge.param-headers')
  const args = { region: 'eu', limits: { rows: 42 } }
  const check = (...raw: string[]) => checkHeaders(HEADERS, args, raw)
  const rows = ['Mcp-Param-Rows', '42'] as const
  assert.equal(check('MCP-PARAM-REGION', 'eu', ...rows), undefined)
  assert.equal(check('mcp-param-region', '=?base64?ZXU=?=', ...rows), undefined)
  assert.equal(check(...rows), 'header `mcp-param-region` is missing')
  assert.equal(
    check('Mcp-Param-Region', 'EU', ...rows),
    'header `mcp-param-region` does not say what its argument says',
  )
  assert.equal(
    check('Mcp-Param-Region', 'eu', ...rows, 'mcp-param-region', 'eu'),
    'header `mcp-param-region` is there twice',
  )
  assert.equal(
    check('Mcp-Param-Region', '=?base64?ZXU?=', ...rows),
    'header `mcp-param-region` holds characters that it may not',
  )
  assert.equal(
    check('Mcp-Param-Region', 'eu', ...rows, 'Mcp-Param-Dry-Run', 'true'),
    'header `mcp-param-dry-run` is there, its argument is not',
  )
  assert.equal(
    check('Mcp-Param-Region', 'eu', ...rows, 'Mcp-Param-Unknown', '\u00e9', 'Mcp-Param-Unknown', '2'),
    undefined,
  )
})

test('integers are compared as numbers, without rounding', () => {
  const check = (rows: number, text: string) =>
    checkHeaders(HEADERS, { limits: { rows } }, ['mcp-param-rows', text])
  for (const [rows, text] of [
    [42, '42'],
    [42, '42.0'],
    [42, '42.000'],
    [-7, '-7'],
    [0, '-0'],
    [2 ** 53 - 1, '9007199254740991'],
  ] as const) {
    assert.equal(check(rows, text), undefined, text)
  }
  for (const [rows, text] of [
    [42, '42.1'],
    [42, '042'],
    [42, '4.2e1'],
    [42, ' 42'],
    [42, '+42'],
    [42, '0x2a'],
    [0, ''],
    [2 ** 53 - 1, '9007199254740991.4'],
    [2 ** 53 - 1, '9007199254740992'],
    [42, '42.'],
  ] as const) {
    assert.ok(check(rows, text)?.includes('does not say'), text)
  }
})

test('an argument of another type is left to the schema check, whatever its header says', () => {
  assert.equal(checkHeaders(HEADERS, { limits: { rows: 'many' } }, ['mcp-param-rows', 'many']), undefined)
  assert.equal(checkHeaders(HEADERS, { limits: { rows: 'many' } }, []), undefined)
})

test('no schema of any shape makes the search throw', () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const keyword = fc.constantFrom(
    'properties',
    'items',
    'oneOf',
    '$defs',
    'x-mcp-header',
    'type',
    'a',
    '__proto__',
  )
  const { tree } = fc.letrec<{ tree: Json }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 6 },
      fc.constantFrom<Json>('string', 'Region', null, 7),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc
        .array(fc.tuple(keyword, tie('tree')), { maxLength: 4 })
        .map((entries) => Object.fromEntries(entries)),
    ),
  }))
  fc.assert(
    fc.property(tree, (value) => {
      const read = paramHeadersOf({ properties: { a: value } })
      if ('headers' in read) for (const { name } of read.headers) assert.match(name, /^mcp-param-[^\sA-Z]+$/)
    }),
    { seed, numRuns: 500, verbose: 1 },
  )
})
