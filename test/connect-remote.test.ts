import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeAuthority, makeLeaf } from '../packages/gateway/src/adapters/certs/x509.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { control, enrolmentOf } from './harness/enrolment.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { ROOT, TestGate } from './harness/gate.ts'
import { LineHost } from './harness/line-host.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-remote-'))
const fixture = new Fixture([textTool('echo')])
const servers = [
  `relay:`,
  `  command: [node, ${join(ROOT, 'test', 'harness', 'relay-server.ts')}, ${join(folder, 'cancels.log')}]`,
  `  approve: first-use`,
  fixture.yaml('fix'),
].join('\n')
const IDENTITY = 'issuers: []\nenrolment: true'
const start = (more = 'listener: { port: 0 }', identity = IDENTITY) =>
  TestGate.start({ folder: join(folder, 'gate'), servers, identity, more })
let gate: TestGate

before(async () => {
  gate = await start()
})
after(async () => {
  await gate.close()
  rmSync(folder, { recursive: true, force: true })
  rmSync(fixture.folder, { recursive: true, force: true })
})

/** A user's state folder of his own. */
function home(t: TestContext): string {
  const own = mkdtempSync(join(tmpdir(), 'callgate-home-'))
  t.after(() => rmSync(own, { recursive: true, force: true }))
  return own
}

function connect(
  t: TestContext,
  XDG_STATE_HOME: string,
  args: readonly string[] = [],
  url = `${gate.url}/mcp`,
): LineHost {
  return new LineHost(t, ['connect', url, ...args], { env: { XDG_STATE_HOME } }).read()
}

function keyFile(XDG_STATE_HOME: string): string {
  const gates = join(XDG_STATE_HOME, 'callgate', 'gates')
  return join(gates, readdirSync(gates)[0] ?? '', 'key.json')
}

/** How a command ended, which it must do by itself. */
function endOf(host: LineHost): Promise<number | string> {
  return Promise.race([host.ended, sleep(10_000, 'it still runs', { ref: false })])
}

async function calls(host: LineHost, name = 'fix__echo'): Promise<void> {
  assert.ok((await host.initialize()).result)
  host.request(1, 'tools/list')
  assert.match(JSON.stringify(await host.answer(1)), /"name":"[a-z_]*echo"/)
  host.request(2, 'tools/call', { name, arguments: { text: 'hi' } })
  const { result, error } = await host.answer(2)
  assert.deepEqual([error, result?.['isError'] ?? false], [undefined, false])
}

test('enrolled once with a code, it lists and calls; later without one, with the same one, and after a restart of the gate', async (t) => {
  verifies('cli.connect.remote')
  const own = home(t)
  const { code } = await enrolmentOf(gate, { actor: 'laptop' })
  const first = connect(t, own, ['--code', code])
  await calls(first)
  assert.equal(await first.close(), 0)
  assert.equal(statSync(keyFile(own)).mode & 0o777, 0o600)
  for (const path of [join(own, 'callgate'), join(own, 'callgate', 'gates'), join(keyFile(own), '..')])
    assert.equal(statSync(path).mode & 0o777, 0o700)
  assert.ok(!readFileSync(keyFile(own), 'utf8').includes(code.slice(8)), 'the code is not kept')
  for (const args of [[], ['--code', code]]) {
    const later = connect(t, own, args)
    await calls(later)
    assert.equal(await later.close(), 0)
  }
  const bare = connect(t, own, [], `${gate.url}/mcp/fix`)
  await calls(bare, 'echo')
  const open = connect(t, own)
  await calls(open)
  const { port } = new URL(gate.url)
  await gate.stop()
  gate = await start(`listener: { port: ${port} }`)
  open.request(3, 'tools/list')
  assert.ok((await open.answer(3)).result, 'a running one goes on')
  await calls(connect(t, own))
})

test('where the gate wants every request signed, connect signs; a proxy that changes one on the way is noticed', async (t) => {
  verifies('play2.message-integrity')
  const signing = await TestGate.start(
    { servers: fixture.yaml('fix'), identity: `${IDENTITY}\nmessageSignatures: required` },
    t,
  )
  const own = home(t)
  const { code } = await enrolmentOf(signing)
  const host = connect(t, own, ['--code', code], `${signing.url}/mcp`)
  await calls(host)
  assert.equal(await host.close(), 0)
  const proxy = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const body = Buffer.concat(chunks).toString().replace('"text":"hi"', '"text":"ho"')
      const headers = { ...incoming.headers, 'content-length': String(Buffer.byteLength(body)) }
      const { method = '', url = '' } = incoming
      const passed = request(signing.url + url, { method, headers, agent: false }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 0, answer.headers)
        answer.pipe(outgoing)
      })
      passed.end(method === 'GET' ? undefined : body)
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    proxy.close()
    proxy.closeAllConnections()
  })
  const address = proxy.address()
  const through = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  const { port } = new URL(signing.url)
  await signing.stop()
  // The name that hosts have for the gate is that of the proxy.
  const behind = await TestGate.start(
    {
      folder: signing.folder,
      servers: fixture.yaml('fix'),
      identity: `${IDENTITY}\nmessageSignatures: required`,
      more: `listener: { port: ${port}, publicUrl: "${through}" }`,
    },
    t,
  )
  const { code: second } = await enrolmentOf(behind)
  const proxied = connect(t, home(t), ['--code', second], `${through}/mcp`)
  await proxied.initialize()
  proxied.request(1, 'tools/list')
  assert.match(JSON.stringify(await proxied.answer(1)), /fix__echo/)
  const before = fixture.receivedOf('tools/call').length
  proxied.request(2, 'tools/call', { name: 'fix__echo', arguments: { text: 'hi' } })
  assert.match(JSON.stringify(await proxied.answer(2)), /signature of the request does not hold/)
  assert.equal(fixture.receivedOf('tools/call').length, before)
  proxied.request(3, 'tools/call', { name: 'fix__echo', arguments: { text: 'untouched' } })
  assert.doesNotMatch(JSON.stringify(await proxied.answer(3)), /CG_/)
})

test('two that start at once with one code are both served by the one key', async (t) => {
  verifies('cli.connect.remote')
  const own = home(t)
  const { code } = await enrolmentOf(gate)
  const both = [connect(t, own, ['--code', code]), connect(t, own, ['--code', code])]
  await Promise.all(both.map((host) => calls(host)))
})

test('without a code, with a wrong one, and where nobody can be enrolled, it says what to do', async (t) => {
  verifies('cli.connect.remote')
  const own = home(t)
  const none = connect(t, own)
  assert.equal(await endOf(none), 1)
  assert.match(none.stderr, /not enrolled at `http.*fix: let the operator run `callgate enrol`/s)
  const wrong = connect(t, own, ['--code', `cgenrol_${'0'.repeat(32)}`])
  assert.equal(await endOf(wrong), 1)
  assert.match(wrong.stderr, /CG_ENROL_CODE.*ask the operator for a new one/s)
  const byAnotherName = connect(t, own, ['--code', 'x'], gate.url.replace('127.0.0.1', 'localhost') + '/mcp')
  assert.equal(await endOf(byAnotherName), 1)
  assert.match(byAnotherName.stderr, /CG_IDENTITY_PROOF.*publicUrl/s)
  for (const url of [
    'http://gate.example/mcp',
    'https://gate.example/other',
    'https://u:p@gate.example/mcp',
  ]) {
    const refused = connect(t, own, ['--code', 'x'], url)
    assert.equal(await endOf(refused), 2, url)
  }
  const mixed = connect(t, own, ['--scope', 'everything'])
  assert.equal(await endOf(mixed), 2)
  assert.match(mixed.stderr, /the enrolment says who calls/)
})

test('a key that others could read is refused with the fix, and taken once it is closed again', async (t) => {
  verifies('cli.connect.remote')
  const own = home(t)
  const { code } = await enrolmentOf(gate)
  await calls(connect(t, own, ['--code', code]))
  for (const mode of [0o640, 0o604, 0o644]) {
    chmodSync(keyFile(own), mode)
    const refused = connect(t, own)
    assert.equal(await endOf(refused), 1)
    assert.match(refused.stderr, new RegExp(`has mode ${mode.toString(8)} \\(expected 600\\); .chmod 600.`))
  }
  chmodSync(keyFile(own), 0o600)
  await calls(connect(t, own))
  writeFileSync(keyFile(own), '{"v":1}')
  const broken = connect(t, own)
  assert.equal(await endOf(broken), 1)
  assert.match(broken.stderr, /holds no enrolled key; remove it, and enrol anew/)
})

test('revoking ends a running connect: its call, its open stream and the process, with one sentence', async (t) => {
  verifies('play2.enrolment.revoke')
  verifies('cli.connect.remote')
  const own = home(t)
  const { id, code } = await enrolmentOf(gate)
  const host = connect(t, own, ['--code', code])
  await calls(host)
  host.request(9, 'tools/call', { name: 'relay__never', arguments: {} })
  // The stream of the session opens a moment after the handshake; the call is on its way by then too.
  await new Promise((resolve) => setTimeout(resolve, 500))
  const revokedAt = performance.now()
  assert.equal((await control(gate.state, 'DELETE', `/v1/enrolments/${id}`)).status, 200)
  // A tool that may write was at work: nobody can say how far it came, and nobody says that it failed.
  assert.match(JSON.stringify(await host.answer(9)), /CG_UPSTREAM_UNKNOWN_FATE/)
  assert.equal(await endOf(host), 1)
  assert.ok(performance.now() - revokedAt < 4_000, `${performance.now() - revokedAt} ms`)
  assert.equal(host.stderr.match(/was revoked or has expired/g)?.length, 1)
  const later = connect(t, own)
  later.request(1, 'initialize', { protocolVersion: '2025-11-25', capabilities: {} })
  assert.match((await later.answer(1)).error?.message ?? '', /was revoked; ask its operator/)
  assert.equal(await endOf(later), 1)
})

test('an idle connect whose only request is its standing stream ends too, and so does a modern subscription', async (t) => {
  verifies('play2.enrolment.revoke')
  const idle = home(t)
  const first = await enrolmentOf(gate)
  const legacy = connect(t, idle, ['--code', first.code])
  await legacy.initialize()
  const second = await enrolmentOf(gate)
  const modern = connect(t, home(t), ['--code', second.code])
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  }
  modern.request('sub', 'subscriptions/listen', { _meta, notifications: { toolsListChanged: true } })
  await modern.find(({ method }) => method === 'notifications/subscriptions/acknowledged')
  await new Promise((resolve) => setTimeout(resolve, 300))
  for (const { id } of [first, second])
    assert.equal((await control(gate.state, 'DELETE', `/v1/enrolments/${id}`)).status, 200)
  assert.deepEqual(await Promise.all([endOf(legacy), endOf(modern)]), [1, 1])
})

test('over TLS with an authority of its own and nonces of the gate it enrols and calls; without the authority it does not', async (t) => {
  verifies('cli.connect.remote')
  const pki = mkdtempSync(join(tmpdir(), 'callgate-remote-pki-'))
  t.after(() => rmSync(pki, { recursive: true, force: true }))
  const [from, until] = [Date.now() - 86_400_000, Date.now() + 86_400_000]
  const authority = await makeAuthority('servers', from, until)
  const leaf = { name: 'gate', kind: 'server', dns: [], ips: ['127.0.0.1'], uris: [] } as const
  const { certificate, key } = await makeLeaf(authority, { ...leaf, notBefore: from, notAfter: until })
  const [cert, ca] = [join(pki, 'gate.pem'), join(pki, 'ca.pem')]
  writeFileSync(cert, certificate + key)
  writeFileSync(ca, authority.certificate)
  const secured = await TestGate.start(
    {
      servers: fixture.yaml('fix'),
      identity: `${IDENTITY}\ndpopNonce: true`,
      more: `listener: { port: 0, tls: { cert: ${cert}, key: ${cert} } }`,
    },
    t,
  )
  const { code } = await enrolmentOf(secured)
  const url = `${secured.url}/mcp`
  const stranger = connect(t, home(t), ['--code', code], url)
  assert.equal(await endOf(stranger), 1)
  assert.match(stranger.stderr, /could not be asked to enrol this machine.*--ca FILE/s)
  await calls(connect(t, home(t), ['--code', code, '--ca', ca], url))
})
