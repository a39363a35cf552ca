import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SecretUnavailable } from '../../ports/secrets.ts'
import { SecretCache } from './cache.ts'
import { createSecrets } from './index.ts'
import { reference } from './testing/bench.ts'
import { verifies } from '../../testing/verifies.ts'

const REFERENCE = reference('file:/run/secrets/crm')

/** A cache over a scripted source and a clock that stands still. */
function bench(ttlMs = 300_000) {
  const world = {
    now: 1_800_000_000_000,
    asked: 0,
    problems: [] as string[],
    answer: async (): Promise<string> => 'first',
  }
  const cache = new SecretCache(
    () => {
      world.asked++
      return world.answer()
    },
    {
      ttlMs,
      now: () => world.now,
      onProblem: (label, problem) => world.problems.push(`${label}: ${problem}`),
    },
  )
  return {
    world,
    value: async () => (await cache.read(REFERENCE)).reveal(),
    anew: async () => (await cache.read(REFERENCE, true)).reveal(),
  }
}

const failing = (kind: 'down' | 'refused', retryAfterMs?: number) => async (): Promise<string> => {
  throw new SecretUnavailable(kind, '`file:/run/secrets/crm` answered 503', retryAfterMs)
}

test('many readers cause one question, and its value serves for the time to live', async () => {
  const { world, value } = bench()
  const values = await Promise.all(Array.from({ length: 50 }, value))
  assert.deepEqual([...new Set(values)], ['first'])
  assert.equal(world.asked, 1)
  world.answer = async () => 'second'
  world.now += 299_999
  assert.equal(await value(), 'first')
  world.now += 1
  assert.equal(await value(), 'second')
  assert.equal(world.asked, 2)
})

test('who says that a value did not work gets what the source says now, at most every five seconds', async () => {
  const { world, value, anew } = bench()
  await value()
  world.answer = async () => 'second'
  world.now += 4_999
  assert.equal(await anew(), 'first')
  world.now += 1
  assert.equal(await value(), 'first')
  assert.equal(await anew(), 'second')
  assert.equal(await value(), 'second')
  assert.equal(world.asked, 2)
})

test('with a time to live of 0 each read asks, and readers at the same time still ask once', async () => {
  const { world, value } = bench(0)
  await value()
  await value()
  assert.equal(world.asked, 2)
  await Promise.all([value(), value()])
  assert.equal(world.asked, 3)
})

test('while the source is down the last good value serves for one hour since it was read; then the error says both', async () => {
  verifies('secrets.last-good')
  const { world, value } = bench()
  await value()
  world.answer = failing('down')
  world.now += 3_600_000
  assert.equal(await value(), 'first')
  assert.deepEqual(world.problems, ['file:/run/secrets/crm: `file:/run/secrets/crm` answered 503'])
  world.now += 5_000
  await assert.rejects(value, /answered 503; the last good value is 3605 s old, at most 3600 s allowed/)
  world.now += 5_000
  world.answer = async () => 'again'
  assert.equal(await value(), 'again')
})

test('a source that says no ends the last good value at once', async () => {
  verifies('secrets.last-good')
  const { world, value } = bench()
  await value()
  world.answer = failing('refused')
  world.now += 300_000
  await assert.rejects(value, /answered 503$/)
  world.now += 5_000
  world.answer = failing('down')
  await assert.rejects(value, /answered 503$/)
  assert.deepEqual(world.problems, [])
})

test('a source that failed is left alone for 5 s, or for as long as it asked', async () => {
  for (const [retryAfterMs, pauseMs] of [
    [undefined, 5_000],
    [100, 5_000],
    [60_000, 60_000],
  ] as const) {
    const { world, value } = bench()
    world.answer = failing('down', retryAfterMs)
    await assert.rejects(value)
    world.now += pauseMs - 1
    await assert.rejects(value)
    assert.equal(world.asked, 1)
    world.now += 1
    await assert.rejects(value)
    assert.equal(world.asked, 2)
  }
})

test('an error that is no refusal is told without its own words', async () => {
  const { world, value } = bench()
  world.answer = async () => {
    throw new Error('hunter2')
  }
  await assert.rejects(value, (error: unknown) => {
    assert.ok(error instanceof SecretUnavailable)
    assert.equal(error.message, '`file:/run/secrets/crm` could not be read, by a fault of the gate')
    assert.equal(error.cause, undefined)
    return true
  })
})

test('a time to live out of 0 to 3600 s is a TypeError', async () => {
  for (const ttlS of [-1, 3_601, Number.NaN])
    assert.throws(() => createSecrets({ folder: '/', ttlS }), TypeError)
  for (const ttlS of [0, 3_600]) await createSecrets({ folder: '/', ttlS }).close()
})
