import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { signsOf, watchFiles } from './watch-files.ts'

function aFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-watch-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'policy.yaml'), 'one')
  return join(folder, 'policy.yaml')
}

test('a change between the reading of a file and the first look is seen', async (t) => {
  const file = aFile(t)
  const signs = await signsOf([file])
  writeFileSync(file, 'two, written while the gate started')
  let end = (): void => undefined
  await new Promise<void>((resolve) => (end = watchFiles([file], signs, 5, async () => resolve())))
  end()
})

test('a file that stays as it is calls nobody, and one that goes away calls once', async (t) => {
  const file = aFile(t)
  const { promise, resolve } = Promise.withResolvers<void>()
  let calls = 0
  const end = watchFiles([file], await signsOf([file]), 5, async () => {
    calls++
    resolve()
  })
  await sleep(50)
  assert.equal(calls, 0)
  rmSync(file)
  await promise
  await sleep(50)
  end()
  assert.equal(calls, 1)
})
