import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { ROOT, TestGate } from './harness/gate.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { cline } from './hosts/cline.ts'
import { installed, settle } from './hosts/settle.ts'

const BIN = join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs')

test('Cline that gave up on a slow first start gets its tools from the second, which it talks to in frames', async (t) => {
  verifies('cli.connect')
  if (!installed(t, cline)) return
  const fixture = new Fixture([textTool('echo')])
  const folder = mkdtempSync(join(tmpdir(), 'callgate-cline-'))
  t.after(() => [fixture.folder, folder].forEach((each) => rmSync(each, { recursive: true, force: true })))
  const gate = await TestGate.start({ servers: fixture.yaml('fix') }, t)
  const { home, llm } = await settle(t, folder, cline, ({ results }) =>
    results.length === 0
      ? { tool: cline.toolName('fix__echo'), input: { text: 'hello' } }
      : { text: 'that is all' },
  )
  // The first start answers nothing, as on a machine that is too busy.
  const started = join(folder, 'started')
  const slow = `[ -e '${started}' ] || { : > '${started}'; exec sleep 30; }; exec "$@"`
  const connect = [process.execPath, BIN, 'connect', '--state', gate.state]
  await cline.enter(home, { transport: 'stdio', command: '/bin/sh', args: ['-c', slow, 'sh', ...connect] })
  const turn = await cline.turn(home, 'call the tool once')
  assert.equal(turn.code, 0, turn.stderr)
  assert.ok(existsSync(started), 'the first start was the slow one')
  const { tools, results } = llm.asked.at(-1) ?? assert.fail('the model was never asked')
  assert.ok(tools.includes(cline.toolName('fix__echo')), `${tools.join()} ${turn.stderr}`)
  assert.match(results[0]?.text ?? '', /hello/)
})
