import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { UpstreamFailed, type Upstream } from '../../ports/upstream.ts'
import { verifies } from '../../testing/verifies.ts'
import { createBackoff } from './backoff.ts'
import { createUpstream } from './index.ts'
import { callTool, hostile, lives, textOf, until } from './testing/ask.ts'

async function pidOf(upstream: Upstream, server: string, session: string): Promise<number> {
  return Number(textOf(await callTool(upstream, server, 'act', { session })).split(' ')[0])
}

function unavailable(text: RegExp): (cause: unknown) => boolean {
  return (cause) =>
    cause instanceof UpstreamFailed && cause.fault === 'unavailable' && text.test(cause.message)
}

test('at the cap the least recently used idle child ends first, and the new one starts behind it', async (t) => {
  const upstream = createUpstream({
    servers: { well: hostile('well') },
    limits: { maxChildren: 2, killMs: 200 },
  })
  t.after(() => upstream.close())
  const a = await pidOf(upstream, 'well', 'a')
  const b = await pidOf(upstream, 'well', 'b')
  assert.equal(await pidOf(upstream, 'well', 'a'), a)
  await pidOf(upstream, 'well', 'c')
  assert.equal(lives(b), false)
  assert.equal(lives(a), true)
})

test('a hanging server is busy when its half of the places is in use, and the other one goes on', async (t) => {
  const servers = { well: hostile('well'), hangs: hostile('never-answers') }
  const upstream = createUpstream({ servers, limits: { maxChildren: 4, killMs: 200 } })
  t.after(() => upstream.close())
  const stop = new AbortController()
  const hung = ['a', 'b'].map((session) =>
    callTool(upstream, 'hangs', 'act', { session, signal: stop.signal }),
  )
  await assert.rejects(
    callTool(upstream, 'hangs', 'act', { session: 'c' }),
    (cause) =>
      cause instanceof UpstreamFailed &&
      cause.fault === 'busy' &&
      /all 2 stdio connections/.test(cause.message),
  )
  const pids = new Set<number>()
  for (const session of ['a', 'b', 'c']) pids.add(await pidOf(upstream, 'well', session))
  assert.equal(pids.size, 3)
  stop.abort()
  await Promise.allSettled(hung)
  const signal = AbortSignal.timeout(200)
  await assert.rejects(
    callTool(upstream, 'hangs', 'act', { session: 'c', signal }),
    (cause) => cause instanceof UpstreamFailed && cause.fault === 'timeout',
  )
})

test('a child without a call for idleMs ends; the next call starts another', async (t) => {
  const upstream = createUpstream({ servers: { well: hostile('well') }, limits: { idleMs: 60, killMs: 200 } })
  t.after(() => upstream.close())
  const first = await pidOf(upstream, 'well', 'a')
  await until('the idle child ended', () => !lives(first))
  assert.notEqual(await pidOf(upstream, 'well', 'a'), first)
})

test('a server that never starts is tried with growing waits, and its calls fail at once meanwhile', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-slots-'))
  const upstream = createUpstream({
    servers: { odd: hostile('dies-at-start'), well: hostile('well') },
    limits: { backoffMinMs: 5_000 },
  })
  t.after(async () => {
    await upstream.close()
    rmSync(folder, { recursive: true })
  })
  await assert.rejects(callTool(upstream, 'odd', 'act'), unavailable(/exited with code 3/))
  await assert.rejects(
    callTool(upstream, 'odd', 'act', { session: 'b' }),
    unavailable(/keeps failing; next try in \d s/),
  )
  assert.ok((await pidOf(upstream, 'well', 'a')) > 0)
})

test('calls of one session that meet no child start exactly one', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-slots-'))
  const file = join(folder, 'starts')
  const upstream = createUpstream({ servers: { counts: hostile('counts-starts', file) } })
  t.after(async () => {
    await upstream.close()
    rmSync(folder, { recursive: true })
  })
  await Promise.all(Array.from({ length: 20 }, () => callTool(upstream, 'counts', 'act')))
  assert.equal(readFileSync(file, 'utf8').trim().split('\n').length, 1)
})

test('a dead and a hanging server leave the calls of another as they are', async (t) => {
  verifies('spine.one-dead-server')
  const servers = { well: hostile('well'), hangs: hostile('never-greets'), dead: hostile('dies-at-start') }
  const upstream = createUpstream({ servers, limits: { connectMs: 400, killMs: 200 } })
  t.after(() => upstream.close())
  await callTool(upstream, 'well', 'act')
  const stuck = Promise.allSettled([
    ...Array.from({ length: 10 }, () => callTool(upstream, 'hangs', 'act')),
    ...Array.from({ length: 4 }, (_, i) => callTool(upstream, 'dead', 'act', { session: `s${i}` })),
  ])
  const answers = await Promise.all(Array.from({ length: 50 }, () => callTool(upstream, 'well', 'act')))
  assert.equal(answers.length, 50)
  const outcomes = await stuck
  assert.ok(
    outcomes.every((outcome) => outcome.status === 'rejected' && outcome.reason instanceof UpstreamFailed),
  )
  assert.equal(outcomes[0]?.status === 'rejected' ? outcomes[0].reason.fault : '', 'timeout')
})

test('a wait doubles from its least to its most, keeps half of its step as jitter, and a recovery ends it', () => {
  const backoff = createBackoff(250, 30_000, () => 1)
  const waits: number[] = []
  for (let i = 0; i < 9; i++) {
    backoff.failed(1_000)
    waits.push(backoff.waitMs(1_000))
  }
  assert.deepEqual(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  assert.equal(backoff.waitMs(31_000), 0)
  backoff.recovered()
  assert.equal(backoff.waitMs(1_000), 0)
  const low = createBackoff(250, 30_000, () => 0)
  low.failed(0)
  assert.equal(low.waitMs(0), 125)
})
