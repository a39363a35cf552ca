import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { Seat, Slices, Turns } from './turns.ts'

test('work of one server runs one after another, beside that of others, and what is too much is dropped', async () => {
  const turns = new Turns()
  const ran: string[] = []
  const work = (name: string) => async () => {
    ran.push(`${name} begins`)
    await sleep(5)
    ran.push(`${name} ends`)
    return 0
  }
  await Promise.all([
    ...Array.from({ length: 20 }, () => turns.take('loud', work('loud'))),
    turns.take('calm', work('calm')),
  ])
  assert.ok(ran.indexOf('calm begins') < ran.indexOf('loud ends'))
  const loud = ran.filter((line) => line.startsWith('loud'))
  assert.deepEqual(loud, Array.from({ length: 8 }, () => ['loud begins', 'loud ends']).flat())
})

test('a server that cost much rests nine times as long, one that cost little does not, and a fault ends no line', async () => {
  const turns = new Turns()
  const cost = (ms: number) => turns.take('fix', () => Promise.resolve(ms))
  const since = performance.now()
  await assert.rejects(
    turns.take('fix', () => Promise.reject(new Error('disk full'))),
    /disk full/,
  )
  for (let i = 0; i < 50; i++) await cost(49)
  await cost(60)
  const rested = performance.now()
  await cost(0)
  const rest = performance.now() - rested
  assert.ok(rest > 500, `rested ${rest} ms`)
  assert.ok(rested - since < rest, 'fifty cheap pieces take less than one rest')
})

test('fifty pieces of work at once leave a turn to everything else after each slice', async () => {
  const seat = new Seat()
  let done = 0
  const piece = async (): Promise<void> => {
    const slices = new Slices(seat)
    await slices.run(async () => {
      for (let i = 0; i < 3; i++) {
        const until = performance.now() + 4
        while (performance.now() < until);
        await slices.breathe()
      }
    })
    assert.ok(slices.busyMs >= 12)
    done++
  }
  const all = Promise.all(Array.from({ length: 50 }, piece))
  const doneBy: number[] = []
  for (let turn = 0; turn < 40; turn++) {
    await nextTurn()
    doneBy.push(done)
  }
  assert.ok(
    doneBy.every((count, turn) => count - (doneBy[turn - 1] ?? 0) <= 1),
    'one piece a turn',
  )
  await all
})

test('a piece that throws leaves the seat', async () => {
  const seat = new Seat()
  await assert.rejects(
    new Slices(seat).run(() => Promise.reject(new Error('bad'))),
    /bad/,
  )
  assert.equal(await new Slices(seat).run(() => Promise.resolve(1)), 1)
})
