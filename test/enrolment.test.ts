import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { registry } from '../packages/gateway/src/errors/registry.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { DpopKey } from './harness/dpop.ts'
import { EnrolledHost, control, enrolmentOf } from './harness/enrolment.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { type HttpAnswer, TestGate } from './harness/gate.ts'

const IDENTITY =
  'issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }]\nenrolment: true\nmissesPerPeer: { burst: 10000 }'
const fixture = new Fixture([textTool('echo')])
const folder = mkdtempSync(join(tmpdir(), 'callgate-enrolment-'))
const start = (more?: string) =>
  TestGate.start({
    folder,
    servers: fixture.yaml('fix'),
    identity: IDENTITY,
    ...(more === undefined ? {} : { more }),
  })
let gate: TestGate

before(async () => {
  gate = await start()
})
after(async () => {
  await gate.close()
  rmSync(folder, { recursive: true, force: true })
  rmSync(fixture.folder, { recursive: true, force: true })
})

const CALL = { method: 'tools/call', params: { name: 'fix__echo', arguments: { text: 'hi' } } }
const verdict = (answer: HttpAnswer): [number, unknown] => [answer.status, answer.json()['code']]

test('an enrolled key calls tools by tokens that it signs itself, and records name who was enrolled, never a code', async () => {
  verifies('play2.enrolment')
  const wanted = { actor: 'bot-7', type: 'service', subject: 'ada', tenant: 'acme', scope: ['a:b', 'c:d'] }
  const { code } = await enrolmentOf(gate, wanted)
  const host = new EnrolledHost(gate)
  const answer = await host.redeem(code)
  assert.equal(answer.status, 200)
  host.said = answer.json()
  const { client_id, expires_at, ...rest } = host.said
  assert.match(String(client_id), /^enrolled:[0-9a-f]{16}$/)
  assert.ok(Date.parse(String(expires_at)) > Date.now() + 29 * 86_400_000)
  assert.deepEqual(rest, {
    issuer: `urn:callgate:enrolled:${host.key.jkt}`,
    audience: gate.url,
    subject: 'ada',
    actor: 'bot-7',
    actor_type: 'service',
    tenant: 'acme',
    scope: 'a:b c:d',
  })
  const token = host.token()
  for (let i = 0; i < 2; i++) {
    const called = await host.post(token, CALL)
    assert.equal(called.status, 200)
    assert.equal((called.json() as { result: { isError?: boolean } }).result.isError ?? false, false)
  }
  const records = await gate.records()
  const outcome = records.find(({ record }) => record.kind === 'outcome' && 'actor' in record)?.record
  assert.deepEqual(outcome?.kind === 'outcome' && [outcome.actor, outcome.subject, outcome.tenant], [
    { id: 'bot-7', type: 'service' },
    'ada',
    'acme',
  ])
  const events = records.flatMap(({ record }) => (record.kind === 'gate' ? [record] : []))
  const told = events.filter(({ event }) => event.startsWith('enrolment.'))
  assert.deepEqual(
    told.slice(-2).map(({ event, detail }) => [event, detail['actor'], detail['type'], detail['subject']]),
    [
      ['enrolment.created', 'bot-7', 'service', 'ada'],
      ['enrolment.redeemed', 'bot-7', 'service', 'ada'],
    ],
  )
  const secret = code.slice('cgenrol_'.length)
  for (const text of [JSON.stringify(records), gate.stderr, filesBelow(gate.state)])
    assert.ok(!text.includes(secret), 'the code stands nowhere')
})

test('each token that says something else than was enrolled is refused with its reason; what was enrolled, or less, passes', async () => {
  verifies('play2.enrolment')
  const host = await EnrolledHost.of(gate, { subject: 'ada', tenant: 'acme', scope: ['a:b', 'c:d'] })
  const other = await EnrolledHost.of(gate, { actor: 'other', tenant: 'acme' })
  const iat = Math.floor(Date.now() / 1_000)
  const cases: readonly (readonly [string, string, number, string])[] = [
    ['another subject', host.token({ sub: 'bob' }), 401, 'CG_IDENTITY_ENROLMENT'],
    ['another client', host.token({ client_id: other.said['client_id'] }), 401, 'CG_IDENTITY_ENROLMENT'],
    ['no client', host.token({ client_id: undefined }), 401, 'CG_IDENTITY_ENROLMENT'],
    ['another actor', host.token({ act: { sub: 'other' } }), 401, 'CG_IDENTITY_ENROLMENT'],
    ['no actor', host.token({ act: undefined }), 401, 'CG_IDENTITY_ENROLMENT'],
    ['another tenant', host.token({ tenant: 'globex' }), 401, 'CG_IDENTITY_ENROLMENT'],
    ['no tenant', host.token({ tenant: undefined }), 401, 'CG_IDENTITY_ENROLMENT'],
    ['another bound key', host.token({ cnf: { jkt: other.key.jkt } }), 401, 'CG_IDENTITY_ENROLMENT'],
    ['no bound key', host.token({ cnf: undefined }), 401, 'CG_IDENTITY_ENROLMENT'],
    ['another type', host.token({}, { typ: 'JWT' }), 401, 'CG_IDENTITY_ENROLMENT'],
    [
      'a purpose',
      host.token({ authorization_details: [{ type: 'callgate_tools', actions: ['x'] }] }),
      401,
      'CG_IDENTITY_ENROLMENT',
    ],
    ['wider scope', host.token({ scope: 'a:b e:f' }), 403, 'CG_IDENTITY_GRANTS'],
    ['wider scope in another claim', host.token({ scp: ['e:f'] }), 403, 'CG_IDENTITY_GRANTS'],
    ['a wildcard', host.token({ scope: '*' }), 403, 'CG_IDENTITY_WILDCARD'],
    ['a life of 20 minutes', host.token({ exp: iat + 1_200 }), 401, 'CG_IDENTITY_LIFETIME'],
    ['another endpoint', host.token({ aud: 'https://other.example/mcp' }), 401, 'CG_IDENTITY_AUDIENCE'],
    ['the issuer of another key', host.token({ iss: other.said['issuer'] }), 401, 'CG_IDENTITY_KEY_UNKNOWN'],
    [
      "the other's issuer and kid",
      host.token({ iss: other.said['issuer'] }, { kid: other.key.jkt }),
      401,
      'CG_IDENTITY_SIGNATURE',
    ],
    [
      'a key that was never enrolled',
      host.token({ iss: `urn:callgate:enrolled:${new DpopKey().jkt}` }),
      401,
      'CG_IDENTITY_ENROLMENT_ENDED',
    ],
    [
      'no issuer but the name',
      host.token({ iss: 'urn:callgate:enrolled:' }),
      401,
      'CG_IDENTITY_ENROLMENT_ENDED',
    ],
  ]
  for (const [what, token, status, code] of cases)
    assert.deepEqual(verdict(await host.list(token)), [status, code], what)
  for (const good of [
    host.token(),
    host.token({ scope: 'c:d' }),
    host.token({ scope: undefined }),
    host.token({ exp: iat + 590 }),
    host.token({ sid: randomUUID() }),
  ])
    assert.equal((await host.list(good)).status, 200)
})

test('a stolen token opens nothing without its key, and a proof of it opens nothing else', async () => {
  verifies('play2.enrolment')
  const host = await EnrolledHost.of(gate)
  const token = host.token()
  assert.deepEqual(verdict(await host.list(token, new DpopKey())), [401, 'CG_IDENTITY_PROOF'])
  const json = { 'content-type': 'application/json' }
  const body = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
  for (const authorization of [`Bearer ${token}`, `DPoP ${token}`])
    assert.deepEqual(verdict(await gate.http('POST', '/mcp', { ...json, authorization }, body)), [
      401,
      'CG_IDENTITY_PROOF',
    ])
  const proof = host.key.proof(`${gate.url}/mcp`, token)
  assert.deepEqual(
    verdict(await gate.http('POST', '/mcp', { ...json, authorization: `DPoP ${proof}`, dpop: proof }, body)),
    [401, 'CG_IDENTITY_MALFORMED'],
  )
  assert.equal((await host.list(token)).status, 200)
})

test('of 20 keys that redeem one code at the same time exactly one wins, and only it may call', async () => {
  verifies('play2.enrolment.code')
  const { code } = await enrolmentOf(gate)
  const hosts = Array.from({ length: 20 }, () => new EnrolledHost(gate))
  const answers = await Promise.all(hosts.map((host) => host.redeem(code)))
  const won = answers.flatMap((answer, i) => (answer.status === 200 ? [i] : []))
  assert.equal(won.length, 1)
  const said = answers[won[0] ?? -1]?.json() ?? {}
  for (const [i, host] of hosts.entries()) {
    host.said = { ...said, issuer: `urn:callgate:enrolled:${host.key.jkt}` }
    assert.equal((await host.list(host.token())).status, i === won[0] ? 200 : 401)
    if (i !== won[0]) assert.deepEqual(verdict(answers[i] ?? assert.fail()), [403, 'CG_ENROL_CODE'])
  }
})

test('of 20 codes that one key redeems at the same time exactly one wins', async () => {
  verifies('play2.enrolment.code')
  const codes = await Promise.all(Array.from({ length: 20 }, () => enrolmentOf(gate)))
  const host = new EnrolledHost(gate)
  const statuses = await Promise.all(codes.map(async ({ code }) => (await host.redeem(code)).status))
  assert.deepEqual(
    statuses.toSorted((a, b) => a - b),
    [200, ...Array.from({ length: 19 }, () => 403)],
  )
})

test('wrong, used, expired and revoked codes are answered alike, and a bad proof spends none', async () => {
  verifies('play2.enrolment.code')
  const used = await enrolmentOf(gate)
  assert.equal((await new EnrolledHost(gate).redeem(used.code)).status, 200)
  const revoked = await enrolmentOf(gate)
  assert.equal((await control(gate.state, 'DELETE', `/v1/enrolments/${revoked.id}`)).status, 200)
  const expired = await enrolmentOf(gate, { expires_s: 1 })
  await sleep(1_100)
  const wrong = `${used.code.slice(0, -1)}${used.code.endsWith('0') ? '1' : '0'}`
  const problem = {
    type: 'about:blank',
    title: 'Forbidden',
    status: 403,
    code: 'CG_ENROL_CODE',
    detail: registry.CG_ENROL_CODE.publicText,
  }
  for (const code of [wrong, used.code, expired.code, revoked.code, '', 'x', 'cgenrol_']) {
    const answer = await new EnrolledHost(gate).redeem(code)
    assert.deepEqual([answer.status, answer.json()], [403, problem])
    assert.equal(answer.headers['www-authenticate'], undefined)
  }
  const good = await enrolmentOf(gate)
  const host = new EnrolledHost(gate)
  const bad = [
    { htu: `${gate.url}/mcp` },
    { htu: 'https://other.example/enrol' },
    { htm: 'GET' },
    { iat: Math.floor(Date.now() / 1_000) - 120 },
    { ath: 'x' },
    { jti: undefined },
  ]
  for (const claims of bad)
    assert.deepEqual(verdict(await host.redeem(good.code, claims)), [401, 'CG_IDENTITY_PROOF'])
  const jti = randomUUID()
  assert.deepEqual(verdict(await host.redeem(wrong, { jti })), [403, 'CG_ENROL_CODE'])
  assert.deepEqual(verdict(await host.redeem(good.code, { jti })), [401, 'CG_IDENTITY_PROOF'], 'a used proof')
  assert.equal((await host.redeem(good.code)).status, 200)
})

test('each guess of a code is paid by its peer and counted, so that guessing ends', async (t) => {
  verifies('play2.enrolment.code')
  const guessed = await TestGate.start(
    {
      servers: fixture.yaml('fix'),
      identity: 'issuers: []\nenrolment: true\nmissesPerPeer: { perSecond: 1, burst: 10 }',
    },
    t,
  )
  const { code } = await enrolmentOf(guessed)
  const codes: unknown[] = []
  for (let i = 0; i < 14; i++)
    codes.push(verdict(await new EnrolledHost(guessed).redeem(`cgenrol_${'0'.repeat(32)}`))[1])
  assert.equal(codes[0], 'CG_ENROL_CODE')
  assert.equal(codes.at(-1), 'CG_IDENTITY_FLOOD')
  await sleep(2_500)
  assert.equal((await new EnrolledHost(guessed).redeem(code)).status, 200, 'who waits gets in')
  const counted = (await guessed.records()).flatMap(({ record }) =>
    record.kind === 'refusals' && record.code === 'CG_ENROL_CODE' ? [record.count] : [],
  )
  assert.ok(counted.reduce((sum, count) => sum + count, 0) >= 10)
})

test('revoking ends tokens that were accepted before, at once and after a restart, and nobody else', async () => {
  verifies('play2.enrolment.revoke')
  const host = await EnrolledHost.of(gate)
  const other = await EnrolledHost.of(gate)
  const token = host.token()
  assert.equal((await host.list(token)).status, 200)
  assert.equal((await control(gate.state, 'DELETE', `/v1/enrolments/${host.id}`)).body['state'], 'revoked')
  for (const refused of [token, host.token()])
    assert.deepEqual(verdict(await host.list(refused)), [401, 'CG_IDENTITY_ENROLMENT_ENDED'])
  assert.equal((await other.list(other.token())).status, 200)
  const again = await enrolmentOf(gate)
  assert.deepEqual(verdict(await host.redeem(again.code)), [403, 'CG_ENROL_CODE'], 'a revoked key stays so')
  const { port } = new URL(gate.url)
  await gate.stop('SIGKILL')
  gate = await start(`listener: { port: ${port} }`)
  const [restarted, alive] = [host, other].map((one) => Object.assign(new EnrolledHost(gate), one, { gate }))
  assert.deepEqual(verdict((await restarted?.list(host.token())) ?? assert.fail()), [
    401,
    'CG_IDENTITY_ENROLMENT_ENDED',
  ])
  assert.equal((await alive?.list(other.token()))?.status, 200)
  assert.equal((await new EnrolledHost(gate).redeem(again.code)).status, 200, 'a code survives a restart')
  const events = (await gate.records()).flatMap(({ record }) => (record.kind === 'gate' ? [record] : []))
  assert.ok(events.some(({ event, detail }) => event === 'enrolment.revoked' && detail['id'] === host.id))
})

test('a key counts for its own life only, and no token of it longer', async () => {
  verifies('play2.enrolment')
  const host = await EnrolledHost.of(gate, { key_life_s: 2 })
  const token = host.token()
  assert.equal((await host.list(token)).status, 200)
  await sleep(2_100)
  assert.deepEqual(verdict(await host.list(token)), [401, 'CG_IDENTITY_ENROLMENT_ENDED'])
})

test('what is kept of an enrolment is 0600 in a folder of 0700', () => {
  const kept = join(gate.state, 'enrolments')
  assert.equal(statSync(kept).mode & 0o777, 0o700)
  for (const name of readdirSync(kept)) assert.equal(statSync(join(kept, name)).mode & 0o777, 0o600)
})

function filesBelow(path: string): string {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n')
}
