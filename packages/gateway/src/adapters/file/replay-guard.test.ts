import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { BENCH_START_S, replayGuardContract } from '../../ports/replay-guard.contract.ts'
import { verifies } from '../../testing/verifies.ts'
import { openReplayGuard } from './replay-guard.ts'
import type { ReplayGuardOptions, RunningReplayGuard } from './replay-guard.ts'
import type { JournalDisk } from './replay-journal.ts'
import { journalDisk, journalLine, readJournal } from './replay-journal.ts'

const END = BENCH_START_S + 600

/** The real disk, until it is told to fail: then a write is torn in the middle and not synced. */
class FaultyDisk implements JournalDisk {
  broken = false
  appends = 0
  rewrites = 0

  read(path: string): Promise<string> {
    return journalDisk.read(path)
  }

  async replace(path: string, chunks: Iterable<string>): ReturnType<JournalDisk['replace']> {
    if (this.broken) throw new Error('EIO: i/o error, fsync')
    this.rewrites++
    const file = await journalDisk.replace(path, chunks)
    return {
      append: async (lines) => {
        this.appends++
        if (!this.broken) return file.append(lines)
        await file.append(lines.slice(0, -7))
        throw new Error('ENOSPC: no space left on device, write')
      },
      close: () => file.close(),
    }
  }
}

async function place(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'callgate-replay-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 'state', 'replay.journal')
}

async function open(
  t: TestContext,
  path: string,
  options: ReplayGuardOptions = {},
): Promise<RunningReplayGuard> {
  const guard = await openReplayGuard(path, { now: () => BENCH_START_S * 1_000, ...options })
  t.after(() => guard.close())
  return guard
}

replayGuardContract('file replay guard', async (t) => {
  const path = await place(t)
  const disk = new FaultyDisk()
  let nowS = BENCH_START_S
  const options = { now: () => nowS * 1_000, disk, graceS: 60 }
  return {
    guard: await open(t, path, options),
    restart: () => open(t, path, options),
    setNowS: (to) => (nowS = to),
    breakStore: () => (disk.broken = true),
    mendStore: () => (disk.broken = false),
    forgottenAfterS: 60 + 32,
  }
})

test('claims at once share few writes', async (t) => {
  const disk = new FaultyDisk()
  const guard = await open(t, await place(t), { disk })
  await Promise.all(Array.from({ length: 500 }, (_, i) => guard.claim(`jti-${i}`, END, 'b')))
  assert.ok(disk.appends <= 3, `${disk.appends} writes`)
})

test('first is answered only after the line is in the file', async (t) => {
  verifies('play2.jti-replay')
  const path = await place(t)
  const guard = await open(t, path)
  await guard.claim('jti-1', END, 'session-a')
  assert.equal(await readFile(path, 'utf8'), journalLine({ jti: 'jti-1', exp: END, binding: 'session-a' }))
  assert.equal((await stat(path)).mode & 0o777, 0o600)
})

test('a torn tail and damaged lines are left out, whole lines are kept, and the journal is whole again after opening', async (t) => {
  const path = await place(t)
  const first = await open(t, path)
  await first.claim('jti-1', END, 'a')
  await first.claim('jti-2', END, 'a')
  const torn = journalLine({ jti: 'jti-3', exp: END, binding: 'a' })
  for (let cut = 1; cut < torn.length; cut++)
    assert.deepEqual([...readJournal(torn.slice(0, cut))].length, cut === torn.length - 1 ? 1 : 0)
  await appendFile(path, `\u0000\u0000\u0000\n${torn.replace('jti-3', 'jti-4')}${torn.slice(0, -9)}`)
  const again = await open(t, path)
  assert.equal(again.size, 2)
  assert.equal(await again.claim('jti-1', END, 'b'), 'replay')
  assert.equal(await again.claim('jti-3', END, 'b'), 'first')
  const whole = await readFile(path, 'utf8')
  assert.deepEqual(
    [...readJournal(whole)].map(({ jti }) => jti),
    ['jti-1', 'jti-2', 'jti-3'],
  )
  assert.equal(whole.split('\n').length, 4)
})

test('the journal is rewritten when forgotten claims outgrow it, and a restart drops them', async (t) => {
  const path = await place(t)
  const disk = new FaultyDisk()
  let nowS = BENCH_START_S
  const guard = await open(t, path, { disk, maxDead: 10, graceS: 0, now: () => nowS * 1_000 })
  for (let round = 0; round < 5; round++) {
    await Promise.all(Array.from({ length: 20 }, (_, i) => guard.claim(`jti-${round}-${i}`, nowS + 10, 'b')))
    nowS += 100
  }
  assert.ok(disk.rewrites >= 3, `${disk.rewrites} rewrites`)
  assert.ok((await readFile(path, 'utf8')).split('\n').length <= 62)
  assert.equal(await guard.claim('jti-0-0', nowS + 10, 'c'), 'first')
  await writeFile(path, journalLine({ jti: 'old', exp: nowS - 1, binding: 'b' }))
  assert.equal((await open(t, path, { graceS: 0, now: () => nowS * 1_000 })).size, 0)
})

test('a clock that jumps back 10 minutes does not make a used token new', async (t) => {
  const path = await place(t)
  let nowS = BENCH_START_S
  const guard = await open(t, path, { now: () => nowS * 1_000 })
  await guard.claim('jti', BENCH_START_S + 10, 'a')
  nowS += 600
  await guard.claim('other', nowS + 10, 'a')
  nowS -= 600
  assert.equal(await guard.claim('jti', BENCH_START_S + 10, 'b'), 'replay')
})

test('a full guard refuses a new claim, still knows the old ones, and takes new ones once some ended', async (t) => {
  const path = await place(t)
  let nowS = BENCH_START_S
  const guard = await open(t, path, { maxEntries: 3, now: () => nowS * 1_000 })
  for (let i = 0; i < 3; i++) await guard.claim(`jti-${i}`, BENCH_START_S + 100, 'a')
  await assert.rejects(guard.claim('jti-3', END, 'a'), /holds 3 claims and no more/)
  assert.equal(await guard.claim('jti-0', END, 'b'), 'replay')
  nowS += 132
  assert.equal(await guard.claim('jti-3', END, 'a'), 'first')
})

test('a full guard revokes what it holds, once or a thousand times, and what it does not hold it refuses to', async (t) => {
  const path = await place(t)
  const disk = new FaultyDisk()
  const options = { disk, maxEntries: 3, maxDead: 10 }
  const guard = await open(t, path, options)
  for (let i = 0; i < 3; i++) await guard.claim(`jti-${i}`, END, 'a')
  await assert.rejects(guard.revoke('jti-3', END), /holds 3 claims and no more/)
  for (let round = 0; round < 20; round++)
    await Promise.all(Array.from({ length: 50 }, () => guard.revoke('jti-0', END)))
  assert.equal(guard.size, 3)
  assert.ok((await readFile(path, 'utf8')).split('\n').length <= 3 + 10 + 2 * 50, 'the journal is bounded')
  const again = await open(t, path, options)
  assert.deepEqual(
    [await again.claim('jti-0', END, 'a'), await again.claim('jti-1', END, 'a')],
    ['revoked', 'same'],
  )
})

test('ids that would break a line of the journal, broken ends and a closed guard are refused', async (t) => {
  const guard = await open(t, await place(t))
  for (const [jti, exp, binding] of [
    ['a b', END, 'c'],
    ['a', END, 'b\nc'],
    ['', END, 'c'],
    ['a', 1.5, 'c'],
    ['a', Number.NaN, 'c'],
  ] as const) {
    await assert.rejects(guard.claim(jti, exp, binding), TypeError)
  }
  await guard.claim('a', END, 'c')
  await guard.close()
  await assert.rejects(guard.claim('b', END, 'c'), /closed/)
})
