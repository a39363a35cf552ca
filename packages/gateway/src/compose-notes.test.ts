import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from './testing/verifies.ts'
import { createNotes } from './compose-notes.ts'

test('what the log does not take is written again a second later, in its order, at most a thousand of them', (t) => {
  verifies('hosts.unavailable-told')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const written: string[] = []
  let full = true
  const notes = createNotes((event) => {
    if (full) return Promise.reject(new Error('the disk is busy'))
    written.push(event)
    return Promise.resolve()
  })
  for (let i = 0; i < 1_010; i++) notes.note(`${i}`, {})
  return Promise.resolve()
    .then(() => {
      full = false
      t.mock.timers.tick(999)
      assert.deepEqual(written, [])
      t.mock.timers.tick(1)
      assert.equal(written.length, 1_000)
      assert.deepEqual([written[0], written.at(-1)], ['10', '1009'])
      notes.note('now', {})
      assert.equal(written.at(-1), 'now')
    })
    .finally(() => notes.close())
})
