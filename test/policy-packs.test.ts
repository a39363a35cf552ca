import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { serverProgram, TestGate } from './harness/gate.ts'

test('a gate with pack:read-only lets an agent read, and holds up what the operator allows beside it', async (t) => {
  verifies('play3.packs')
  const folder = mkdtempSync(join(tmpdir(), 'callgate-pack-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const files = join(folder, 'files')
  mkdirSync(files)
  writeFileSync(join(files, 'a.txt'), 'the text')
  const gate = await TestGate.start(
    {
      folder: join(folder, 'gate'),
      servers: [
        `fs:`,
        `  command: [node, ${serverProgram('filesystem')}, ${files}]`,
        `  approve: first-use`,
        `  tools: { "read_*": { class: read } }`,
      ].join('\n'),
      packs: ['pack:read-only'],
      policy: '- rule: writing\n  when: { tool: fs.write_file }\n  decision: allow\n',
    },
    t,
  )
  const token = (): { token: string } => ({ token: gate.mint({ clientId: 'agent' }) })
  const decision = async (): Promise<unknown> => {
    const found = (await gate.records()).findLast(({ record }) => record.kind === 'outcome')
    return found?.record.kind === 'outcome' ? found.record.decision?.rules : undefined
  }
  const read = await gate.call('fs__read_text_file', { path: join(files, 'a.txt') }, token())
  assert.deepEqual([read.isError, read.text], [false, 'the text'])
  const write = await gate.call('fs__write_file', { path: join(files, 'b.txt'), content: 'x' }, token())
  assert.equal(write.isError, true)
  assert.equal(existsSync(join(files, 'b.txt')), false)
  assert.deepEqual(await decision(), ['read-only/changes-need-a-ticket'])
  const other = await gate.call('fs__create_directory', { path: join(files, 'd') }, token())
  assert.equal(other.isError, true)
  assert.deepEqual(await decision(), [])
})
