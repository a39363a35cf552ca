import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, before, test } from 'node:test'
import { rotateSealKeys } from '../packages/gateway/src/adapters/file/seal-keys.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { ROOT, TestGate } from './harness/gate.ts'
import { LineHost, textOf } from './harness/line-host.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-connect-'))
const cancels = join(folder, 'cancels.log')
const fixture = new Fixture([textTool('one')])
let gate: TestGate

before(async () => {
  gate = await TestGate.start({
    servers: [
      `relay:`,
      `  command: [node, ${join(ROOT, 'test', 'harness', 'relay-server.ts')}, ${cancels}]`,
      `  approve: first-use`,
      `  clientCapabilities: [elicitation.form]`,
      fixture.yaml('listing'),
    ].join('\n'),
  })
})
after(async () => {
  await gate.close()
  rmSync(folder, { recursive: true, force: true })
  rmSync(fixture.folder, { recursive: true, force: true })
})

const MODERN = {
  _meta: {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  },
}
const call = (name: string, more: object = {}): object => ({ name: `relay__${name}`, arguments: {}, ...more })

function connect(t: TestContext): LineHost {
  return new LineHost(t, ['connect', '--state', gate.state])
}

test('a question of a server reaches the host as a line, and its answering line reaches the server', async (t) => {
  verifies('cli.connect')
  verifies('bridge.answers')
  const host = connect(t).read()
  await host.initialize({ elicitation: {} })
  host.request(1, 'tools/call', call('ask'))
  const question = await host.find(({ method }) => method === 'elicitation/create')
  assert.equal(question.params?.['message'], 'Who are you?')
  host.say({ jsonrpc: '2.0', id: question.id, result: { action: 'accept', content: { name: 'Ada' } } })
  assert.equal(textOf(await host.answer(1)), 'you are Ada')
  assert.equal(await host.close(), 0)
})

test('every progress of a call is written before its answer, also when the server sends all of it at once', async (t) => {
  verifies('cli.connect')
  const host = connect(t).read()
  await host.initialize()
  for (let id = 1; id <= 40; id++)
    host.request(id, 'tools/call', call('count', { _meta: { progressToken: id } }))
  for (let id = 1; id <= 40; id++) assert.equal(textOf(await host.answer(id)), 'counted')
  for (let id = 1; id <= 40; id++) {
    const ofCall = host.lines
      .flat()
      .filter((line) => line.id === id || line.params?.['progressToken'] === id)
      .map((line) => line.params?.['progress'] ?? 'answer')
    assert.deepEqual(ofCall, [1, 2, 3, 'answer'])
  }
})

test('a legacy cancel right behind its call is not lost, and one in its middle reaches the server', async (t) => {
  verifies('call.cancel')
  const host = connect(t).read()
  await host.initialize()
  host.request(1, 'tools/call', call('count'))
  await host.answer(1)
  host.request(2, 'tools/call', call('never'))
  host.say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 2 } })
  const cut = await host.answer(2)
  assert.match(JSON.stringify(cut), /CG_CALL_CANCELLED/)
  host.request(3, 'tools/call', call('never'))
  await new Promise((resolve) => setTimeout(resolve, 300))
  host.say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 3 } })
  await host.answer(3)
  for (let i = 0; i < 400 && !existsSync(cancels); i++) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.match(readFileSync(cancels, 'utf8'), /^cancelled never$/m)
})

test('a session whose key was revoked is begun anew, and the host notices nothing', async (t) => {
  verifies('cli.connect')
  const host = connect(t).read()
  await host.initialize()
  host.request(1, 'tools/call', call('count'))
  await host.answer(1)
  await rotateSealKeys(join(gate.state, 'keys'), Date.now(), true)
  // The gate takes the new key within its own time; a session that still opens is as good.
  for (let id = 2; !(await revoked()); id++) {
    host.request(id, 'ping')
    await host.answer(id)
  }
  host.request('last', 'tools/call', call('count'))
  assert.equal(textOf(await host.answer('last')), 'counted')
  assert.deepEqual(
    host.lines.flat().filter(({ error, id }) => error !== undefined || id === 'init').length,
    1,
    'one initialize was answered, nothing failed',
  )
})

test('a change of the tools reaches the host on its standing stream, before it has called anything', async (t) => {
  verifies('cli.connect')
  const host = connect(t).read()
  await host.initialize()
  host.request(1, 'ping')
  await host.answer(1)
  const told = (): boolean =>
    host.lines.flat().some(({ method }) => method === 'notifications/tools/list_changed')
  // The stream is open a moment after the handshake; a change before that is not heard on it.
  for (let more = 0; more < 60 && !told(); more++) {
    fixture.list([textTool('one'), textTool(`two${more}`)])
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  assert.ok(told())
  assert.equal(await host.close(), 0)
})

test('a modern subscription is a long answer that a cancel ends', async (t) => {
  verifies('cli.connect')
  const host = connect(t).read()
  const notifications = { toolsListChanged: true }
  host.request('sub', 'subscriptions/listen', { ...MODERN, notifications })
  const first = await host.find(({ method }) => method === 'notifications/subscriptions/acknowledged')
  assert.deepEqual(first.params?.['notifications'], notifications)
  host.say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { ...MODERN, requestId: 'sub' } })
  host.request(2, 'server/discover', MODERN)
  await host.answer(2)
  fixture.list([textTool('one'), textTool('three')])
  assert.equal(await host.close(), 0, 'nothing is left that would hold it')
  assert.equal(host.lines.length, 2)
})

test('a batch of 2025-03-26 comes back as one line', async (t) => {
  verifies('cli.connect')
  const host = connect(t).read()
  await host.initialize({}, '2025-03-26')
  const ping = (id: number): object => ({ jsonrpc: '2.0', id, method: 'ping' })
  host.say([ping(1), ping(2)])
  await host.answer(2)
  assert.deepEqual(host.lines.at(-1), [
    { jsonrpc: '2.0', id: 1, result: {} },
    { jsonrpc: '2.0', id: 2, result: {} },
  ])
})

test('a host that does not read makes the relay wait, not grow; what it then reads is whole', async (t) => {
  verifies('cli.connect')
  const host = connect(t)
  host.request('init', 'initialize', { protocolVersion: '2025-11-25', capabilities: {} })
  for (let id = 1; id <= 120; id++) {
    host.request(id, 'tools/call', call('big'))
    await new Promise((resolve) => setTimeout(resolve, 15))
  }
  t.diagnostic(`${residentMiB(host.process.pid)} MiB`)
  assert.ok(residentMiB(host.process.pid) < 150, `${residentMiB(host.process.pid)} MiB`)
  host.read()
  for (let id = 1; id <= 120; id++) assert.equal(textOf(await host.answer(id)).length, 1_000_000)
})

/** Whether the gate has taken a key list in which older keys open nothing. */
async function revoked(): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, 100))
  return (await gate.records()).some(
    ({ record }) => record.kind === 'gate' && record.event === 'keys.rotated',
  )
}

function residentMiB(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024
}
