import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Starts } from './starts.ts'

test('sixteen programs start at once, the next when one is done, and no place is given back twice', async () => {
  const starts = new Starts()
  const places = await Promise.all(Array.from({ length: 16 }, () => starts.take()))
  let started = 0
  for (let i = 0; i < 2; i++) void starts.take().then(() => started++)
  await turn()
  assert.equal(started, 0)
  places[0]?.()
  places[0]?.()
  await turn()
  assert.equal(started, 1)
})

test('a program that hangs keeps its place for two seconds', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const starts = new Starts()
  for (let i = 0; i < 16; i++) await starts.take()
  let started = false
  void starts.take().then(() => (started = true))
  t.mock.timers.tick(1_999)
  await turn()
  assert.equal(started, false)
  t.mock.timers.tick(1)
  await turn()
  assert.equal(started, true)
})
