import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../testing/verifies.ts'
import { IDEMPOTENCY_META_KEY, readIdempotencyKey } from './idempotency-key.ts'

const UUID = '8e03978e-40d5-43dd-bc93-6894a57f9324'
const meta = (value: unknown) => JSON.parse(JSON.stringify({ [IDEMPOTENCY_META_KEY]: value }))

test('a key comes from the header, quoted or bare, from `_meta`, or from both alike', () => {
  verifies('play2.idempotency')
  assert.deepEqual(readIdempotencyKey(['Accept', '*/*'], { other: 1 }), { key: undefined })
  for (const value of [UUID, `"${UUID}"`, ` "${UUID}" `]) {
    for (const name of ['Idempotency-Key', 'idempotency-key', 'IDEMPOTENCY-KEY'])
      assert.deepEqual(readIdempotencyKey(['Host', 'x', name, value], {}), { key: UUID })
    assert.deepEqual(readIdempotencyKey(['idempotency-key', value], meta(UUID)), { key: UUID })
  }
  assert.deepEqual(readIdempotencyKey([], meta(UUID)), { key: UUID })
  assert.deepEqual(readIdempotencyKey(['X', 'Idempotency-Key'], {}), { key: undefined })
})

test('two keys in one call are refused, and so is a header that stands there twice', () => {
  const differs = readIdempotencyKey(['Idempotency-Key', 'a'], meta('b'))
  assert.ok('fault' in differs && differs.fault === 'differs')
  const twice = readIdempotencyKey(['Idempotency-Key', UUID, 'idempotency-key', UUID], {})
  assert.ok('fault' in twice && twice.fault === 'malformed' && twice.problem.includes('repeated'))
})

test('what is no key is refused, its nearest neighbour is not', () => {
  for (const [bad, good] of [
    ['', 'x'],
    ['x'.repeat(129), 'x'.repeat(128)],
    ['a b', 'a_b'],
    ['a,b', 'a.b'],
    ['a;b', 'a:b'],
    ['a"b', "a'b"],
    ['a\\b', 'a/b'],
    ['a\u0000b', 'a!b'],
    ['é', 'e'],
  ] as const) {
    for (const read of [readIdempotencyKey(['Idempotency-Key', bad], {}), readIdempotencyKey([], meta(bad))])
      assert.ok('fault' in read && read.fault === 'malformed', JSON.stringify(bad))
    assert.deepEqual(readIdempotencyKey(['Idempotency-Key', good], {}), { key: good })
    assert.deepEqual(readIdempotencyKey([], meta(good)), { key: good })
  }
  for (const bad of [1, null, {}, ['x'], true]) assert.ok('fault' in readIdempotencyKey([], meta(bad)))
})

test('fuzz: whatever stands there, it is a key of the form, none, or a problem that repeats nothing of it', () => {
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ maxLength: 140 }),
    fc.string().map((text) => `"${text}"`),
  )
  const headers = fc.array(fc.tuple(fc.constantFrom('Idempotency-Key', 'idempotency-key', 'x'), value), {
    maxLength: 3,
  })
  fc.assert(
    fc.property(headers, fc.option(fc.oneof(value, fc.jsonValue()), { nil: undefined }), (given, inMeta) => {
      const read = readIdempotencyKey(given.flat(), inMeta === undefined ? {} : meta(inMeta))
      if ('key' in read)
        return assert.ok(read.key === undefined || /^[\x21-\x7e]{1,128}$/.test(read.key), String(read.key))
      assert.doesNotMatch(read.problem, /[^\x20-\x7e]/)
    }),
    { numRuns: 2_000 },
  )
})
