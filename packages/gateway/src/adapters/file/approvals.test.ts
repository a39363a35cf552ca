import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type Approval, createApprovals } from './approvals.ts'

const root = mkdtempSync(join(tmpdir(), 'callgate-approvals-'))
after(() => rmSync(root, { recursive: true }))
const given: Approval = {
  server: 'crm',
  tool: 'get',
  digest: 'a'.repeat(64),
  by: 'ada',
  at: '2026-11-22T00:00:00.000Z',
}

test('an approval is taken once, as it was given', async () => {
  const approvals = createApprovals(join(root, 'once'))
  const seen: Approval[] = []
  const note = async (one: Approval) => void seen.push(one)
  await approvals.take(note)
  await approvals.put(given)
  await approvals.take(note)
  await approvals.take(note)
  assert.deepEqual(seen, [given])
})

test('an approval that could not be applied waits for the next look', async () => {
  const approvals = createApprovals(join(root, 'waits'))
  await approvals.put(given)
  const full = () => Promise.reject(new Error('ENOSPC'))
  await assert.rejects(approvals.take(full), /ENOSPC/)
  let applied = 0
  await approvals.take(async () => void applied++)
  assert.equal(applied, 1)
})

test('a file that is no approval is removed and named, and hides no other for longer than one look', async () => {
  const folder = join(root, 'odd')
  const approvals = createApprovals(folder)
  await approvals.put(given)
  for (const [name, text] of [
    ['0.json', '{'],
    ['1.json', '{"server":"crm"}'],
    ['2.json', ''],
  ] as const) {
    writeFileSync(join(folder, name), text)
    await assert.rejects(
      approvals.take(() => Promise.resolve()),
      /was no approval and is removed/,
    )
    assert.equal(existsSync(join(folder, name)), false)
  }
  await approvals.take(() => Promise.resolve())
  assert.deepEqual(readdirSync(folder), [])
})
