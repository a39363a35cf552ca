import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { corpusRows } from '../testing/corpora.ts'
import { verifies } from '../testing/verifies.ts'
import { JsonFault, type JsonFaultKind, type ScanOptions, type ScannedJson, scanJson } from './json-scan.ts'

const seed = Number(process.env['FC_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function scan(text: string | Uint8Array, options?: ScanOptions): ScannedJson {
  return scanJson(Buffer.from(text), options)
}

function faultOf(text: string | Uint8Array, options?: ScanOptions): JsonFault | undefined {
  try {
    scan(text, options)
    return undefined
  } catch (error) {
    assert.ok(error instanceof JsonFault, `not a JsonFault: ${String(error)}`)
    return error
  }
}

function refuses(text: string | Uint8Array, fault: JsonFaultKind, at: number, options?: ScanOptions): void {
  const found = faultOf(text, options)
  assert.deepEqual({ fault: found?.fault, at: found?.at }, { fault, at }, String(text).slice(0, 100))
}

function passes(text: string | Uint8Array, options?: ScanOptions): void {
  assert.equal(faultOf(text, options), undefined, String(text).slice(0, 100))
}

function parse(bytes: Uint8Array): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(decoder.decode(bytes)) }
  } catch {
    return undefined
  }
}

const WITH_DUPLICATES = ['y_object_duplicated_key.json', 'y_object_duplicated_key_and_value.json']

test('JSONTestSuite: y_ passes but for duplicate keys, n_ is refused, i_ passes only where JSON.parse agrees', (t) => {
  verifies('spine.scan-corpus')
  const rows = corpusRows(t, 'json-parsing/nst-jsontestsuite.jsonl')
  if (rows === undefined) return
  assert.ok(rows.length > 100)
  const duplicates: string[] = []
  for (const row of rows) {
    const name = String(row['name'])
    const bytes = Buffer.from(String(row['bytes_base64']), 'base64')
    const fault = faultOf(bytes)
    if (fault === undefined) assert.ok(parse(bytes), `${name}: JSON.parse refuses what passed`)
    if (fault?.fault === 'duplicate') duplicates.push(name)
    else if (row['expect'] === 'accept') assert.equal(fault, undefined, name)
    if (row['expect'] === 'reject') assert.ok(fault, `${name} passed`)
  }
  assert.deepEqual(duplicates.sort(), WITH_DUPLICATES)
})

test('a document over the byte cap is refused before a byte is read; one at the cap passes', () => {
  passes('[1,2]', { maxBytes: 5 })
  refuses('[1,22]', 'bytes', 5, { maxBytes: 5 })
})

/** A document that counts the bytes read from it. */
function metered(bytes: Buffer): { document: Uint8Array; read: () => number } {
  let read = 0
  const document = new Proxy(bytes, {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) read++
      const value: unknown = Reflect.get(target, key, target)
      return value
    },
  })
  return { document, read: () => read }
}

test('bombs are refused where they start, without JSON.parse', (t) => {
  const keys = Array.from({ length: 200_000 }, (_, n) => `"k${n}":1`).join(',')
  const bombs: [string, Buffer, JsonFaultKind, number, number][] = [
    ['depth 5,000,000', Buffer.alloc(5_000_000, '['), 'bytes', 1_048_576, 0],
    ['depth 1,000,000 in the cap', Buffer.alloc(1_000_000, '['), 'depth', 64, 1_000],
    ['200,000 keys', Buffer.from(`{${keys}}`), 'bytes', 1_048_576, 0],
    ['10 MB array', Buffer.from(`[${'0,'.repeat(5_000_000)}0]`), 'bytes', 1_048_576, 0],
  ]
  const parser = t.mock.method(JSON, 'parse')
  for (const [name, bytes, fault, at, mostReads] of bombs) {
    const { document, read } = metered(bytes)
    let found: unknown
    try {
      scanJson(document)
    } catch (error) {
      found = error
    }
    assert.ok(found instanceof JsonFault, name)
    assert.deepEqual([found.fault, found.at], [fault, at], name)
    assert.ok(read() <= mostReads, `${name}: ${read()} reads`)
  }
  refuses(`{${keys.slice(0, 1_000_000)}`, 'keys', `{${keys}`.indexOf('"k10000"'))
  assert.equal(parser.mock.callCount(), 0)
})

function nest(depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth)
}

function numbered(count: number): string {
  return `{${Array.from({ length: count }, (_, n) => `"${n}":0`).join(',')}}`
}

test('depth 64 passes and depth 65 is refused, also with objects and on both sides of a closed branch', () => {
  verifies('spine.scan-caps')
  passes(nest(64))
  refuses(nest(65), 'depth', 64)
  passes(`[${nest(63)},${nest(63)}]`)
  refuses(`[${nest(63)},${nest(64)}]`, 'depth', 128 + 63)
  passes(`${'{"a":'.repeat(64)}1${'}'.repeat(64)}`)
  refuses(`${'{"a":'.repeat(64)}{}${'}'.repeat(64)}`, 'depth', 64 * 5)
})

test('10,000 members pass and 10,001 are refused, in one object and over many', () => {
  verifies('spine.scan-caps')
  passes(numbered(10_000))
  assert.equal(faultOf(numbered(10_001))?.fault, 'keys')
  const many = Array.from({ length: 100 }, () => numbered(100)).join(',')
  passes(`[${many}]`)
  refuses(`[${many},{"a":0}]`, 'keys', many.length + 3)
  passes(`{"a":{"b":0}}`, { maxKeys: 2 })
  refuses(`{"a":{"b":0}}`, 'keys', 6, { maxKeys: 1 })
})

test('a name given twice in one object is refused after unescaping, at every depth', () => {
  verifies('spine.scan-caps')
  refuses('{"a":1,"a":2}', 'duplicate', 7)
  refuses(String.raw`{"a":1,"\u0061":2}`, 'duplicate', 7)
  refuses(String.raw`{"\u0061":1,"a":2}`, 'duplicate', 12)
  refuses(String.raw`{"\u0061":1,"\u0061":2}`, 'duplicate', 12)
  refuses('{"":1,"":2}', 'duplicate', 6)
  refuses('{"__proto__":1,"__proto__":2}', 'duplicate', 15)
  refuses(String.raw`[[{"x":{"\ud83d\ude00":1,"😀":2}}]]`, 'duplicate', 25)
  refuses(
    String.raw`{"\"\\\/\b\f\n\r\t":1,"\u0022\u005C\u002f\u0008\u000c\u000A\u000d\u0009":2}`,
    'duplicate',
    22,
  )
  refuses(String.raw`{"é":1,"\u00e9":2}`, 'duplicate', 8)
  refuses(String.raw`{"漢":1,"\u6f22":2}`, 'duplicate', 9)
  refuses('{"a":{"b":1},"a":2}', 'duplicate', 13)
})

test('equal names of different objects, and different names that look alike, pass', () => {
  passes('{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}')
  passes('{"a":1,"A":2,"á":3,"a ":4,"":5,"__proto__":6,"constructor":7}')
  passes(String.raw`{"a":1,"\\u0061":2,"u0061":3}`)
  passes('{"\u00e9":1,"e\u0301":2}') // composed and decomposed
  passes('{"x":{},"y":{},"z":{"x":1}}')
})

test('duplicates are found in large objects wherever they are, and large objects do not hear of each other', () => {
  const names = Array.from({ length: 3_000 }, (_, n) => `"n${n}":0`)
  const object = `{${names.join(',')}}`
  passes(`[${object},${object},${object}]`)
  for (const at of [0, 7, 8, 9, 1_500, 2_999]) {
    const twice = `{${names.join(',')},"\\u006e${at}":0}`
    refuses(twice, 'duplicate', object.length)
    passes(`{${names.join(',')},"m${at}":0}`)
  }
  // The ninth name of an outer object comes after an inner large one.
  passes(`{"n0":0,"n1":0,"n2":0,"n3":0,"n4":0,"n5":0,"n6":0,"n7":${object},"n8":0,"n9":${object}}`)
  assert.equal(
    faultOf(`{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":${object},"i":0,"j":0,"c":1}`)?.fault,
    'duplicate',
  )
})

test('the names of one scan are forgotten in the next, also after a fault', () => {
  const options: ScanOptions = {}
  const object = `{${Array.from({ length: 50 }, (_, n) => `"n${n}":0`).join(',')}}`
  for (let round = 0; round < 3; round++) {
    passes(object, options)
    assert.equal(faultOf(`${object.slice(0, -1)},"n7":1}`, options)?.fault, 'duplicate')
    assert.equal(faultOf(object.slice(0, -1), options)?.fault, 'syntax')
  }
})

test('9,000 names with the same length and ends pass, and one more of them is refused', () => {
  const names = Array.from(
    { length: 9_000 },
    (_, n) => `"x${'0'.repeat(40)}${String(n).padStart(4, '0')}${'0'.repeat(40)}x":0`,
  )
  passes(`{${names.join(',')}}`)
  assert.equal(faultOf(`{${names.join(',')},${names[4_000] ?? ''}}`)?.fault, 'duplicate')
})

test('CVE-2026-27896: an odd-case twin of an envelope name is refused, at the top and in params', () => {
  verifies('spine.scan-caps')
  refuses('{"Method":"tools/call"}', 'twin', 1)
  refuses('{"method":"a","METHOD":"b"}', 'twin', 14)
  refuses(String.raw`{"\u004dethod":"b"}`, 'twin', 1)
  refuses('{"paramſ":{}}', 'twin', 1) // U+017F folds to s
  refuses(String.raw`{"re\u017fult":{}}`, 'twin', 1)
  refuses('{"ID":1}', 'twin', 1)
  refuses('{"İd":1}', 'twin', 1)
  refuses('{"ıd":1}', 'twin', 1)
  refuses('{"params":{"Arguments":{}}}', 'twin', 11)
  refuses('{"params":{"_Meta":{}}}', 'twin', 11)
  refuses('{"params":{"progreßToken":1}}', 'twin', 11)
  refuses('{"params":{"progressTo\u212aen":1}}', 'twin', 11) // the Kelvin sign
  refuses(String.raw`{"par\u0061ms":{"nAme":1}}`, 'twin', 16)
})

test('envelope names pass where they are spelt right, and in any case where they are data', () => {
  passes('{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"n","arguments":{},"_meta":{},"uri":"u"}}')
  passes('{"params":{"arguments":{"ID":1,"id":2,"Name":3,"METHOD":4}}}')
  passes('{"result":{"Name":1,"ID":2}}')
  passes('{"params":{"ID":1,"Method":2}}')
  passes('{"methods":1,"metho":2,"ids":3,"i d":4,"éd":5}')
  passes('[{"Method":1}]')
})

test('twinKeys names other objects and names', () => {
  const options: ScanOptions = { twinKeys: { 'a.b': ['Key'] } }
  refuses('{"a":{"b":{"key":1}}}', 'twin', 11, options)
  passes('{"Method":1,"a":{"key":1,"b":{"Key":1}}}', options)
})

test('bytes that are not UTF-8 are refused at the first of them', () => {
  const bad = [
    '80',
    'bf',
    'c0af',
    'c1bf',
    'c3',
    'c328',
    'e09fbf',
    'e28228',
    'eda080',
    'edbfbf',
    'f08fbfbf',
    'f4908080',
  ]
  for (const hex of [...bad, 'f5808080', 'f09f98', 'fe', 'ff', 'e282']) {
    const bytes = Buffer.concat([Buffer.from('["ok '), Buffer.from(hex, 'hex'), Buffer.from('"]')])
    refuses(bytes, 'utf8', 5)
    refuses(bytes.subarray(0, -2), 'utf8', 5)
    refuses(Buffer.concat([Buffer.from('[1, '), Buffer.from(hex, 'hex')]), 'utf8', 4)
  }
  for (const hex of ['7f', 'c280', 'dfbf', 'e0a080', 'ed9fbf', 'ee8080', 'efbfbf', 'f0908080', 'f48fbfbf']) {
    passes(Buffer.concat([Buffer.from('["ok '), Buffer.from(hex, 'hex'), Buffer.from('"]')]))
  }
})

test('a byte order mark is refused; the same character in a string passes', () => {
  refuses('\ufeff{}', 'syntax', 0)
  refuses(Buffer.from('{}', 'utf16le'), 'syntax', 1)
  passes('["\ufeff"]')
})

test('a lone surrogate in an escape is refused; a pair passes, and strictSurrogates: false lets it through', () => {
  const loose: ScanOptions = { strictSurrogates: false }
  for (const text of [
    String.raw`["\ud800"]`,
    String.raw`["\udc00"]`,
    String.raw`["\ud800\ud800"]`,
    String.raw`["\ud800x"]`,
    String.raw`["\uDBFF\n"]`,
  ]) {
    refuses(text, 'surrogate', 2)
    passes(text, loose)
  }
  refuses(String.raw`["\udc00\ud800"]`, 'surrogate', 2)
  passes(String.raw`["\ud800\udc00\uDBFF\uDFFF\ud7ff\ue000\\ud800"]`)
  refuses(String.raw`{"\ud800":1,"\ud800":2}`, 'duplicate', 12, loose)
  assert.deepEqual(
    [...scan(String.raw`{"\ud800":1,"é\udfff😀":2}`, loose).members.keys()],
    ['\ud800', 'é\udfff😀'],
  )
})

test('syntax faults name the offset and nothing of the payload', () => {
  for (const [text, at] of [
    ['', 0],
    ['  ', 2],
    ['[1', 2],
    ['[1,]', 3],
    ['{"a":1,}', 7],
    ['{"a" 1}', 5],
    ['{a:1}', 1],
    ['01', 1],
    ['-', 1],
    ['1.', 2],
    ['1e', 2],
    ['[+1]', 1],
    ['[.5]', 1],
    ['nul', 3],
    ['nulL', 3],
    ['NaN', 0],
    ['[]]', 2],
    ['[}', 1],
    ['{]', 1],
    ['"a\nb"', 2],
    [String.raw`"\x41"`, 2],
    [String.raw`"\u12G4"`, 2],
    ['"abc', 4],
    ['"abc\\', 5],
    ['{} x', 3],
    ['\u00a0[]', 0],
  ] as const) {
    refuses(text, 'syntax', at)
  }
  const secret = faultOf('{"hunter2":"hunter2" "hunter2"}')
  assert.equal(secret?.message, 'json: expected `,` or `}` at byte 21')
  assert.equal(
    faultOf('{"hunter2":1,"hunter2":2}')?.message,
    'json: member name appears twice in one object at byte 13',
  )
})

test('spans hold exactly the values that were asked for', () => {
  const want = ['params', 'params.arguments', 'params._meta', 'result']
  const text = String.raw` {"jsonrpc" : "2.0", "é\n": [ ] , "params":{ "x":{"arguments":0}, "\u0061rguments" : {"a": [1, {}]} } } `
  const bytes = Buffer.from(text)
  const found = scanJson(bytes, { want })
  const at = (span: { start: number; end: number } | undefined): string | undefined =>
    span && bytes.toString('utf8', span.start, span.end)
  assert.equal(found.kind, 'object')
  assert.deepEqual(
    [...found.members].map(([name, span]) => [name, at(span)]),
    [
      ['jsonrpc', '"2.0"'],
      ['é\n', '[ ]'],
      ['params', String.raw`{ "x":{"arguments":0}, "\u0061rguments" : {"a": [1, {}]} }`],
    ],
  )
  assert.equal(at(found.child('params.arguments')), '{"a": [1, {}]}')
  assert.equal(at(found.child('params')), at(found.members.get('params')))
  assert.equal(found.child('params._meta'), undefined)
  assert.equal(found.child('result'), undefined)
  assert.throws(() => found.child('id'), TypeError)
  assert.equal(scan('{"params":[{"arguments":1}]}', { want }).child('params.arguments'), undefined)
  assert.equal(scan('[{"params":{"arguments":1}}]', { want }).child('params.arguments'), undefined)
})

test('the scan of a view into a larger buffer counts from the view', () => {
  const view = Buffer.from('xx{"id":1,"a":0.10000000000000000001}xx').subarray(2, -2)
  for (const bytes of [view, new Uint8Array(view.buffer, view.byteOffset, view.length)]) {
    const found = scanJson(bytes)
    assert.deepEqual([...found.members.keys()], ['id', 'a'])
    assert.deepEqual(found.inexact, { start: 12, end: 34 })
  }
})

test('kinds and empty members of what is no object', () => {
  const kinds = ['[]', '"a"', '-1', 'true', 'false', 'null', '{}'].map((text) => scan(text).kind)
  assert.deepEqual(kinds, ['array', 'string', 'number', 'boolean', 'boolean', 'null', 'object'])
  assert.equal(scan('[{"a":1}]').members.size, 0)
})

test('an inexact number is told with its place', () => {
  const options: ScanOptions = { want: ['id', 'params', 'params.arguments', 'params._meta', 'result'] }
  const places = (text: string): string[] => {
    const found = scan(text, options)
    return (options.want ?? []).filter((path) => !found.exactIn(path))
  }
  assert.deepEqual(places('{"id":1,"params":{"arguments":{"a":[1.0,1e2,-0,0.1]}}}'), [])
  assert.deepEqual(places('{"id":1,"params":{"arguments":{"a":[1e400]}}}'), ['params', 'params.arguments'])
  assert.deepEqual(places('{"id":12345678901234567890,"params":{"arguments":{}}}'), ['id'])
  assert.deepEqual(
    places('{"x":1e400,"id":9007199254740993,"params":{"_meta":9007199254740993,"arguments":[1e-999]}}'),
    ['id', 'params', 'params.arguments', 'params._meta'],
  )
  assert.deepEqual(places('{"params":{"x":9007199254740993,"arguments":{"a":9007199254740993}}}'), [
    'params',
    'params.arguments',
  ])
  const found = scan('{"x":[1e400,1e401]}')
  assert.equal(found.exactNumbers, false)
  assert.deepEqual(found.inexact, { start: 6, end: 11 })
  assert.equal(scan('{"x":"1e400"}').exactNumbers, true)
})

test('numbers: any looks at no number: none is refused, none counts as exact, and the grammar holds', () => {
  const want = ['id', 'result']
  const bytes = Buffer.from('{"id":1,"result":{"a":[1e400,12345678901234567890]}}')
  const looked = scanJson(bytes, { want, numbers: 'exact' })
  const spliced = scanJson(bytes, { want, numbers: 'any' })
  assert.deepEqual(spliced.child('result'), looked.child('result'))
  assert.equal(looked.exactIn('id'), true)
  assert.equal(spliced.exactIn('id'), false)
  for (const text of ['{"id":1}', '{}', '[1e400]']) {
    const { exactNumbers, inexact } = scan(text, { want, numbers: 'any' })
    assert.deepEqual({ exactNumbers, inexact }, { exactNumbers: false, inexact: undefined }, text)
  }
  assert.throws(() => spliced.exactIn('params'), TypeError)
  assert.throws(() => scan('{}', { want }).exactIn('params'), TypeError)
  refuses('{"id":01}', 'syntax', 7, { numbers: 'any' })
  refuses('{"id":1e}', 'syntax', 8, { numbers: 'any' })
})

test('options out of bounds are our own mistake', () => {
  for (const options of [
    { maxDepth: 0 },
    { maxDepth: 5_000 },
    { maxKeys: 1.5 },
    { maxBytes: NaN },
    { want: ['a..b'] },
    { want: [''] },
  ]) {
    assert.throws(() => scan('{}', options), TypeError)
  }
  passes('{}', { maxDepth: 1, maxKeys: 1, maxBytes: 2 })
})

/** The oracle for duplicates in valid JSON: every written name must still be there after the parse. */
function hasDuplicates(text: string, value: unknown): boolean {
  let written = 0
  for (const [, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/gs)) if (colon !== undefined) written++
  return written !== namesIn(value)
}

function namesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const own = Array.isArray(value) ? 0 : Object.keys(value).length
  return Object.values(value).reduce((sum: number, inner) => sum + namesIn(inner), own)
}

/** The oracle for surrogates in valid JSON: each written string by itself, because duplicates hide values. */
function hasLoneSurrogate(json: string): boolean {
  return [...json.matchAll(/"(?:[^"\\]|\\.)*"/gs)].some(([written]) => {
    const value: unknown = JSON.parse(written)
    return typeof value === 'string' && !value.isWellFormed()
  })
}

const PLAIN: ScanOptions = { twinKeys: {}, want: ['a', 'a.b'] }

/** Both verdicts must agree, whatever the bytes. @returns the scanner's. */
function compare(bytes: Buffer): JsonFaultKind | 'ok' {
  const fault = faultOf(bytes, PLAIN)
  const parsed = parse(bytes)
  if (parsed === undefined) {
    assert.ok(fault, 'JSON.parse refuses what passed')
    return fault.fault
  }
  const { value } = parsed
  const expected = [
    ...(hasDuplicates(bytes.toString(), value) ? ['duplicate'] : []),
    ...(hasLoneSurrogate(bytes.toString()) ? ['surrogate'] : []),
  ]
  if (expected.length === 0) assert.equal(fault, undefined, 'JSON.parse accepts what was refused')
  else
    assert.ok(expected.includes(fault?.fault ?? 'ok'), `${fault?.fault} (expected ${expected.join(' or ')})`)
  if (fault !== undefined) return fault.fault
  const found = scanJson(bytes, PLAIN)
  const part = (span: { start: number; end: number } | undefined): unknown =>
    span && JSON.parse(bytes.toString('utf8', span.start, span.end))
  if (found.kind === 'object') {
    const members = [...found.members].map(([name, span]): [string, unknown] => [name, part(span)])
    assert.deepEqual(Object.fromEntries(members), value)
    const a = members.find(([name]) => name === 'a')?.[1]
    assert.deepEqual(part(found.child('a')), a)
    if (typeof a === 'object' && a !== null && 'b' in a) assert.deepEqual(part(found.child('a.b')), a.b)
    else assert.equal(found.child('a.b'), undefined)
  } else assert.equal(found.members.size, 0)
  return 'ok'
}

const space = fc.constantFrom('', '', '', ' ', '\n\t', '\r ')
const letter = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 'c', '0', '_') },
  {
    weight: 2,
    arbitrary: fc.constantFrom('\\u0061', '\\u0062', '\\n', '\\/', '\\\\', '\\"', '\\ud83d\\ude00'),
  },
  { weight: 2, arbitrary: fc.constantFrom('é', '漢', '😀', '\u2028', '\u007f', '\ufeff') },
  { weight: 1, arbitrary: fc.constantFrom('\\ud800', '\\udc00', '\\uFFFF') },
)
const text = fc.string({ unit: letter, maxLength: 4 }).map((inner) => `"${inner}"`)
const scalar = fc.oneof(
  text,
  fc.constantFrom('null', 'true', 'false', '0', '-0', '1e5', '-1.25E-7', '12345678901234567890', '1e999'),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
)
const { value: document } = fc.letrec<{ value: string; member: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc
      .tuple(space, fc.array(tie('value'), { maxLength: 5 }))
      .map(([s, items]) => `[${s}${items.join(`${s},${s}`)}${s}]`),
    fc
      .tuple(space, fc.array(tie('member'), { maxLength: 12 }))
      .map(([s, items]) => `{${s}${items.join(`${s},${s}`)}${s}}`),
  ),
  member: fc.tuple(text, space, tie('value')).map(([name, s, value]) => `${name}${s}:${s}${value}`),
}))
const mutation = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom('set', 'insert', 'delete', 'cut', 'repeat'),
  byte: fc.oneof(
    fc.constantFrom(...Buffer.from('"\\{}[]:,0e-+.u \x00\x1f\x80\xc3\xed\xf4', 'latin1')),
    fc.nat({ max: 255 }),
  ),
})

test('differential fuzz: generated documents pass or fail as JSON.parse and the oracles say', () => {
  const met = new Map<string, number>()
  fc.assert(
    fc.property(document, (json) => {
      const verdict = compare(Buffer.from(json))
      met.set(verdict, (met.get(verdict) ?? 0) + 1)
    }),
    { seed, numRuns: 2_500 },
  )
  for (const verdict of ['ok', 'duplicate', 'surrogate'])
    assert.ok((met.get(verdict) ?? 0) > 20, `${verdict} is rare; seed ${seed}`)
})

test('differential fuzz: documents with changed bytes pass or fail as JSON.parse and the oracles say', () => {
  const met = new Map<string, number>()
  fc.assert(
    fc.property(document, fc.array(mutation, { minLength: 1, maxLength: 3 }), (json, mutations) => {
      let bytes = Buffer.from(json)
      for (const { at, kind, byte } of mutations) {
        const i = at % (bytes.length + 1)
        const head = bytes.subarray(0, i)
        if (kind === 'cut') bytes = head
        else if (kind === 'repeat') bytes = Buffer.concat([bytes, bytes.subarray(i)])
        else {
          const put = kind === 'delete' ? [] : [byte]
          bytes = Buffer.concat([head, Buffer.from(put), bytes.subarray(kind === 'insert' ? i : i + 1)])
        }
      }
      const verdict = compare(bytes)
      met.set(verdict, (met.get(verdict) ?? 0) + 1)
    }),
    { seed, numRuns: 6_000 },
  )
  for (const verdict of ['ok', 'syntax', 'utf8'])
    assert.ok((met.get(verdict) ?? 0) > 20, `${verdict} is rare; seed ${seed}`)
})
