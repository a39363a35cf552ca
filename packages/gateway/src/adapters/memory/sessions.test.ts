import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSessions } from './sessions.ts'

const NOW = 1_800_000_000_000
const MINUTE = 60_000

test('a tuple with a sid is one session, counted call by call, with the same id after a restart', () => {
  const sessions = createSessions()
  const first = sessions.enter('["t","a"]', 's', NOW)
  assert.deepEqual([first.calls, first.labels], [1, []])
  assert.match(first.id, /^[0-9a-f]{32}$/)
  assert.deepEqual(sessions.enter('["t","a"]', 's', NOW + 7 * 60 * MINUTE), { ...first, calls: 2 })
  assert.deepEqual(createSessions().enter('["t","a"]', 's', NOW + 1), first)
  const ids = [
    ['["t","b"]', 's'],
    ['["t","a"]', 's2'],
    ['["t","a"]', undefined],
  ] as const
  for (const [tuple, sid] of ids) assert.notEqual(sessions.enter(tuple, sid, NOW).id, first.id)
})

test('a tuple without sid begins a new session after more than 30 minutes idle, and not before', () => {
  const sessions = createSessions()
  const first = sessions.enter('t', undefined, NOW)
  const kept = sessions.enter('t', undefined, NOW + 30 * MINUTE)
  assert.deepEqual([kept.id, kept.calls], [first.id, 2])
  const still = sessions.enter('t', undefined, NOW + 60 * MINUTE)
  assert.equal(still.id, first.id)
  const later = sessions.enter('t', undefined, NOW + 90 * MINUTE + 1)
  assert.notEqual(later.id, first.id)
  assert.equal(later.calls, 1)
})

test('a clock that goes back neither ends a session nor ages it', () => {
  const sessions = createSessions()
  const first = sessions.enter('t', undefined, NOW)
  sessions.enter('t', undefined, NOW - 600 * MINUTE)
  assert.equal(sessions.enter('t', undefined, NOW + 29 * MINUTE).id, first.id)
})

test('the table is bounded, forgets the session not entered for longest, and the idle ones by and by', () => {
  const sessions = createSessions({ maxSessions: 10 })
  const used = sessions.enter('used', 's', NOW)
  for (let i = 0; i < 100; i++) {
    sessions.enter(`t${i}`, 's', NOW)
    sessions.enter('used', 's', NOW)
    assert.ok(sessions.size <= 10)
  }
  assert.equal(sessions.enter('used', 's', NOW).calls, 102)
  assert.equal(used.calls, 1)
  assert.equal(sessions.enter('t0', 's', NOW).calls, 1)
  for (let i = 0; i < 10; i++) sessions.enter('late', 's', NOW + 9 * 60 * MINUTE)
  assert.equal(sessions.size, 1)
})
