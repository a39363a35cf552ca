import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { verifies } from '../../testing/verifies.ts'
import { type JournalDisk, journalDisk } from './replay-journal.ts'
import { openSessionLabels } from './session-labels.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-labels-'))
after(() => rmSync(folder, { recursive: true }))

const NOW = 1_800_000_000_000
const HOUR = 3_600_000
const now = () => NOW
let files = 0
const path = () => join(folder, `labels-${files++}`)

test('a label is on the disk when it was added, lasts at least 8 hours from the last time, and ends', async () => {
  verifies('play3.injection-signal')
  const file = path()
  const labels = await openSessionLabels(file, { now })
  await labels.add('k', 'injection', NOW)
  await labels.add('k', 'private', NOW)
  assert.deepEqual([labels.of('k', NOW), labels.of('other', NOW)], [['injection', 'private'], []])
  // Nobody closes it: a crash.
  const again = await openSessionLabels(file, { now: () => NOW + 8 * HOUR })
  assert.deepEqual(again.of('k', NOW + 8 * HOUR), ['injection', 'private'])
  await again.add('k', 'injection', NOW + 8 * HOUR)
  await again.close()
  const late = await openSessionLabels(file, { now: () => NOW + 16 * HOUR })
  assert.deepEqual(late.of('k', NOW + 16 * HOUR), ['injection'])
  assert.deepEqual(late.of('k', NOW + 18 * HOUR), [])
  await late.close()
  assert.equal(statSync(file).mode & 0o777, 0o600)
})

test('what is known is not written again, call by call', async () => {
  const file = path()
  const labels = await openSessionLabels(file, { now })
  for (let i = 0; i < 50; i++) await labels.add('k', 'injection', NOW + i * 1_000)
  assert.equal(readFileSync(file, 'utf8').trim().split('\n').length, 1)
  await labels.close()
})

test('a torn line loses itself and no other, before and behind a crash', async () => {
  const file = path()
  const labels = await openSessionLabels(file, { now })
  await labels.add('a', 'injection', NOW)
  await labels.close()
  const whole = readFileSync(file, 'utf8')
  writeFileSync(file, `${whole}${whole.slice(0, 20)}`)
  const again = await openSessionLabels(file, { now })
  await again.add('b', 'injection', NOW)
  await again.close()
  const last = await openSessionLabels(file, { now })
  assert.deepEqual([last.of('a', NOW), last.of('b', NOW)], [['injection'], ['injection']])
  await last.close()
})

test('a disk that takes nothing refuses the label, which holds in memory and is tried again; half a line harms nobody', async () => {
  const file = path()
  let full = false
  const disk: JournalDisk = {
    ...journalDisk,
    async replace(where, chunks) {
      const journal = await journalDisk.replace(where, chunks)
      return {
        ...journal,
        async append(lines) {
          if (!full) return journal.append(lines)
          await journal.append(lines.slice(0, 12))
          throw new Error('disk full')
        },
      }
    },
  }
  const labels = await openSessionLabels(file, { now, disk })
  full = true
  await assert.rejects(labels.add('k', 'injection', NOW), /disk full/)
  assert.deepEqual(labels.of('k', NOW), ['injection'])
  await assert.rejects(labels.add('k', 'injection', NOW), /disk full/)
  full = false
  await labels.add('k', 'injection', NOW)
  await labels.add('other', 'injection', NOW)
  await labels.close()
  const again = await openSessionLabels(file, { now })
  assert.deepEqual([again.of('k', NOW), again.of('other', NOW)], [['injection'], ['injection']])
  await again.close()
})

test('more labels than there is room for are refused until some have ended; the journal does not grow without end', async () => {
  const file = path()
  const labels = await openSessionLabels(file, { now, maxLabels: 2 })
  await labels.add('a', 'x', NOW)
  await labels.add('b', 'x', NOW)
  await assert.rejects(labels.add('c', 'x', NOW), /2 labels of sessions are held and no more/)
  await labels.add('c', 'x', NOW + 10 * HOUR)
  assert.deepEqual(labels.of('a', NOW + 10 * HOUR), [])
  await labels.close()

  const renewed = path()
  const long = await openSessionLabels(renewed, { now, maxDead: 5 })
  for (let i = 0; i < 40; i++) await long.add('k', 'x', NOW + i * 2 * HOUR)
  assert.ok(readFileSync(renewed, 'utf8').trim().split('\n').length <= 9)
  await long.close()
  const again = await openSessionLabels(renewed, { now: () => NOW + 80 * HOUR })
  assert.deepEqual(again.of('k', NOW + 80 * HOUR), ['x'])
  await again.close()
})
