import assert from 'node:assert/strict'
import { X509Certificate, hash } from 'node:crypto'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, before, test } from 'node:test'
import { TLSSocket, connect } from 'node:tls'
import {
  type KeyedCertificate,
  type LeafContents,
  makeAuthority,
  makeLeaf,
  makeRevocationList,
} from '../packages/gateway/src/adapters/certs/x509.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture } from './harness/fixtures.ts'
import { type HttpAnswer, TestGate } from './harness/gate.ts'
import { oneTool } from './harness/one-tool.ts'
import { type Issued, makeCa, makeCertificate, makeRevocationList as listOf } from './harness/pki.ts'
import { sendRaw } from './harness/raw.ts'

const DAY = 86_400_000
const LIST = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
const BILLING = 'spiffe://acme.example/agent/billing'

const fixture = new Fixture([
  { name: 'echo', description: 'Echoes', inputSchema: { type: 'object', additionalProperties: true } },
])
const folder = mkdtempSync(join(tmpdir(), 'callgate-tls-'))
/** Writes a file as an operator's tool does: whole, by its name. */
const put = (name: string, text: string): void => {
  writeFileSync(join(folder, `${name}.new`), text)
  renameSync(join(folder, `${name}.new`), join(folder, name))
}

const life = () => ({ notBefore: Date.now() - DAY, notAfter: Date.now() + 30 * DAY })
const leaf = (ca: KeyedCertificate, change: Partial<LeafContents> = {}): Promise<KeyedCertificate> =>
  makeLeaf(ca, { name: 'leaf', kind: 'client', dns: [], ips: [], uris: [BILLING], ...life(), ...change })
const serverLeaf = (ca: KeyedCertificate): Promise<KeyedCertificate> =>
  leaf(ca, { name: 'gate', kind: 'server', ips: ['127.0.0.1'], dns: ['localhost'], uris: [] })

const newAuthority = (name: string) => makeAuthority(name, Date.now() - DAY, Date.now() + 365 * DAY)
const serverCa = await newAuthority('servers')
const clientCa = await newAuthority('clients')
const billing = await leaf(clientCa)
const serial = ({ certificate }: KeyedCertificate): string => new X509Certificate(certificate).serialNumber
let lists = 0
const revocations = (...revoked: KeyedCertificate[]): Promise<string> =>
  makeRevocationList(clientCa, {
    number: ++lists,
    revoked: revoked.map((one) => ({ serial: serial(one), at: Date.now() - 1_000 })),
    thisUpdate: Date.now() - 1_000,
    nextUpdate: Date.now() + 7 * DAY,
  })

/** A gate whose TLS files have names of their own. */
async function start(
  name: string,
  more = '',
  identity = '',
  t?: TestContext,
  authorities = clientCa.certificate,
): Promise<TestGate> {
  const own = await serverLeaf(serverCa)
  put(`${name}.key`, own.key)
  put(`${name}.pem`, own.certificate)
  put(`${name}.ca`, authorities)
  const options = {
    folder: join(folder, name),
    servers: fixture.yaml('fix'),
    identity: `issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }]\n${identity}`,
    more: `listener: { port: 0, tls: { key: ../${name}.key, cert: ../${name}.pem${more} } }`,
  }
  const gate = await TestGate.start(options, t)
  gate.tls = { ca: serverCa.certificate }
  return gate
}

const shown = (one: KeyedCertificate) => ({ cert: one.certificate, key: one.key })

/** One request over a connection of its own, or of the agent. */
function ask(
  gate: TestGate,
  own: TestGate['tls'],
  headers: Record<string, string> = {},
  body = LIST,
): Promise<HttpAnswer> {
  gate.tls = { ca: serverCa.certificate, ...own }
  return gate.http('POST', '/mcp', { 'content-type': 'application/json', ...headers }, body)
}

const failure = (pending: Promise<unknown>): Promise<string> =>
  pending.then(
    () => 'no failure',
    (error: unknown) =>
      error instanceof Error && 'code' in error ? `${String(error.code)} ${error.message}` : String(error),
  )

let gate: TestGate
before(async () => {
  put('crl', await revocations())
  gate = await start(
    'mutual',
    ', clientCa: ../mutual.ca, crl: ../crl',
    `certificates:\n  - { uri: "${BILLING}", actor: billing, tenant: acme, grants: ["tools:call"] }\n  - { dns: ci.acme.example }\n  - { subject: "CN=by-name" }`,
  )
})
after(async () => {
  await gate.close()
  rmSync(folder, { recursive: true, force: true })
  rmSync(fixture.folder, { recursive: true, force: true })
})

test('the listener speaks TLS 1.2 and 1.3 and nothing older, and no plain HTTP', async (t) => {
  verifies('play2.tls')
  const plain = await start('plain', '', 'replay: session', t)
  const token = { authorization: `Bearer ${plain.mint()}` }
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const answer = await ask(plain, { minVersion: version, maxVersion: version }, token)
    assert.equal(answer.status, 200)
    assert.match(String(answer.headers['strict-transport-security']), /max-age=\d+/)
  }
  const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  assert.match(await failure(ask(plain, old, token)), /alert protocol version/)
  const { text } = await sendRaw(
    plain.url.replace('https', 'http'),
    'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n',
  )
  assert.doesNotMatch(text, /200 OK/)
})

test('a host without a client certificate, or with one that does not hold, ends in the handshake', async () => {
  verifies('play2.mtls-in')
  assert.match(await failure(ask(gate, {})), /^ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED|^E(PIPE|CONNRESET)/)
  const foreign = await newAuthority('clients')
  const bad: readonly (readonly [string, KeyedCertificate])[] = [
    ['of another authority', await leaf(foreign)],
    ['expired', await leaf(clientCa, { notAfter: Date.now() - 1_000 })],
    ['not valid yet', await leaf(clientCa, { notBefore: Date.now() + DAY })],
    ['for servers', await leaf(clientCa, { kind: 'server' })],
  ]
  for (const [what, one] of bad) {
    assert.match(await failure(ask(gate, shown(one))), /^(ERR_SSL_\w*ALERT|ECONNRESET|EPIPE)/, what)
  }
  assert.equal((await ask(gate, shown(billing))).status, 200)
})

test('a certificate names its caller by SPIFFE id, DNS name or subject, and the record says so', async () => {
  verifies('play2.mtls-in')
  const call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fix__echo","arguments":{}}}'
  const callers: readonly (readonly [KeyedCertificate, string, string])[] = [
    [billing, 'billing', 'acme'],
    [await leaf(clientCa, { uris: [], dns: ['CI.acme.example'] }), 'ci.acme.example', 'default'],
    [await leaf(clientCa, { uris: [], name: 'by-name' }), 'CN=by-name', 'default'],
  ]
  for (const [one, actor, tenant] of callers) {
    const answer = await ask(gate, shown(one), {}, call)
    assert.equal(answer.status, 200, answer.body)
    const records = await gate.records()
    const last = records.map(({ record }) => record).findLast(({ kind }) => kind === 'outcome')
    assert.ok(last?.kind === 'outcome')
    assert.deepEqual([last.actor?.id, last.tenant, last.token?.iss], [actor, tenant, 'urn:x509'])
  }
})

test('a certificate that names nobody, or two workloads, is a 401', async () => {
  verifies('play2.mtls-in')
  const nobody: readonly KeyedCertificate[] = [
    await leaf(clientCa, { uris: [`${BILLING}/x`] }),
    await leaf(clientCa, { uris: ['spiffe://ACME.example/agent/billing'] }),
    await leaf(clientCa, { uris: [BILLING, 'spiffe://acme.example/agent/admin'] }),
    await leaf(clientCa, { uris: [BILLING, 'https://acme.example'] }),
    await leaf(clientCa, { uris: [], name: `x, URI:${BILLING}` }),
    await leaf(clientCa, { uris: [`https://x, URI:${BILLING}`] }),
  ]
  for (const one of nobody) {
    const answer = await ask(gate, shown(one))
    assert.deepEqual([answer.status, answer.json()['code']], [401, 'CG_IDENTITY_CERTIFICATE'])
  }
})

test('a token that is bound to a certificate opens nothing on a connection of another one', async () => {
  verifies('play2.jti-replay.bound-tokens')
  const thumbprint = (one: KeyedCertificate): string =>
    hash('sha256', new X509Certificate(one.certificate).raw, 'base64url')
  const token = gate.mint({ confirmation: { 'x5t#S256': thumbprint(billing) } })
  const bearer = { authorization: `Bearer ${token}` }
  const other = await ask(gate, shown(await leaf(clientCa)), bearer)
  assert.deepEqual([other.status, other.json()['code']], [401, 'CG_IDENTITY_CERTIFICATE'])
  assert.equal((await ask(gate, shown(billing), bearer)).status, 200)
  const plain = await ask(gate, shown(billing), { authorization: `Bearer ${gate.mint()}` })
  assert.equal(plain.json()['code'], 'CG_IDENTITY_UNBOUND')
})

test('where certificates are optional a host without one needs a token, and one that is shown must hold', async (t) => {
  const either = await start(
    'either',
    ', clientCa: ../either.ca, clientCertificates: optional',
    `replay: session\ncertificates: [{ uri: "${BILLING}" }]`,
    t,
  )
  const bearer = { authorization: `Bearer ${either.mint()}` }
  assert.equal((await ask(either, {})).json()['code'], 'CG_IDENTITY_MISSING')
  assert.equal((await ask(either, {}, bearer)).status, 200)
  assert.equal((await ask(either, shown(billing))).status, 200)
  const bad = await ask(either, shown(await leaf(await newAuthority('clients'))), bearer)
  assert.deepEqual([bad.status, bad.json()['code']], [401, 'CG_IDENTITY_CERTIFICATE'])
})

test('a certificate that is revoked is refused on new connections, resumed ones and those that are open', async (t) => {
  verifies('play2.mtls-in')
  const leaver = await leaf(clientCa)
  const kept = new Agent({ keepAlive: true, maxSockets: 1, ca: serverCa.certificate, ...shown(leaver) })
  const good = new Agent({ keepAlive: true, maxSockets: 1, ca: serverCa.certificate, ...shown(billing) })
  t.after(() => {
    kept.destroy()
    good.destroy()
  })
  const resumable = await session(gate, leaver)
  // A connection on which nothing is asked any more, as under a standing stream.
  const standing = await handshake(gate, leaver, serverCa.certificate)
  const ended = new Promise<void>((resolve) => standing.once('close', () => resolve()))
  assert.equal((await ask(gate, { agent: kept })).status, 200)
  assert.equal((await ask(gate, { agent: good })).status, 200)
  put('crl', await revocations(leaver))
  await until(async () => (await failure(ask(gate, { agent: kept }))) !== 'no failure')
  await ended
  assert.match(await failure(ask(gate, shown(leaver))), /ALERT|ECONNRESET|EPIPE/)
  assert.match(await failure(resumed(gate, leaver, resumable)), /ALERT|ECONNRESET|closed/)
  for (const own of [{ agent: good }, shown(billing)]) assert.equal((await ask(gate, own)).status, 200)
})

test('an authority that is revoked ends the connections of all that it signed, and lists may stand beside certificates', async (t) => {
  verifies('play2.mtls-in')
  const root = makeCa()
  const between = makeCa({ issuer: root })
  const other = makeCa({ issuer: root })
  const below = (ca: Issued): KeyedCertificate => {
    const one = makeCertificate({ issuer: ca, names: [{ uri: BILLING }] })
    return { certificate: one.pem + ca.pem, key: one.keyPem }
  }
  // As some tools write it: lists and the certificate of who signed them in one file.
  const lists = (number: number, ...revoked: Issued[]): string =>
    listOf(root, revoked, { number }) +
    listOf(between, [], { number }) +
    listOf(other, [], { number }) +
    root.pem
  put('chained.crl', lists(1))
  const chained = await start(
    'chained',
    ', clientCa: ../chained.ca, crl: ../chained.crl',
    `certificates: [{ uri: "${BILLING}" }]`,
    t,
    root.pem,
  )
  const [gone, good] = [below(between), below(other)]
  const [cut, kept] = [
    await handshake(chained, gone, serverCa.certificate),
    await handshake(chained, good, serverCa.certificate),
  ]
  t.after(() => kept.destroy())
  const ended = new Promise<void>((resolve) => cut.once('close', () => resolve()))
  put('chained.crl', lists(2, between))
  await ended
  assert.equal(kept.destroyed, false)
  assert.match(await failure(ask(chained, shown(gone))), /ALERT|ECONNRESET|EPIPE/)
  assert.equal((await ask(chained, shown(good))).status, 200)
})

test('certificates of server, clients and authority change under load, and no call fails', async (t) => {
  verifies('play2.rotation')
  const rotating = await start(
    'rotating',
    ', clientCa: ../rotating.ca',
    `certificates: [{ uri: "${BILLING}" }]`,
    t,
  )
  let next: KeyedCertificate = billing
  let trusted = serverCa.certificate
  const end = new AbortController()
  const statuses = new Map<number, number>()
  const caller = async (own: TestGate['tls'], until = end.signal): Promise<void> => {
    while (!until.aborted) {
      const headers = { 'content-type': 'application/json' }
      rotating.tls = { ca: trusted, ...shown(next), ...own }
      const { status } = await rotating.http('POST', '/mcp', headers, LIST)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const leaving = new AbortController()
  /** A host whose connection outlives the changes until it has a certificate of the new authority. */
  const staying = async (): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: trusted, ...shown(billing) })
    t.after(() => agent.destroy())
    await caller({ agent }, leaving.signal)
  }
  const before = await peer(rotating, next, trusted)
  const load = [caller({}), caller({})]
  const stayed = staying()
  // Clients learn the new authority first, as a bundle; then the server shows a certificate of it.
  const [newServerCa, newClientCa] = [await newAuthority('servers 2'), await newAuthority('clients 2')]
  trusted = serverCa.certificate + newServerCa.certificate
  put('rotating.ca', clientCa.certificate + newClientCa.certificate)
  const own = await serverLeaf(newServerCa)
  put('rotating.key', own.key)
  put('rotating.pem', own.certificate)
  await until(async () => (await peer(rotating, next, trusted)) !== before)
  next = await leaf(newClientCa)
  await new Promise((resolve) => setTimeout(resolve, 300))
  leaving.abort()
  await stayed
  const old = await handshake(rotating, billing, trusted)
  const ended = new Promise<void>((resolve) => old.once('close', () => resolve()))
  put('rotating.ca', newClientCa.certificate)
  await until(async () => (await failure(peer(rotating, billing, trusted))) !== 'no failure')
  // An authority is taken out because it is not believed any more: what it signed has no connection either.
  await ended
  end.abort()
  await Promise.all(load)
  assert.deepEqual([...statuses.keys()], [200])
  assert.ok((statuses.get(200) ?? 0) > 20, String(statuses.get(200)))
})

test('a certificate near its end is told once and stands in the metric; the one that replaces it is not told', async (t) => {
  verifies('play2.rotation.expiry')
  const ending = await leaf(serverCa, {
    name: 'gate',
    kind: 'server',
    ips: ['127.0.0.1'],
    notBefore: Date.now() - 84 * DAY,
    notAfter: Date.now() + 6.5 * DAY,
  })
  const own = await start('ending', ', clientCa: ../ending.ca', '', t)
  await own.stop()
  const told = async (of: TestGate): Promise<unknown[]> =>
    (await of.records())
      .map(({ record }) => record)
      .filter((record) => record.kind === 'gate' && record.event.startsWith('tls.expir'))
      .map((record) => record.kind === 'gate' && record.detail)
  assert.deepEqual(await told(own), [])
  put('ending.key', ending.key)
  put('ending.pem', ending.certificate)
  const again = await TestGate.start(
    {
      folder: join(folder, 'ending'),
      servers: fixture.yaml('fix'),
      more: 'listener: { port: 0, tls: { key: ../ending.key, cert: ../ending.pem, clientCa: ../ending.ca } }',
    },
    t,
  )
  const { validToDate } = new X509Certificate(ending.certificate)
  const expected = [
    { days: 6, name: 'CN=gate', notAfter: validToDate.toISOString(), use: 'listener.tls.cert' },
  ]
  assert.deepEqual(await told(again), expected)
  const metric = (): string => readFileSync(join(again.state, 'metrics.prom'), 'utf8')
  const name = 'callgate_certificate_expiry_timestamp_seconds{use="listener.tls.cert",name="CN=gate"}'
  assert.ok(metric().includes(`${name} ${validToDate.getTime() / 1_000}\n`), metric())
  assert.match(metric(), /use="listener\.tls\.clientCa",name="CN=clients"/)
  const fresh = await serverLeaf(serverCa)
  put('ending.key', fresh.key)
  put('ending.pem', fresh.certificate)
  const next = new X509Certificate(fresh.certificate).validToDate.getTime() / 1_000
  await until(async () => metric().includes(`${name} ${next}\n`))
  assert.deepEqual(await told(again), expected)
})

/** A tool server that takes nobody without a certificate of the client authority, and says whose it was. */
async function toolServer(t: TestContext): Promise<string> {
  const own = await serverLeaf(serverCa)
  const options = { ...shown(own), ca: clientCa.certificate, requestCert: true, rejectUnauthorized: true }
  const server = createServer(options, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { socket } = request
      const shownSerial = socket instanceof TLSSocket ? socket.getPeerCertificate().serialNumber : ''
      const { status, json } = oneTool('who', shownSerial, Buffer.concat(chunks).toString())
      // Each call by a handshake of its own.
      response.writeHead(status, { 'content-type': 'application/json', connection: 'close' }).end(json)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  return `https://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/mcp`
}

test('a server that asks for a certificate is shown the one configured for it, and the next one once its file changes', async (t) => {
  verifies('play2.mtls-out')
  const url = await toolServer(t)
  const first = await leaf(clientCa, { name: 'gate', uris: [] })
  put('out.key', first.key)
  put('out.pem', first.certificate)
  put('out.ca', serverCa.certificate)
  put('other.ca', (await newAuthority('servers')).certificate)
  const entry = (id: string, tls: string): string =>
    `${id}: { url: "${url}", network: ["127.0.0.1/32"], approve: first-use, tls: { ${tls} } }`
  const out = await TestGate.start(
    {
      folder: join(folder, 'out'),
      servers: [
        entry('good', 'ca: ../out.ca, cert: ../out.pem, key: ../out.key'),
        entry('bare', 'ca: ../out.ca'),
        entry('fooled', 'ca: ../other.ca, cert: ../out.pem, key: ../out.key'),
      ].join('\n'),
    },
    t,
  )
  assert.equal((await out.call('good__who', {})).text, serial(first))
  const { tools } = (await out.rpc('tools/list', {})).json()['result'] as { tools: { name: string }[] }
  assert.deepEqual(
    tools.map(({ name }) => name),
    ['good__who'],
    'without a certificate, and towards a server of another authority, nothing is spoken',
  )
  const second = await leaf(clientCa, { name: 'gate', uris: [] })
  put('out.key', second.key)
  put('out.pem', second.certificate)
  await until(async () => (await out.call('good__who', {})).text === serial(second))
})

test('files that do not fit together leave the old ones in use, and are told', async (t) => {
  const keeping = await start('keeping', '', 'replay: session', t)
  const bearer = { authorization: `Bearer ${keeping.mint()}` }
  put('keeping.pem', 'not a certificate')
  await until(async () => (await keeping.records()).some(({ record }) => isEvent(record, 'tls.refused')))
  assert.equal((await ask(keeping, {}, bearer)).status, 200)
})

test('a gate whose files cannot be read, or do not fit, does not start and says why', async () => {
  put('bad.key', (await serverLeaf(serverCa)).key)
  put('bad.pem', (await serverLeaf(serverCa)).certificate)
  const fine = await serverLeaf(serverCa)
  put('bad.one', fine.key + fine.certificate)
  put('bad.ca', clientCa.certificate)
  put('bad.crl', '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n')
  for (const [cert, says] of [
    ['../bad.pem', /key values mismatch/],
    ['../absent.pem', /ENOENT/],
    ['../bad.one, clientCa: ../bad.ca, crl: ../bad.crl', /`listener\.tls\.crl`/],
  ] as const) {
    const starting = TestGate.start({
      folder: join(folder, 'bad'),
      servers: '{}',
      more: `listener: { port: 0, tls: { key: ${cert.startsWith('../bad.one') ? '../bad.one' : '../bad.key'}, cert: ${cert} } }`,
    })
    await assert.rejects(starting, says)
  }
})

function isEvent(record: { readonly kind: string }, event: string): boolean {
  return record.kind === 'gate' && 'event' in record && record.event === event
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 10_000; !(await holds());) {
    if (performance.now() > end) throw new Error('never came true')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** A handshake that has carried one byte both ways; rejects when the gate ends it, which in TLS 1.3 comes after it. */
function handshake(of: TestGate, own: KeyedCertificate, ca: string, resume?: Buffer): Promise<TLSSocket> {
  const { hostname, port } = new URL(of.url)
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: hostname,
      port: Number(port),
      ca,
      ...shown(own),
      ...(resume === undefined ? {} : { session: resume }),
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed')))
    socket.once('data', () => resolve(socket))
    socket.write(`GET /healthz HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`)
  })
}

/** Serial number of the certificate that the gate shows. */
async function peer(of: TestGate, own: KeyedCertificate, ca: string): Promise<string> {
  const socket = await handshake(of, own, ca)
  const found = socket.getPeerCertificate().serialNumber
  socket.destroy()
  return found
}

/** A TLS session that could be resumed. */
async function session(of: TestGate, own: KeyedCertificate): Promise<Buffer> {
  const socket = await handshake(of, own, serverCa.certificate)
  const taken = socket.getSession()
  socket.destroy()
  assert.ok(taken !== undefined)
  return taken
}

async function resumed(of: TestGate, own: KeyedCertificate, taken: Buffer): Promise<void> {
  const socket = await handshake(of, own, serverCa.certificate, taken)
  socket.destroy()
}
