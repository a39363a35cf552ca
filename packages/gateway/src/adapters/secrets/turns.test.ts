import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Turns } from './turns.ts'

const open = new AbortController().signal

test('never more go at once than may, each in its order, and a failure frees its place', async () => {
  const turns = new Turns(2)
  let now = 0
  let most = 0
  const began: number[] = []
  const work = async (i: number): Promise<number> => {
    began.push(i)
    most = Math.max(most, ++now)
    await sleep(2)
    now--
    if (i % 3 === 0) throw new Error('failed')
    return i
  }
  const all = await Promise.allSettled(
    Array.from({ length: 12 }, (_, i) => turns.take('x', 5_000, open, () => work(i))),
  )
  assert.equal(most, 2)
  assert.deepEqual(began, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  assert.equal(all.filter(({ status }) => status === 'rejected').length, 4)
  assert.equal(await turns.take('x', 1, open, () => Promise.resolve('free')), 'free')
})

test('who waits too long or past the end is sent away, and takes no turn later', async () => {
  const turns = new Turns(1)
  const closing = new AbortController()
  let release: () => void = () => undefined
  const long = turns.take('x', 5_000, open, () => new Promise<void>((done) => (release = done)))
  let late = 0
  const count = (): Promise<number> => Promise.resolve(++late)
  await assert.rejects(turns.take('x', 10, open, count), /`x` was busy for 10 ms/)
  const waits = assert.rejects(turns.take('x', 5_000, closing.signal, count), /was stopped, the gate closes/)
  closing.abort()
  await waits
  release()
  await long
  assert.equal(await turns.take('x', 10, open, () => Promise.resolve('next')), 'next')
  assert.equal(late, 0)
})
