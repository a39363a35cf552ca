import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../testing/verifies.ts'
import { createLimitStore } from './limit-store.ts'

const HOUR = { key: 'k', ms: 3_600_000 }

function store(maxWindows?: number) {
  let now = 0
  const limits = createLimitStore({ clock: () => now, ...(maxWindows === undefined ? {} : { maxWindows }) })
  return { limits, at: (ms: number) => (now = ms) }
}

test('what was added is in the total until the window is over, and not much longer', () => {
  verifies('play3.windowed')
  const { limits, at } = store()
  limits.add([{ ...HOUR, amount: 600 }])
  at(1_800_000)
  limits.add([{ ...HOUR, amount: 400 }])
  assert.equal(limits.total(HOUR), 1000)
  at(3_600_000)
  assert.equal(limits.total(HOUR), 1000)
  at(3_600_000 + 60_000)
  assert.equal(limits.total(HOUR), 400)
  at(1_800_000 + 3_660_000)
  assert.equal(limits.total(HOUR), 0)
})

test('what is taken back is gone, once, and an amount without bound too', () => {
  verifies('play3.windowed')
  const { limits } = store()
  limits.add([{ ...HOUR, amount: 1 }])
  const back = limits.add([
    { ...HOUR, amount: Infinity },
    { key: 'other', ms: 1_000, amount: 2 },
  ])
  assert.deepEqual([limits.total(HOUR), limits.total({ key: 'other', ms: 1_000 })], [Infinity, 2])
  back?.()
  back?.()
  assert.deepEqual([limits.total(HOUR), limits.total({ key: 'other', ms: 1_000 })], [1, 0])
})

test('without room nothing is added anywhere, and there is room again when windows are over', () => {
  verifies('play3.windowed')
  const { limits, at } = store(2)
  const add = (...keys: string[]) => limits.add(keys.map((key) => ({ key, ms: 60_000, amount: 1 })))
  add('a')
  assert.equal(add('b', 'c'), undefined)
  assert.equal(limits.total({ key: 'b', ms: 60_000 }), 0)
  assert.ok(add('b'))
  assert.ok(add('a'), 'windows that are there already')
  assert.equal(add('c'), undefined)
  at(62_000)
  assert.ok(add('c'))
  assert.ok(limits.size <= 2)
})

test('against a list of everything: never less than the window, never more than a sixtieth beyond', () => {
  verifies('play3.windowed')
  const step = fc.record({
    wait: fc.integer({ min: 0, max: 400 }),
    amount: fc.integer({ min: 1, max: 9 }),
    undo: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const { limits, at } = store()
      const window = { key: 'k', ms: 6_000 }
      const all: { at: number; amount: number }[] = []
      let now = 0
      for (const { wait, amount, undo } of steps) {
        at((now += wait))
        const back = limits.add([{ ...window, amount }])
        if (undo) back?.()
        else all.push({ at: now, amount })
        const within = (ms: number) =>
          all.filter((one) => one.at >= now - ms).reduce((sum, one) => sum + one.amount, 0)
        assert.ok(limits.total(window) >= within(6_000 - 1))
        assert.ok(limits.total(window) <= within(6_000 + 100))
      }
    }),
  )
})
