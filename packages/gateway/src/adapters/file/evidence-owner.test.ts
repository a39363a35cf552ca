import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { EvidenceBusy } from './evidence-errors.ts'
import { ownDirectory } from './evidence-owner.ts'
import { verifies } from '../../testing/verifies.ts'

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'callgate-owner-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

function ignore(): void {
  // No test here loses a lease without asking.
}

/** The lease as a process in another container writes it. */
function foreign(beat: number): string {
  return JSON.stringify({ host: 'other-host', pid: 7, scope: 'another kernel', token: 'theirs', beat })
}

test('a lease that another host goes on beating is respected by name; one that stands still is taken', async (t) => {
  verifies('evidence.one-writer')
  const folder = await temporary(t)
  let beat = 1
  await writeFile(join(folder, 'lease'), foreign(beat))
  // In place, as a gate beats it: a file that is cut first reads as torn, and a torn lease counts as nobody's.
  const again = () => void writeFile(join(folder, 'lease'), foreign(++beat), { flag: 'r+' })
  const beating = setInterval(again, 5)
  t.after(() => clearInterval(beating))
  await assert.rejects(ownDirectory(folder, { onLost: ignore, heartbeatMs: 20 }), (error) => {
    assert.ok(error instanceof EvidenceBusy)
    assert.match(
      error.message,
      /pid 7 on host `other-host`; stop it, or give this gate another state directory/,
    )
    return true
  })
  clearInterval(beating)
  await sleep(20)
  const owner = await ownDirectory(folder, { onLost: ignore, heartbeatMs: 20 })
  await owner.release()
  await assert.rejects(readFile(join(folder, 'lease')), { code: 'ENOENT' })
})

test('a lease that a killed process of this machine left behind is taken at once', async (t) => {
  const folder = await temporary(t)
  const first = await ownDirectory(folder, { onLost: ignore, heartbeatMs: 60_000 })
  const left = await readFile(join(folder, 'lease'))
  await first.release()
  await writeFile(join(folder, 'lease'), left)
  // With this heartbeat, waiting for it to stand still would take minutes.
  const second = await ownDirectory(folder, { onLost: ignore, heartbeatMs: 60_000 })
  await second.release()
})

test('an owner whose lease is taken is told, and leaves the new one alone', async (t) => {
  const folder = await temporary(t)
  const lost = Promise.withResolvers<void>()
  const owner = await ownDirectory(folder, { onLost: lost.resolve, heartbeatMs: 10 })
  // The owner may be about to beat; the thief writes until it is seen.
  const stealing = setInterval(() => void writeFile(join(folder, 'lease'), foreign(1)), 3)
  const waiting = setTimeout(() => lost.reject(new Error('not told in 2 s')), 2000)
  await lost.promise
  clearTimeout(waiting)
  clearInterval(stealing)
  await owner.release()
  await sleep(10)
  assert.match(await readFile(join(folder, 'lease'), 'utf8'), /theirs/)
})
