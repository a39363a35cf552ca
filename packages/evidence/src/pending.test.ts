import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { leafHash } from './merkle.ts'
import { damagedAt, encodeFrame, scanPending } from './pending.ts'

const SEED = Number(process.env['CALLGATE_SEED'] ?? 20_261_122)

function frame(index: number, durable: number, text = `record ${index}`): Buffer {
  const leaf = Buffer.from(text)
  return encodeFrame({ index, leaf, hash: leafHash(leaf) }, durable)
}

test('frames in a row come back; a gap, a doubled index and garbage end them', () => {
  const two = Buffer.concat([frame(7, 0), frame(8, 7)])
  for (const behind of [
    Buffer.alloc(0),
    frame(10, 8),
    frame(8, 8),
    frame(7, 8),
    Buffer.alloc(99),
    frame(9, 8).subarray(0, -1),
  ]) {
    const scan = scanPending(Buffer.concat([two, behind]))
    assert.deepEqual(
      scan.leaves.map((one) => one.index),
      [7, 8],
    )
    assert.deepEqual([scan.goodBytes, scan.tornBytes], [two.length, behind.length])
  }
})

test('a torn batch is no damage; bytes that a later batch knows as durable are', () => {
  const hole = Buffer.alloc(frame(1, 1).length)
  // One batch of three, torn in its middle by a crash: all three say that one record was durable before.
  const torn = scanPending(Buffer.concat([frame(0, 0), hole, frame(2, 1)]))
  assert.deepEqual([torn.leaves.length, torn.resumesAt, damagedAt(torn, 0)], [1, 2, undefined])
  // The same bytes, but record 2 came in a later batch: record 1 was durable when it was written.
  const damaged = scanPending(Buffer.concat([frame(0, 0), hole, frame(2, 2)]))
  assert.equal(damagedAt(damaged, 0), 1)
  // Signed records were durable in any case.
  assert.equal(damagedAt(torn, 2), 1)
  assert.equal(damagedAt(scanPending(Buffer.concat([hole, frame(5, 5)])), 0), 4)
  assert.equal(damagedAt(scanPending(Buffer.alloc(0)), 5), undefined)
})

test('whatever the bytes, a scan ends, accounts for every byte and gives only whole frames', () => {
  const good = fc
    .tuple(fc.nat(5), fc.nat(5), fc.string())
    .map(([index, durable, text]) => frame(index, durable, text))
  const parts = fc.array(fc.oneof(good, fc.uint8Array({ maxLength: 80 }), fc.constant(Buffer.from('CGP1'))), {
    maxLength: 8,
  })
  fc.assert(
    fc.property(parts, (some) => {
      const bytes = Buffer.concat(some)
      const scan = scanPending(bytes)
      assert.equal(scan.goodBytes + scan.tornBytes, bytes.length)
      for (const { leaf, hash } of scan.leaves) assert.deepEqual(hash, leafHash(leaf))
    }),
    { seed: SEED, numRuns: 300 },
  )
})
