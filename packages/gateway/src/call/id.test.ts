import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCallId, newCallId } from './id.ts'

test('a call id tells its millisecond first, and sorts by it', () => {
  assert.equal(newCallId(0).slice(0, 10), '0000000000')
  assert.equal(newCallId(31).slice(0, 10), '000000000Z')
  // The example of the ULID specification.
  assert.equal(newCallId(1_469_918_176_385).slice(0, 10), '01ARYZ6S41')
  const [early, late] = [newCallId(1_795_000_000_000), newCallId(1_795_000_000_001)]
  assert.ok(early < late)
})

test('ids of one millisecond differ, and all of them have the form of one', () => {
  const ids = Array.from({ length: 10_000 }, () => newCallId(1_795_000_000_000))
  assert.equal(new Set(ids).size, ids.length)
  assert.ok(ids.every(isCallId))
  for (const almost of [ids[0]?.slice(1) ?? '', `${ids[0]}0`, 'O'.repeat(26)]) assert.ok(!isCallId(almost))
})
