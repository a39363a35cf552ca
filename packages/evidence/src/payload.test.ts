import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { canonicalize } from './canonical.ts'
import { keyedBytesRoot, keyedRoot } from './payload.ts'

const SEED = Number(process.env['CALLGATE_SEED'] ?? 20_261_122)
const key = Buffer.alloc(32, 7)

test('a small payload is one HMAC over path, type and value of each scalar', () => {
  const text = 'callgate.single.1\n8:.4:flagb1:1\n5:.2:idn2:42\n'.replace('8:.4:flag', '7:.4:flag')
  const root = createHmac('sha256', key).update(text).digest('hex')
  assert.deepEqual(keyedRoot(key, { id: 42, flag: true }), { scalars: 2, root })
})

test('values that differ have different roots, also where naive encodings meet', () => {
  const values: unknown[] = [
    {},
    [],
    null,
    '',
    0,
    false,
    '0',
    'false',
    'null',
    [null],
    [[]],
    [{}],
    { a: {} },
    { a: [] },
    { a: null },
    { a: '' },
    { a: 1 },
    { a: '1' },
    { a: true },
    { a: [1] },
    { a: { 0: 1 } },
    { '[0]': 1 },
    [1],
    { 'a.b': 1 },
    { a: { b: 1 } },
    { a: 'x', b: 'y' },
    { a: 'xsb1:y' },
    { '\ud800': 1 },
    { '"\\ud800"': 1 },
    '\ud800',
    '\ud801',
    '"\\ud800"',
    '\ufffd',
    Array.from({ length: 64 }, () => 1),
    Array.from({ length: 65 }, () => 1),
    Array.from({ length: 128 }, () => 1),
  ]
  assert.equal(new Set(values.map((value) => keyedRoot(key, value).root)).size, values.length)
})

test('equal values have one root whatever the order of members, and 65 scalars need a second chunk', () => {
  assert.equal(keyedRoot(key, { a: 1, b: [2] }).root, keyedRoot(key, { b: [2], a: 1 }).root)
  assert.equal(
    keyedRoot(
      key,
      Array.from({ length: 65 }, (_, i) => i),
    ).scalars,
    65,
  )
  assert.notEqual(keyedRoot(key, 1).root, keyedRoot(Buffer.alloc(32, 8), 1).root)
})

test('roots are equal exactly when the canonical texts are', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      assert.equal(keyedRoot(key, a).root === keyedRoot(key, b).root, canonicalize(a) === canonicalize(b))
      assert.deepEqual(keyedRoot(key, a), keyedRoot(key, JSON.parse(JSON.stringify(a))))
    }),
    { seed: SEED, numRuns: 200 },
  )
})

test('a byte payload has a root of its own, changed by every bit', async () => {
  const bytes = new Uint8Array(300_000)
  const { scalars, root } = await keyedBytesRoot(key, bytes)
  assert.equal(scalars, null)
  const derived = createHmac('sha256', key).update('callgate.bytes.1\n').digest()
  assert.equal(root, createHmac('sha256', derived).update(bytes).digest('hex'))
  bytes[299_999] = 1
  assert.notEqual((await keyedBytesRoot(key, bytes)).root, root)
})

test('a short key, a value that is no JSON and 65 levels are refused', () => {
  assert.throws(() => keyedRoot(Buffer.alloc(31), 1), /31 bytes \(at least 32\)/)
  assert.throws(() => keyedRoot(key, { a: undefined }), /undefined is not JSON/)
  assert.throws(() => keyedRoot(key, [NaN]), /not finite/)
  assert.throws(() => keyedRoot(key, JSON.parse('['.repeat(66) + ']'.repeat(66))), /deeper than 64/)
})
