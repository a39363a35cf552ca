import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { NoiseMeter } from './noise.ts'

test('what a server sends unasked is bounded by messages and by bytes a second, and a new second begins anew', () => {
  let now = 0
  const limits = { maxNoisePerSecond: 3, maxNoiseBytesPerSecond: 100 }
  const floods = (...lengths: number[]): string => {
    const noise = new NoiseMeter('fix', limits, () => now)
    try {
      for (const bytes of lengths) {
        noise.count(bytes)
        now += 10
      }
      return 'passed'
    } catch (error) {
      assert.ok(error instanceof UpstreamFailed && error.fault === 'protocol')
      return error.message
    }
  }
  assert.equal(floods(1, 1, 1), 'passed')
  assert.equal(floods(1, 1, 1, 1), 'server `fix` sent more than 3 unasked messages in a second')
  assert.equal(floods(50, 50), 'passed')
  assert.equal(floods(50, 51), 'server `fix` sent more than 100 unasked bytes in a second')
  now += 1_000
  const noise = new NoiseMeter('fix', limits, () => now)
  noise.count(0, 3)
  assert.throws(() => noise.count(0, 1), /more than 3 unasked messages/)
  now += 1_000
  for (let i = 0; i < 5; i++, now += 1_000) for (const bytes of [50, 25, 25]) noise.count(bytes)
})
