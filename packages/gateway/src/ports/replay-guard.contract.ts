import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Claim, ReplayGuard } from './replay-guard.ts'

/** A guard under test and the world around it. */
export interface GuardBench {
  readonly guard: ReplayGuard
  /** Opens a second guard on the same state, as after a crash: the first one is not closed in order. */
  restart(): Promise<ReplayGuard>
  /** Sets the clock, in seconds since the epoch. */
  setNowS(nowS: number): void
  /** Makes the store fail until it is mended. */
  breakStore(): void
  mendStore(): void
  /** Seconds after the end of a claim from which on it may have been forgotten. */
  readonly forgottenAfterS: number
}

/** Time at which every bench begins, in seconds since the epoch. */
export const BENCH_START_S = 1_800_000_000

const END = BENCH_START_S + 600

/** What every ReplayGuard must hold. @param make a fresh guard whose clock says BENCH_START_S */
export function replayGuardContract(name: string, make: (t: TestContext) => Promise<GuardBench>): void {
  test(`${name}: a claim is first, then same for its binding and replay for any other`, async (t) => {
    const { guard } = await make(t)
    assert.equal(await guard.claim('jti-1', END, 'session-a'), 'first')
    assert.equal(await guard.claim('jti-1', END, 'session-a'), 'same')
    assert.equal(await guard.claim('jti-1', END, 'session-b'), 'replay')
    assert.equal(await guard.claim('jti-1', END, 'session-a'), 'same')
    assert.equal(await guard.claim('jti-2', END, 'session-b'), 'first')
  })

  test(`${name}: of 100 claims at once one is first`, async (t) => {
    const { guard } = await make(t)
    const claims = Array.from({ length: 100 }, (_, i) => guard.claim('jti', END, `binding-${i}`))
    assert.deepEqual(tally(await Promise.all(claims)), { first: 1, same: 0, replay: 99, revoked: 0 })
    const others = Array.from({ length: 100 }, (_, i) => guard.claim(`jti-${i}`, END, 'binding'))
    assert.deepEqual(tally(await Promise.all(others)), { first: 100, same: 0, replay: 0, revoked: 0 })
  })

  test(`${name}: claims survive a restart`, async (t) => {
    const bench = await make(t)
    await Promise.all([0, 1, 2].map((i) => bench.guard.claim(`jti-${i}`, END, 'session-a')))
    const again = await bench.restart()
    assert.equal(await again.claim('jti-0', END, 'session-b'), 'replay')
    assert.equal(await again.claim('jti-1', END, 'session-a'), 'same')
    assert.equal(await again.claim('jti-3', END, 'session-a'), 'first')
    const third = await bench.restart()
    assert.equal(await third.claim('jti-3', END, 'session-b'), 'replay')
  })

  test(`${name}: a revoked id is nobody's, also after a restart and if it was never claimed; others stay`, async (t) => {
    const bench = await make(t)
    await bench.guard.claim('jti-1', END, 'session-a')
    await bench.guard.claim('jti-2', END, 'session-a')
    await bench.guard.revoke('jti-1', END)
    await bench.guard.revoke('jti-3', END)
    for (const guard of [bench.guard, await bench.restart(), await bench.restart()]) {
      assert.equal(await guard.claim('jti-1', END, 'session-a'), 'revoked')
      assert.equal(await guard.claim('jti-1', END, 'session-b'), 'revoked')
      assert.equal(await guard.claim('jti-3', END, 'session-a'), 'revoked')
      assert.equal(await guard.claim('jti-2', END, 'session-a'), 'same')
    }
    await assert.rejects(bench.guard.claim('jti-4', END, '!'), TypeError)
  })

  test(`${name}: a revocation that the store cannot take down rejects, and holds in this process`, async (t) => {
    const bench = await make(t)
    await bench.guard.claim('jti', END, 'session-a')
    bench.breakStore()
    await assert.rejects(bench.guard.revoke('jti', END))
    bench.mendStore()
    assert.equal(await bench.guard.claim('jti', END, 'session-a'), 'revoked')
    await bench.guard.revoke('jti', END)
    assert.equal(await (await bench.restart()).claim('jti', END, 'session-a'), 'revoked')
  })

  test(`${name}: a claim is held to its end and forgotten later`, async (t) => {
    const bench = await make(t)
    await bench.guard.claim('jti', END, 'session-a')
    bench.setNowS(END - 1)
    assert.equal(await bench.guard.claim('jti', END, 'session-b'), 'replay')
    bench.setNowS(END + bench.forgottenAfterS)
    assert.equal(await bench.guard.claim('jti', END + 10_000, 'session-b'), 'first')
  })

  test(`${name}: a store that fails rejects the claim, and takes it once it is mended`, async (t) => {
    const bench = await make(t)
    await bench.guard.claim('jti-before', END, 'session-a')
    bench.breakStore()
    const claims = await Promise.allSettled([
      bench.guard.claim('jti', END, 'session-a'),
      bench.guard.claim('jti', END, 'session-b'),
    ])
    assert.deepEqual(
      claims.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    bench.mendStore()
    assert.equal(await bench.guard.claim('jti', END, 'session-a'), 'first')
    const again = await bench.restart()
    assert.equal(await again.claim('jti', END, 'session-b'), 'replay')
    assert.equal(await again.claim('jti-before', END, 'session-b'), 'replay')
  })
}

function tally(claims: readonly Claim[]): Record<Claim, number> {
  const counts = { first: 0, same: 0, replay: 0, revoked: 0 }
  for (const claim of claims) counts[claim]++
  return counts
}
