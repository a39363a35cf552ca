import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { editDistance, nearest } from './nearest.ts'

test('a slip of the finger names the key that was meant', () => {
  const keys = ['port', 'host', 'allowedHosts', 'allowedOrigins', 'maxRequestBytes']
  assert.equal(nearest('prot', keys), 'port')
  assert.equal(nearest('allowedHost', keys), 'allowedHosts')
  assert.equal(nearest('MaxRequestBytes', keys), 'maxRequestBytes')
  assert.equal(nearest('max_request_bytes', keys), 'maxRequestBytes')
})

test('a word near to nothing names nothing', () => {
  assert.equal(nearest('database', ['port', 'host', 'allowedHosts']), undefined)
  assert.equal(nearest('a', ['b']), undefined)
  assert.equal(nearest('', ['port']), undefined)
  assert.equal(nearest('p'.repeat(65), ['p'.repeat(65)]), undefined)
})

test('the nearer of two near names wins, and the earlier of two equally near', () => {
  assert.equal(nearest('cnt', ['count', 'cent']), 'cent')
  assert.equal(nearest('cat', ['bat', 'hat']), 'bat')
})

test('a swap of neighbours is one edit', () => {
  assert.equal(editDistance('abcd', 'abdc'), 1)
  assert.equal(editDistance('kitten', 'sitting'), 3)
  assert.equal(editDistance('', 'abc'), 3)
})

test('the distance is symmetric, zero only for equal words, and bounded by the longer word', () => {
  const word = fc.string({ maxLength: 12 })
  const property = fc.property(word, word, (a, b) => {
    const distance = editDistance(a, b)
    assert.equal(distance, editDistance(b, a))
    assert.equal(distance === 0, a === b)
    assert.ok(distance <= Math.max(a.length, b.length))
  })
  fc.assert(property, { numRuns: 300 })
})
