import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { ROOT, TestGate } from './harness/gate.ts'

/** An installation of its own that was never started, in a new folder. */
function installation(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-start-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const gateway = join(folder, 'packages', 'gateway')
  for (const part of ['src', 'package.json'])
    cpSync(join(ROOT, 'packages', 'gateway', part), join(gateway, part), { recursive: true })
  for (const modules of ['node_modules', join('packages', 'gateway', 'node_modules')])
    if (existsSync(join(ROOT, modules))) symlinkSync(join(ROOT, modules), join(folder, modules))
  return gateway
}

/** Names of what an installation has kept of its compiled code. */
const kept = (gateway: string): string[] => {
  const cache = join(gateway, '.cache')
  return existsSync(cache) ? readdirSync(cache, { recursive: true, encoding: 'utf8' }) : []
}

async function answered(host: ChildProcess): Promise<void> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'h', version: '1' } }
  host.stdin?.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params })}\n`)
  if (host.stdout !== null) await once(host.stdout, 'data')
}

test('what a first start compiled is kept although its host ends it by a signal, so that the second is faster', async (t) => {
  verifies('cli.connect')
  const fixture = new Fixture([textTool('echo')])
  t.after(() => rmSync(fixture.folder, { recursive: true, force: true }))
  const gate = await TestGate.start({ servers: fixture.yaml('fix') }, t)
  const gateway = installation(t)
  const main = join(gateway, 'src', 'main.ts')
  const host = spawn(process.execPath, [main, 'connect', '--state', gate.state], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await answered(host)
  for (let waited = 0; waited < 3_000 && kept(gateway).length <= 20; waited += 50) await sleep(50)
  host.kill('SIGKILL')
  await once(host, 'close')
  assert.ok(kept(gateway).length > 20, `${kept(gateway).length} files`)
})
