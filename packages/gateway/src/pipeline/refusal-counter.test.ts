import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeLog } from '../testing/calls.ts'
import { RefusalCounter } from './refusal-counter.ts'

const counter = (log: FakeLog): RefusalCounter =>
  new RefusalCounter(
    log,
    () => 1_800_000_000_123,
    () => 'id',
  )

test('refusals are counted by peer and code, and written once', async () => {
  const log = new FakeLog()
  const refusals = counter(log)
  for (let i = 0; i < 1_000; i++) refusals.count('1.2.3.4', 'CG_IDENTITY_EXPIRED')
  refusals.count('1.2.3.4', 'CG_WIRE_HOST')
  refusals.count('5.6.7.8', 'CG_IDENTITY_EXPIRED')
  await refusals.flush()
  const written = log.records.map((record) =>
    record.kind === 'refusals' ? [record.peer, record.code, record.count, record.second] : [],
  )
  assert.deepEqual(written, [
    ['1.2.3.4', 'CG_IDENTITY_EXPIRED', 1_000, 1_800_000_000],
    ['1.2.3.4', 'CG_WIRE_HOST', 1, 1_800_000_000],
    ['5.6.7.8', 'CG_IDENTITY_EXPIRED', 1, 1_800_000_000],
  ])
  await refusals.flush()
  assert.equal(log.records.length, 3)
})

test('a flood from ever new peers is bounded and no refusal of it is lost', async () => {
  const log = new FakeLog()
  const refusals = counter(log)
  for (let i = 0; i < 5_000; i++)
    refusals.count(`peer-${i}`, i % 2 === 0 ? 'CG_IDENTITY_MISSING' : 'CG_WIRE_HOST')
  await refusals.flush()
  assert.ok(log.records.length <= 1_002, `${log.records.length}`)
  const counts = log.records.map((record) => (record.kind === 'refusals' ? record.count : 0))
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    5_000,
  )
  assert.equal(log.records.filter((record) => record.kind === 'refusals' && record.peer === '*').length, 2)
})

test('a log that is down costs the counts of that second and nothing else', async () => {
  const log = new FakeLog()
  const refusals = counter(log)
  log.fails = true
  refusals.count('peer', 'CG_WIRE_HOST')
  await refusals.flush()
  log.fails = false
  refusals.count('peer', 'CG_WIRE_HOST')
  await refusals.flush()
  assert.equal(log.records.length, 1)
})
