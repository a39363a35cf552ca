import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as fc from 'fast-check'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { EnrolledHost, control, enrolmentOf } from './harness/enrolment.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { ROOT, TestGate } from './harness/gate.ts'

const BIN = join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs')
const IDENTITY = 'issuers: []\nenrolment: true\nmissesPerPeer: { perSecond: 10000, burst: 100000 }'
const fixture = new Fixture([textTool('echo')])
const start = (t?: TestContext, change: Partial<Parameters<typeof TestGate.start>[0]> = {}) =>
  TestGate.start({ servers: fixture.yaml('fix'), identity: IDENTITY, ...change }, t)
let gate: TestGate

before(async () => {
  gate = await start()
})
after(async () => {
  await gate.close()
  rmSync(fixture.folder, { recursive: true, force: true })
})

function callgate(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], {
    encoding: 'utf8',
    env: { ...process.env, CALLGATE_STATE: '' },
  })
  return { code: status, out: stdout, err: stderr }
}

test('the socket is 0600 whatever the umask, and nothing else is left of its making; a gate that was killed leaves no obstacle', async (t) => {
  verifies('control.socket')
  const folder = mkdtempSync(join(tmpdir(), 'callgate-control-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const wrap = ['/bin/sh', '-c', 'umask 000; exec "$@"', 'sh']
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const open = await start(t, { folder, wrap })
    const { mode } = statSync(join(open.state, 'control.sock'))
    assert.equal(mode & 0o170777, 0o140600)
    assert.deepEqual(
      readdirSync(open.state).filter((name) => name.startsWith('.')),
      [],
    )
    assert.equal((await control(open.state, 'GET', '/v1/enrolments')).status, 200)
    await open.stop(signal)
    assert.equal(existsSync(join(open.state, 'control.sock')), signal === 'SIGKILL')
  }
})

test('another user cannot open the socket, not even where the folder lets him in', async (t) => {
  verifies('control.socket')
  if (process.getuid?.() !== 0) return t.skip('needs root to become another user')
  chmodSync(gate.folder, 0o711)
  chmodSync(gate.state, 0o711)
  t.after(() => chmodSync(gate.state, 0o700))
  const path = join(gate.state, 'control.sock')
  const script = `require('node:net').connect(${JSON.stringify(path)}).on('connect', () => { console.log('open'); process.exit() }).on('error', (e) => { console.log(e.code); process.exit() })`
  const as = (uid: number): Promise<string> =>
    new Promise((resolve, reject) => {
      const child = spawn('node', ['-e', script], {
        uid,
        gid: uid,
        cwd: '/',
        env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
      })
      let out = ''
      child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
      child.on('error', reject)
      child.on('close', () => resolve(out.trim()))
    })
  assert.equal(await as(65_534), 'EACCES')
  assert.equal(await as(0), 'open')
  chmodSync(path, 0o666)
  assert.equal(await as(65_534), 'open', 'it is the mode that kept him out')
  chmodSync(path, 0o600)
})

test('no verb of the control API is served to hosts, with or without a token', async () => {
  verifies('control.socket')
  const host = await EnrolledHost.of(gate)
  const json = { 'content-type': 'application/json' }
  for (const path of ['/v1/enrolments', `/v1/enrolments/${host.id}`, '/enrol/v1/enrolments', '/control.sock'])
    for (const method of ['GET', 'POST', 'DELETE']) {
      const token = host.token()
      const proven = host.key.headers(gate.url + path, token, { htm: method })
      for (const headers of [json, { ...json, ...proven }]) {
        const answer = await gate.http(method, path, headers, method === 'POST' ? '{"actor":"x"}' : undefined)
        assert.deepEqual([answer.status, answer.json()['code']], [404, 'CG_WIRE_PATH'], `${method} ${path}`)
      }
    }
  assert.equal((await control(gate.state, 'GET', '/mcp')).status, 404)
  assert.equal((await control(gate.state, 'POST', '/enrol', { code: 'x' })).status, 404)
  assert.equal((await host.list(host.token())).status, 200, 'nothing of that was a verb')
})

test('where enrolment is off there is no path, no issuer, no socket, and `callgate enrol` says how to switch it on', async (t) => {
  verifies('control.socket')
  verifies('cli.enrol')
  const enrolled = await EnrolledHost.of(gate)
  const off = await start(t, { identity: 'issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }]' })
  const host = Object.assign(new EnrolledHost(off), { said: enrolled.said, key: enrolled.key })
  const redeemed = await host.redeem('x')
  assert.deepEqual([redeemed.status, redeemed.json()['code']], [404, 'CG_WIRE_PATH'])
  const listed = await host.list(host.token())
  assert.deepEqual([listed.status, listed.json()['code']], [401, 'CG_IDENTITY_ISSUER'])
  assert.equal(existsSync(join(off.state, 'control.sock')), false)
  const said = callgate('enrol', '--actor', 'x', '--state', off.state)
  assert.equal(said.code, 1)
  assert.match(
    said.err,
    /nothing listens.*\nfix: set `identity.enrolment: true` in .*callgate.yaml and start/,
  )
})

test('`callgate enrol` makes, lists and revokes, and never shows a code twice', async () => {
  verifies('cli.enrol')
  verifies('cli.json')
  const at = ['--state', gate.state]
  const made = callgate(
    'enrol',
    '--actor',
    'bot',
    '--type',
    'service',
    '--scope',
    'a:b c:d',
    '--tenant',
    'acme',
    ...at,
  )
  assert.equal(made.code, 0, made.err)
  const [, url, code = ''] =
    /^run: callgate connect (\S+) --code (cgenrol_[0-9a-z]{32})$/m.exec(made.out) ?? []
  assert.equal(url, `${gate.url}/mcp`)
  const [, id = ''] = /^enrolment ([0-9a-f]{16}), code good once until/.exec(made.out) ?? []
  const listed = callgate('enrol', 'list', ...at)
  assert.match(
    listed.out,
    new RegExp(`^${id} waiting  bot \\(service\\) for bot in acme scope a:b c:d, until `, 'm'),
  )
  assert.equal((await new EnrolledHost(gate).redeem(code)).status, 200)
  const json = callgate('enrol', 'list', '--json', ...at)
  const rows = JSON.parse(json.out) as { id: string; state: string }[]
  assert.equal(rows.find((row) => row.id === id)?.state, 'enrolled')
  assert.ok(![listed.out, json.out].join().includes(code.slice(8)))
  assert.match(callgate('enrol', 'revoke', id, ...at).out, /is revoked/)
  assert.equal(callgate('enrol', 'revoke', id, ...at).code, 0, 'twice is as good as once')
  assert.equal(callgate('enrol', 'revoke', '0'.repeat(16), ...at).code, 1)
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /--actor is missing/],
    [['--actor', 'x', '--scope', 'tools:*'], /`scope.0` holds a wildcard/],
    [['--actor', 'x', '--expires', '10'], /--expires is `10` \(expected such as 90s/],
    [['--actor', 'x', '--expires', '2d'], /`expires_s`/],
    [['--actor', 'x', '--key-life', '366d'], /`key_life_s`/],
    [['--actor', 'x', '--type', 'root'], /`type`/],
    [['--actor', 'x\u202ey'], /`actor` holds a control or hidden character/],
    [['--actor', ''], /`actor`/],
  ]
  for (const [args, says] of wrong) {
    const refused = callgate('enrol', ...args, ...at)
    assert.deepEqual([refused.code, says.test(refused.err)], [2, true], refused.err)
  }
  const nowhere = callgate('enrol', '--actor', 'x', '--state', join(gate.folder, 'nowhere'))
  assert.match(nowhere.err, /nothing listens on its control socket\nfix: start the gate, or name its folder/)
})

test('enrolments that cannot be trusted keep the gate from starting, and say what to do', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-control-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const first = await start(t, { folder })
  const { id } = await EnrolledHost.of(first)
  await first.stop()
  const file = join(first.state, 'enrolments', `${id}.json`)
  chmodSync(file, 0o640)
  await assert.rejects(start(t, { folder }), /has mode 640 .*chmod 600/)
  chmodSync(file, 0o600)
  await (await start(t, { folder })).stop()
  writeFileSync(file, '{"v":1')
  await assert.rejects(start(t, { folder }), /is not an enrolment .*restore it from a backup, or remove it/)
})

test('a state folder too long for a socket keeps the gate from starting, and says so', async (t) => {
  const folder = join(mkdtempSync(join(tmpdir(), 'callgate-control-')), 'x'.repeat(100))
  t.after(() => rmSync(join(folder, '..'), { recursive: true, force: true }))
  await assert.rejects(start(t, { folder }), /too long for a socket .*move `state` to a shorter path/)
})

const SEED = Number(process.env['CALLGATE_SEED'] ?? Date.now() % 2 ** 31)

/** Bodies that are nearly right, and bodies that are nothing. */
const members = fc.dictionary(
  fc.oneof(
    fc.constantFrom('actor', 'type', 'subject', 'scope', 'expires_s', 'code', '__proto__'),
    fc.string(),
  ),
  fc.oneof(fc.jsonValue(), fc.constantFrom('x', 'agent', 'a:*', -1, 1e308, `cgenrol_${'0'.repeat(32)}`)),
)
const bodies = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.json().map((text) => Buffer.from(text)),
  members.map((object) => Buffer.from(JSON.stringify(object))),
  fc
    .constantFrom('{"code":"a","code":"b"}', '{"Code":"a"}', '{"actor":"a","actor":"b"}', '['.repeat(500))
    .map((text) => Buffer.from(text)),
  fc.constant(Buffer.alloc(9_000, 0x20)),
)

test('whatever is sent to the control API is answered by a refusal or an enrolment, and it goes on', async (t) => {
  t.diagnostic(`seed ${SEED}`)
  const path = fc.constantFrom(
    '/v1/enrolments',
    '/v1/enrolments/',
    '/v1/enrolments/0000000000000000',
    '/',
    '//',
  )
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('POST', 'GET', 'DELETE', 'PUT'),
      path,
      bodies,
      async (method, at, body) => {
        const { status, body: answer } = await control(gate.state, method, at, body)
        assert.ok([200, 201, 400, 404, 405, 413].includes(status), `${status}`)
        if (status === 201) assert.match(String(answer['code']), /^cgenrol_/)
      },
    ),
    { seed: SEED, numRuns: 400 },
  )
  const { status } = await control(
    gate.state,
    'POST',
    '/v1/enrolments',
    { actor: 'x' },
    { 'content-type': 'text/plain' },
  )
  assert.equal(status, 415)
  assert.ok((await enrolmentOf(gate)).code)
})

test('whatever is sent to /enrol, with and without a proof, enrols nobody, and an honest code still does', async (t) => {
  t.diagnostic(`seed ${SEED}`)
  const { code } = await enrolmentOf(gate)
  const before = (await control(gate.state, 'GET', '/v1/enrolments')).body['enrolments']
  const host = new EnrolledHost(gate)
  const proofs = fc.oneof(
    fc.constant('right'),
    fc.constant(''),
    fc.string({ unit: fc.constantFrom('a', '.', '{', '-', '=') }),
  )
  await fc.assert(
    fc.asyncProperty(bodies, proofs, async (body, proof) => {
      const dpop = proof === 'right' ? host.key.proof(`${gate.url}/enrol`, '', { ath: undefined }) : proof
      const answer = await gate.http('POST', '/enrol', { dpop, 'content-type': 'application/json' }, body)
      assert.ok([400, 401, 403, 413].includes(answer.status), `${answer.status} ${answer.body}`)
    }),
    { seed: SEED, numRuns: 400 },
  )
  assert.deepEqual((await control(gate.state, 'GET', '/v1/enrolments')).body['enrolments'], before)
  for (const method of ['GET', 'PUT', 'DELETE'])
    assert.equal((await gate.http(method, '/enrol', {})).status, 405)
  const twice = await gate.http(
    'POST',
    '/enrol',
    {
      'content-type': 'application/json',
      dpop: [host.key.proof(`${gate.url}/enrol`, '', { ath: undefined }), 'x'],
    },
    JSON.stringify({ code }),
  )
  assert.equal(twice.status, 401, 'two proofs are none')
  assert.equal((await host.redeem(code)).status, 200)
})

test('who opens the socket and says nothing is sent away, and holds nobody up', async () => {
  const { connect } = await import('node:net')
  const idle = Array.from({ length: 20 }, () => connect(join(gate.state, 'control.sock')))
  const ended = Promise.all(
    idle.map((socket) => new Promise((resolve) => socket.on('close', resolve).resume())),
  )
  assert.equal((await control(gate.state, 'GET', '/v1/enrolments')).status, 200)
  await Promise.race([ended, sleep(8_000).then(() => assert.fail('still open'))])
})
