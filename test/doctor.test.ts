// `callgate doctor`, as an operator runs it: each thing that is broken is seen as exactly that.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { DnsServer } from '../packages/gateway/src/testing/dns-server.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { BIN, TestGate } from './harness/gate.ts'
import { IssuerKey, JwksServer } from './harness/issuer.ts'
import { makeCa, makeCertificate, makeRevocationList } from './harness/pki.ts'

const DAY = 86_400_000
const CANARY = 'q8ZtP3vN7xLk2WmR9sYd4HbJ'

interface Finding {
  readonly id: string
  readonly verdict: string
  readonly text: string
  readonly fix?: string
}

interface Bench {
  readonly folder: string
  readonly state: string
  /** Writes the configuration. */
  readonly configure: (parts?: { servers?: string; issuer?: string; more?: string; policy?: string }) => void
  readonly doctor: (...args: string[]) => Promise<{ status: number | null; found: Finding[]; output: string }>
  /** Ids of what is not in order. */
  readonly sick: (...args: string[]) => Promise<string[]>
}

/** A folder with everything that a healthy gate needs, in which a test breaks one thing. */
async function bench(t: TestContext): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-doctor-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const dns = await DnsServer.start(() => ['93.184.215.14'])
  t.after(() => dns.close())
  const state = join(folder, 'state')
  mkdirSync(join(state, 'keys'), { recursive: true, mode: 0o700 })
  chmodSync(state, 0o700)
  writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [new IssuerKey('one').jwk] }))
  const config = join(folder, 'callgate.yaml')
  const configure: Bench['configure'] = ({
    servers = '{ a: { command: [node, a.js] } }',
    issuer = '{ issuer: "https://id.example", jwks: jwks.json }',
    more = '',
    policy = '- { rule: reading, when: { class: read, actor: "agent-*" }, decision: allow }\n',
  } = {}) => {
    writeFileSync(join(folder, 'policy.yaml'), policy)
    writeFileSync(
      config,
      `identity: { issuers: [${issuer}] }\nservers: ${servers}\npolicy: { files: [policy.yaml] }\negress: { resolvers: ["${dns.address}"] }\n${more}\n`,
    )
  }
  configure()
  const doctor: Bench['doctor'] = async (...args) => {
    const child = spawn(process.execPath, [BIN, 'doctor', '--config', config, ...args], {
      env: { ...process.env, CALLGATE_STATE: state },
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
    const found = args.includes('--json') ? (JSON.parse(output) as Finding[]) : []
    assert.ok(!output.includes(CANARY), 'no secret is told')
    return { status, found, output }
  }
  const sick: Bench['sick'] = async (...args) =>
    (await doctor('--json', ...args)).found
      .filter(({ verdict }) => verdict !== 'ok')
      .map(({ id, verdict }) => `${verdict} ${id}`)
  return { folder, state, configure, doctor, sick }
}

test('what is in order is one line a group and exit 0; nothing is written', async (t) => {
  verifies('ops.doctor')
  const { doctor, state, folder } = await bench(t)
  const { status, output } = await doctor()
  assert.equal(status, 0, output)
  const lines = output.trim().split('\n')
  assert.equal(lines.filter((line) => line.startsWith('ok ')).length, 14)
  assert.equal(lines.at(-1), '14 in order, 0 doubtful, 0 wrong')
  assert.ok(lines.length <= 18)
  assert.ok(output.includes(join(folder, 'callgate.yaml')))
  assert.deepEqual(readdirSync(state), ['keys'])
})

test('files: modes, a writable parent, certificates and lists that are over', async (t) => {
  const { folder, state, configure, sick, doctor } = await bench(t)
  writeFileSync(join(state, 'keys', 'seal.key'), 'x', { mode: 0o644 })
  assert.deepEqual(await sick(), ['wrong state.mode'])
  assert.match((await doctor()).output, /seal\.key` has mode 644 \(expected 600\)\n +fix: chmod 600 /)
  chmodSync(join(state, 'keys', 'seal.key'), 0o600)
  chmodSync(state, 0o755)
  assert.deepEqual(await sick(), ['wrong state.mode'])
  chmodSync(state, 0o700)
  chmodSync(folder, 0o777)
  assert.deepEqual(await sick(), ['wrong state.parent'])
  chmodSync(folder, 0o700)
  assert.deepEqual(await sick(), [])

  const ca = makeCa()
  const put = (name: string, from: number, until: number): void => {
    const { pem, keyPem } = makeCertificate({
      issuer: ca,
      from: from * DAY,
      until: until * DAY,
      usages: ['serverAuth'],
    })
    writeFileSync(join(folder, `${name}.pem`), pem)
    writeFileSync(join(folder, `${name}.key`), keyPem, { mode: 0o600 })
  }
  writeFileSync(join(folder, 'ca.pem'), ca.pem)
  const tls = (name: string, more = ''): void =>
    configure({ more: `listener: { tls: { key: ${name}.key, cert: ${name}.pem${more} } }` })
  put('fine', -1, 60)
  put('over', -30, -1)
  put('soon', -80, 5)
  put('long', -1, 120)
  for (const [name, expected] of [
    ['fine', []],
    ['over', ['wrong certificates.life']],
    ['soon', ['warn certificates.life']],
    ['absent', ['wrong certificates.unreadable']],
    ['long', ['warn configuration.strict', 'warn certificates.life']],
  ] as const) {
    tls(name)
    assert.deepEqual(await sick('--offline'), expected, name)
  }
  for (const [name, expected] of [
    ['fine', []],
    ['over', ['wrong certificates.life']],
  ] as const) {
    configure({
      more: `approvals:
  roles: { dba: ["oidc:grace@corp.example"] }
  page:
    publicUrl: https://approve.example
    listen: { tls: { key: ${name}.key, cert: ${name}.pem } }
    oidc: { issuer: https://id.example, clientId: gate }`,
    })
    assert.deepEqual(await sick('--offline'), expected, `the page's, ${name}`)
  }
  for (const [due, expected] of [
    [7, []],
    [-1, ['wrong certificates.crl']],
  ] as const) {
    writeFileSync(join(folder, 'crl.pem'), makeRevocationList(ca, [], { until: due * DAY }))
    tls('fine', ', clientCa: ca.pem, crl: crl.pem')
    const seen = (await sick('--offline')).filter((id) => !id.includes('certificates.life'))
    assert.deepEqual(seen, expected, String(due))
  }
})

test('configuration: what does not load is 2; what strict mode refuses, policy and exceptions are told', async (t) => {
  const { configure, sick, doctor, folder } = await bench(t)
  configure({ policy: '- { rule: all, when: { tool: "*" }, decision: allow, unless: x }\n' })
  assert.deepEqual(await sick(), ['wrong policy.problem'])
  const until = (days: number): string => new Date(Date.now() + days * DAY).toISOString().slice(0, 10)
  const issuer = (days: number): string =>
    `{ issuer: "https://id.example", jwks: jwks.json, exception: { until: ${until(days)}, without: [jti], audiences: ["api://gate"] } }`
  for (const [days, expected] of [
    [40, []],
    [5, ['warn configuration.exception']],
  ] as const) {
    configure({ issuer: issuer(days) })
    assert.deepEqual(await sick(), expected, String(days))
  }
  configure({ servers: '{ a: { command: [node, a.js], approve: first-use } }' })
  assert.deepEqual(await sick(), ['warn configuration.strict'])
  appendFileSync(join(folder, 'callgate.yaml'), 'nonsense: 1\n')
  const { status, output } = await doctor()
  assert.equal(status, 2)
  assert.match(output, /wrong {2}configuration {2}callgate\.yaml:\d+:1 `nonsense` is not a known key/)
})

test('servers: programs that are missing, servers that do not answer, networks that are not theirs, clocks that are off', async (t) => {
  const { configure, sick } = await bench(t)
  const server = createServer((request, response) => {
    assert.equal(request.method, 'HEAD', 'nothing is called')
    if (request.url === '/late') response.setHeader('date', new Date(Date.now() - 300_000).toUTCString())
    response.writeHead(405).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const http = (path: string, more = ', network: ["127.0.0.0/8"]'): string =>
    `{ a: { url: "http://127.0.0.1:${port}${path}"${more} } }`
  for (const [servers, expected] of [
    [http('/mcp'), []],
    [http('/late'), ['wrong clock.skew']],
    ['{ a: { url: "http://127.0.0.1:1/mcp", network: ["127.0.0.0/8"] } }', ['wrong servers.unreachable']],
    ['{ a: { command: [no-such-program] } }', ['wrong servers.program']],
    ['{ a: { command: [./nothing-here] } }', ['wrong servers.program']],
  ] as const) {
    configure({ servers })
    assert.deepEqual(await sick(), expected, servers)
    assert.deepEqual(await sick('--offline'), [], servers)
  }
})

test('issuers without usable keys, secrets that cannot be read, a DNS that is silent', async (t) => {
  const { folder, configure, sick, doctor } = await bench(t)
  const jwks = await JwksServer.start([new IssuerKey('one')])
  t.after(() => jwks.close())
  const issuer = `{ issuer: "https://id.example", jwks: "${jwks.url}" }`
  configure({ issuer })
  // Keys over plain HTTP are for loopback, and for no strict gate.
  const strict = 'warn configuration.strict'
  assert.deepEqual(await sick(), [strict])
  jwks.keys = []
  assert.deepEqual(await sick(), [strict, 'wrong issuers.keys'])
  jwks.close()
  assert.deepEqual(await sick(), [strict, 'wrong issuers.keys'])
  assert.deepEqual(await sick('--offline'), [strict])

  const bearer = (reference: string): string =>
    `{ a: { url: "https://a.example/mcp", credentials: { type: bearer, secret: "${reference}" } } }`
  writeFileSync(join(folder, 'token'), CANARY, { mode: 0o600 })
  const secretsOf = async (): Promise<string[]> =>
    (await doctor('--json')).found.filter(({ id }) => id.startsWith('secrets')).map(({ id }) => id)
  configure({ servers: bearer('file:token') })
  assert.deepEqual(await secretsOf(), ['secrets'])
  chmodSync(join(folder, 'token'), 0o644)
  assert.deepEqual(await secretsOf(), ['secrets.unreadable'])
  configure({ servers: bearer('file:absent') })
  assert.deepEqual(await secretsOf(), ['secrets.unreadable'])

  const silent = await DnsServer.start(() => 'silence')
  t.after(() => silent.close())
  configure()
  const own = `egress: { resolvers: ["${silent.address}"] }`
  const text = readFileSync(join(folder, 'callgate.yaml'), 'utf8').replace(/egress: .+/, own)
  writeFileSync(join(folder, 'callgate.yaml'), text)
  assert.deepEqual(await sick(), ['wrong dns.silent'])
})

test('servers that read secrets from their environment are named, by variable and not by value', async (t) => {
  verifies('ops.doctor')
  const { configure, doctor } = await bench(t)
  configure({
    servers: `{ a: { command: [node], env: { GITHUB_TOKEN: short, HARMLESS: "${CANARY}", TOKEN_PATH: /etc/token, LEVEL: debug } } }`,
  })
  const { found, status } = await doctor('--json')
  assert.equal(status, 0)
  assert.deepEqual(
    found.filter(({ id }) => id === 'environment.secret').map(({ text }) => text),
    ['GITHUB_TOKEN', 'HARMLESS'].map(
      (name) => `server \`a\` reads a secret from its environment: \`servers.a.env.${name}\``,
    ),
  )
})

test('beside a running gate it says so, changes nothing, and sees records that were changed', async (t) => {
  const fixture = new Fixture([textTool('echo')])
  t.after(() => rmSync(fixture.folder, { recursive: true, force: true }))
  const gate = await TestGate.start({ servers: fixture.yaml('fix') }, t)
  await gate.call('fix__echo', { text: 'x' })
  await sleep(1_200)
  const run = async (): Promise<{ status: number | null; output: string }> => {
    const child = spawn(process.execPath, [BIN, 'doctor', '--offline', '--json'], {
      env: { ...process.env, CALLGATE_STATE: gate.state },
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    return { status: await new Promise((resolve) => child.on('close', resolve)), output }
  }
  const before = await gate.records()
  const healthy = await run()
  assert.equal(healthy.status, 0, healthy.output)
  assert.equal((await gate.records()).length, before.length)
  const whole = spawn(process.execPath, [BIN, 'doctor', '--config', gate.config, '--json'], {
    env: { ...process.env, CALLGATE_STATE: gate.state },
  })
  let output = ''
  whole.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  await new Promise((resolve) => whole.on('close', resolve))
  assert.match(
    output,
    /"id":"gate","verdict":"ok","text":"runs on http:\/\/127\.0\.0\.1:\d+ \(pid \d+\) and is healthy"/,
  )
  await gate.stop()
  const path = join(gate.log, 'checkpoint')
  writeFileSync(path, readFileSync(path, 'utf8').replace(/\n(\d+)\n/, '\n9$1\n'))
  const broken = await run()
  assert.equal(broken.status, 1)
  assert.match(broken.output, /evidence\.checkpoint/)
})
