import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { verifies } from '../../testing/verifies.ts'
import { createBundleStore } from './bundle-store.ts'

test('a bundle that is there and cannot be read is an error, never none: a gate would forget which version it had', async (t) => {
  verifies('play3.policy-bundle')
  const folder = mkdtempSync(join(tmpdir(), 'callgate-bundles-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const store = createBundleStore(folder)
  assert.equal(await store.load(), undefined)
  await store.keep({ envelope: Buffer.from('one'), confirmedAt: 1_000 })
  assert.deepEqual(await store.load(), { envelope: Buffer.from('one'), confirmedAt: 1_000 })
  // When it was last offered is forgotten to the strict side: long ago.
  rmSync(join(folder, 'confirmed'))
  assert.deepEqual(await store.load(), { envelope: Buffer.from('one'), confirmedAt: 0 })
  rmSync(join(folder, 'bundle.json'))
  mkdirSync(join(folder, 'bundle.json'))
  await assert.rejects(store.load(), /bundle\.json` cannot be read \(EISDIR\); let the gate read it/)
})
