import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { rotateSealKeys } from '../packages/gateway/src/adapters/file/seal-keys.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { ROOT, TestGate } from './harness/gate.ts'
import { LineHost, textOf } from './harness/line-host.ts'

const SERVER = join(ROOT, 'packages', 'gateway', 'src', 'wire', 'stdio-relay-testing-server.ts')
const POLICY = `
- rule: call
  when: { tool: "*" }
  decision: allow
- rule: read
  when: { resource: "note://*" }
  decision: allow
`
const KEPT = 'watched+note://kept'
const DROPPED = 'watched+note://dropped'

/** A port that was free a moment ago: a gate that is started again must be found where it was. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Starts the gate of a folder, each time with the same state and on the same port. */
async function gateOf(t: TestContext): Promise<{ start: () => Promise<TestGate>; keys: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-restart-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const port = await freePort()
  return {
    start: () =>
      TestGate.start(
        {
          folder,
          servers: `watched:\n  command: [node, ${SERVER}]\n  approve: first-use`,
          policy: POLICY,
          more: `listener: { port: ${port} }`,
        },
        t,
      ),
    keys: join(folder, 'state', 'keys'),
  }
}

const call = { name: 'watched__log', arguments: {} }

async function updated(host: LineHost, uri: string): Promise<void> {
  const forget = host.lines.length
  await host.find(
    (line) =>
      line.method === 'notifications/resources/updated' &&
      line.params?.['uri'] === uri &&
      host.lines.indexOf(line) >= forget,
  )
}

const logged = (host: LineHost): number =>
  host.lines.flat().filter(({ method }) => method === 'notifications/message').length

/** A legacy host that watches one resource, watches another no more, and wants logs in detail. */
async function listening(t: TestContext, gate: TestGate): Promise<LineHost> {
  const host = new LineHost(t, ['connect', '--state', gate.state]).read()
  await host.initialize()
  host.request('kept', 'resources/subscribe', { uri: KEPT })
  host.request('dropped', 'resources/subscribe', { uri: DROPPED })
  for (const id of ['kept', 'dropped']) assert.deepEqual((await host.answer(id)).result, {})
  host.request('no more', 'resources/unsubscribe', { uri: DROPPED })
  host.request('level', 'logging/setLevel', { level: 'debug' })
  for (const id of ['no more', 'level']) assert.deepEqual((await host.answer(id)).result, {})
  host.request('before', 'tools/call', call)
  assert.equal(textOf(await host.answer('before')), 'logged')
  assert.equal(logged(host), 1)
  await updated(host, KEPT)
  return host
}

for (const [how, forgets] of [
  ['knows the session', false],
  ['does not know the session', true],
] as const) {
  test(`a gate that was started again and ${how} tells a host what it had asked to hear, unasked`, async (t) => {
    verifies('cli.connect')
    const { start, keys } = await gateOf(t)
    const first = await start()
    const host = await listening(t, first)
    await first.stop()
    if (forgets) await rotateSealKeys(keys, Date.now(), true)
    await start()
    await updated(host, KEPT)
    const from = host.lines.length
    await sleep(500)
    const heard = host.lines.slice(from).flat()
    assert.ok(heard.length > 0)
    assert.ok(heard.every(({ params }) => params?.['uri'] === KEPT))
  })

  test(`a gate that was started again and ${how} takes the first call as the host wants it logged`, async (t) => {
    verifies('cli.connect')
    const { start, keys } = await gateOf(t)
    const first = await start()
    const host = await listening(t, first)
    await first.stop('SIGKILL')
    if (forgets) await rotateSealKeys(keys, Date.now(), true)
    await start()
    host.request('after', 'tools/call', call)
    assert.equal(textOf(await host.answer('after')), 'logged')
    assert.equal(logged(host), 2)
    await updated(host, KEPT)
  })
}

test('a modern subscription fails when the gate goes away, however it goes, and the host may ask for it again', async (t) => {
  verifies('cli.connect')
  const { start } = await gateOf(t)
  const first = await start()
  const host = new LineHost(t, ['connect', '--state', first.state]).read()
  const params = {
    _meta: {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    },
    notifications: { resourceSubscriptions: [KEPT] },
  }
  let gate = first
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    host.request(signal, 'subscriptions/listen', params)
    await updated(host, KEPT)
    await gate.stop(signal)
    assert.equal((await host.answer(signal)).error?.code, -31_900)
    gate = await start()
  }
  host.request('again', 'subscriptions/listen', params)
  await updated(host, KEPT)
})
