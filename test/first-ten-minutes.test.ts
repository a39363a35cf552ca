import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { ROOT } from './harness/gate.ts'

test('the commands of examples/first-ten-minutes lead from a clone over a denied call to a first policy, as its README has them', async () => {
  verifies('cli.first-ten-minutes')
  const story = join(ROOT, 'examples', 'first-ten-minutes', 'run.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [story], { timeout: 120_000 })
  assert.match(stdout, /\n8 commands, and every one of them did what the README says\n$/)
})
