import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../testing/verifies.ts'
import { isBatch, splitBatch } from './batch.ts'

const split = (text: string): string[] =>
  Array.from(splitBatch(Buffer.from(text)), (part) => Buffer.from(part).toString())

test('a batch is an array of objects; a banner in brackets is none', () => {
  for (const text of ['[{}]', ' [ {"a":1} ]', '[\n{']) assert.equal(isBatch(Buffer.from(text)), true, text)
  for (const text of ['[info] ready', '[]', '{}', '[1]', '[[{}]]', '', '[']) {
    assert.equal(isBatch(Buffer.from(text)), false, text)
  }
})

test('elements are cut where they stand, byte for byte, whatever their strings hold', () => {
  assert.deepEqual(split('[{"a":1},{"b":[1,2]}]'), ['{"a":1}', '{"b":[1,2]}'])
  assert.deepEqual(split(String.raw`[{"a":"],\"{"},{"b":"\\"}]`), [
    String.raw`{"a":"],\"{"}`,
    String.raw`{"b":"\\"}`,
  ])
  assert.deepEqual(split(' [ {"n": 1.50} ] '), [' {"n": 1.50} '])
})

test('what is no whole array leaves a part that no scanner takes', () => {
  for (const text of ['[{"a":1}', '[{"a":1},', '[{"a":1}] x', '[{"a":"', '[{}]]']) {
    const parts = split(text)
    assert.throws(() => parts.map((part) => JSON.parse(part)), SyntaxError, text)
  }
})

test('any array of objects comes apart into its elements, at any white space', () => {
  verifies('eras.server-batches')
  const anyBatch = fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(anyBatch, fc.constantFrom(0, 1, '\t'), (batch, space) => {
      const text = JSON.stringify(batch, undefined, space)
      assert.equal(isBatch(Buffer.from(text)), true)
      assert.deepEqual(
        split(text).map((part) => JSON.parse(part)),
        JSON.parse(text),
      )
    }),
  )
})
