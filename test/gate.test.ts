import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { TestGate, serverProgram } from './harness/gate.ts'

const files = mkdtempSync(join(tmpdir(), 'callgate-files-'))
let gate: TestGate

before(async () => {
  mkdirSync(files, { recursive: true })
  writeFileSync(join(files, 'hello.txt'), 'hello from the disk')
  gate = await TestGate.start({
    servers: `fs:\n  command: [node, ${serverProgram('filesystem')}, ${files}]\n  approve: first-use\n  tools: { read_*: { class: read } }`,
    policy: '- rule: allow-reading\n  when: { tool: "fs.read_*" }\n  decision: allow\n',
  })
})
after(() => gate.close())

test('a real file is read through the gate, and the record of the call verifies', async () => {
  const { text, isError } = await gate.call('fs__read_text_file', { path: join(files, 'hello.txt') })
  assert.equal(isError, false)
  assert.equal(text, 'hello from the disk')
  const { record } = (await gate.records()).at(-1) ?? assert.fail('no record')
  assert.equal(record.kind, 'outcome')
  assert.ok(
    record.kind === 'outcome' && record.outcome === 'answered' && record.call.tool === 'read_text_file',
  )
  const verified = await gate.verify()
  assert.deepEqual({ ok: verified.ok, problems: verified.problems }, { ok: true, problems: [] })
})
