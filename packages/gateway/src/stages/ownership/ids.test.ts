import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { JsonObject } from '../../call/json.ts'
import { verifies } from '../../testing/verifies.ts'
import { idsAt, NoId, type OwnedPlace } from './ids.ts'

const place = (path: readonly string[], more: Partial<OwnedPlace> = {}): OwnedPlace => ({
  type: 'order',
  relation: undefined,
  path,
  keys: false,
  split: undefined,
  idsIn: undefined,
  required: true,
  ...more,
})

test('an id is found wherever a list or an object may hide it from a pointer', () => {
  verifies('play7.bola-bfla.ownership')
  for (const args of [
    { a: { id: 'x' } },
    { a: [{ id: 'x' }] },
    { a: [[{ id: ['x'] }]] },
    { a: { id: [['x'], null] } },
  ]) {
    assert.deepEqual(idsAt(args, place(['a', 'id'])), ['x'], JSON.stringify(args))
  }
  assert.deepEqual(idsAt({ a: ['x', 'y'] }, place(['a', '0'])), ['x', 'y'], 'a number is any item')
  // Nothing there is nothing: `required` decides. Own members only.
  for (const args of [{}, { a: null }, { a: [] }, { a: { b: 'x' } }]) {
    assert.deepEqual(idsAt(args, place(['a', 'id'])), [], JSON.stringify(args))
  }
  assert.deepEqual(idsAt({}, place(['constructor', 'name'])), [])
})

test('whatever the arguments are, a place gives ids or says that there is none, and misses no text', () => {
  verifies('play7.bola-bfla.ownership')
  fc.assert(
    fc.property(
      fc.object({ maxDepth: 5 }),
      fc.array(fc.string(), { minLength: 1, maxLength: 4 }),
      (value, path) => {
        const args = JSON.parse(JSON.stringify(value)) as JsonObject
        for (const more of [{}, { keys: true }, { split: ',' }, { idsIn: () => [] }]) {
          try {
            for (const id of idsAt(args, place(path, more))) assert.equal(typeof id, 'string')
          } catch (error) {
            assert.ok(error instanceof NoId, String(error))
          }
        }
      },
    ),
    { numRuns: 2_000 },
  )
  // A foreign id beside own ones is among what is found, wherever it stands in a list of any depth.
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('1', '2'), { maxLength: 20 }),
      fc.nat(20),
      fc.nat(4),
      (own, at, depth) => {
        let foreign: unknown = '4'
        for (let i = 0; i < depth; i++) foreign = [foreign]
        const ids: unknown[] = [...own]
        ids.splice(at, 0, foreign)
        assert.ok(idsAt({ ids } as JsonObject, place(['ids'])).includes('4'))
      },
    ),
  )
})
