import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../testing/verifies.ts'
import { createPlaceholders } from './placeholders.ts'

const a = { key: 'a' }
const b = { key: 'b' }

test('equal values of a session have one placeholder, by class and session apart', () => {
  verifies('play3.redaction.reversible')
  const held = createPlaceholders()
  assert.equal(held.any(a), false)
  assert.deepEqual(
    [
      held.keep(a, 'email', 'x'),
      held.keep(a, 'email', 'y'),
      held.keep(a, 'email', 'x'),
      held.keep(a, 'secret.github', 'x'),
      held.keep(a, 'secret.aws', 'x'),
      held.keep(b, 'email', 'y'),
    ],
    ['<EMAIL_1>', '<EMAIL_2>', '<EMAIL_1>', '<SECRET_1>', '<SECRET_2>', '<EMAIL_1>'],
  )
  assert.deepEqual(held.value(a, '<EMAIL_2>'), { found: 'email', value: 'y' })
  assert.deepEqual(held.value(b, '<EMAIL_1>'), { found: 'email', value: 'y' })
  assert.deepEqual(
    [held.value(b, '<EMAIL_2>'), held.value(a, '<EMAIL_3>'), held.value(a, 'x')],
    [undefined, undefined, undefined],
  )
  assert.deepEqual([held.any(a), held.any({ key: 'c' })], [true, false])
})

test('values and sessions are bounded; what is forgotten stands for nothing', () => {
  let now = 0
  const held = createPlaceholders({ maxSessions: 2, maxValues: 2, idleMs: 1_000, now: () => now })
  for (const value of ['1', '2', '3']) held.keep(a, 'email', value)
  assert.equal(held.keep(a, 'email', '4'), '<EMAIL_0>')
  assert.equal(held.keep(a, 'email', '1'), '<EMAIL_1>')
  held.keep(b, 'email', '1')
  held.value(a, '<EMAIL_1>')
  held.keep({ key: 'c' }, 'email', '1')
  assert.equal(held.size, 2)
  assert.deepEqual([held.any(a), held.any(b)], [true, false], 'the one not used for longest went')
  now = 1_001
  assert.equal(held.value(a, '<EMAIL_1>'), undefined)
  assert.equal(held.keep(a, 'email', 'new'), '<EMAIL_1>')
})
