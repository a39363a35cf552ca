import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { MAX_DEPTH, canonicalize } from './canonical.ts'

const SEED = Number(process.env['CALLGATE_SEED'] ?? 20_261_122)

test('the example of RFC 8785 s3.2.2 has its canonical form', () => {
  const value: unknown = JSON.parse(
    '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}',
  )
  assert.equal(
    canonicalize(value),
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  )
})

test('members are sorted by UTF-16 code units as RFC 8785 s3.2.3 shows, also beyond 32 of them', () => {
  const keys = ['€', '\r', '\ufb33', '1', '😀', '\u0080', 'ö']
  const sorted = canonicalize(Object.fromEntries(keys.map((key) => [key, 0])))
  assert.deepEqual(Object.keys(JSON.parse(sorted) as object), ['1', '\r', '\u0080', 'ö', '€', '😀', '\ufb33'])
  const many = Array.from({ length: 40 }, (_, i) => `k${(i * 7) % 40}`)
  const text = canonicalize(Object.fromEntries(many.map((key) => [key, 0])))
  assert.equal(
    text,
    `{${[...many]
      .sort()
      .map((key) => `"${key}":0`)
      .join(',')}}`,
  )
})

test('what JSON cannot hold is refused by the name of its member; its near miss passes', () => {
  const refused: [unknown, RegExp][] = [
    [{ a: { b: [undefined] } }, /`b` is undefined/],
    [undefined, /is undefined/],
    [{ a: NaN }, /`a` is not a finite number/],
    [{ a: -Infinity }, /`a` is not a finite number/],
    [{ a: 1n }, /`a` is bigint/],
    [{ a: '\ud800' }, /`a` holds a lone surrogate/],
    [{ '\udc00': 1 }, /lone surrogate/],
    [{ a: new Date(0) }, /`a` is not a plain object/],
    [{ a: () => 1 }, /`a` is function/],
  ]
  for (const [value, message] of refused)
    assert.throws(() => canonicalize(value), { name: 'TypeError', message })
  assert.equal(canonicalize({ a: [null, -0, '\ud83d\ude00'] }), '{"a":[null,0,"\ud83d\ude00"]}')
  assert.equal(canonicalize(JSON.parse('{"__proto__":{"x":1}}')), '{"__proto__":{"x":1}}')
})

function nested(levels: number): unknown {
  return JSON.parse('['.repeat(levels) + ']'.repeat(levels))
}

test('64 levels pass, 65 are refused', () => {
  assert.equal(canonicalize(nested(MAX_DEPTH)).length, 2 * MAX_DEPTH)
  assert.throws(() => canonicalize(nested(MAX_DEPTH + 1)), /deeper than 64/)
})

test('the form is a fixed point, keeps the value and does not depend on the order of members', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      const text = canonicalize(value)
      const parsed: unknown = JSON.parse(text)
      assert.equal(canonicalize(parsed), text)
      assert.deepEqual(parsed, JSON.parse(JSON.stringify(value)))
      assert.equal(canonicalize(reversed(parsed)), text)
    }),
    { seed: SEED, numRuns: 300 },
  )
})

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversed(member)]),
  )
}

test('a member that is undefined is absent, in order or not', () => {
  assert.equal(canonicalize({ a: 1, b: undefined, c: 2 }), '{"a":1,"c":2}')
  assert.equal(canonicalize({ c: 2, b: undefined, a: 1 }), '{"a":1,"c":2}')
  assert.equal(canonicalize({ b: { y: undefined } }), '{"b":{}}')
})

test('what stands in order has the same text as what does not', () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, inner]) => [key, shuffled(inner)]),
    )
  }
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      const text = canonicalize(value)
      assert.equal(canonicalize(JSON.parse(text)), text)
      assert.equal(canonicalize(shuffled(JSON.parse(text))), text)
    }),
    { numRuns: 300 },
  )
})
