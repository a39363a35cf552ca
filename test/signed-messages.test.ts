// Requests signed by RFC 9421, from outside: what a proxy on the way changes, and what it sends again, opens nothing.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { DpopKey } from './harness/dpop.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { type HttpAnswer, TestGate } from './harness/gate.ts'

const IDENTITY =
  'issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }]\nmessageSignatures: required\nmissesPerPeer: { perSecond: 10000, burst: 10000 }'
const CALL =
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fix__echo","arguments":{"text":"pay 10"}}}'

const fixture = new Fixture([textTool('echo')])
const folder = mkdtempSync(join(tmpdir(), 'callgate-signed-'))
const key = new DpopKey()
let gate: TestGate

const start = (more = 'listener: { port: 0 }'): Promise<TestGate> =>
  TestGate.start({ folder, servers: fixture.yaml('fix'), identity: IDENTITY, more })

before(async () => {
  gate = await start()
})
after(async () => {
  await gate.stop()
  rmSync(folder, { recursive: true, force: true })
  rmSync(fixture.folder, { recursive: true, force: true })
})

interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: string | undefined
}

/** A signed request, as `callgate connect` would send it. */
function request(change: Partial<Sent> & { token?: string; nowS?: number; nonce?: string } = {}): Sent {
  const { method = 'POST', path = '/mcp', nowS } = change
  const body = 'body' in change ? change.body : CALL
  const url = gate.url + path
  const token = change.token ?? gate.mint({ path, confirmation: { jkt: key.jkt }, sid: 'one' })
  const headers: Record<string, string> = {
    accept: 'application/json, text/event-stream',
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...change.headers,
    ...key.headers(url, token, { htm: method }),
  }
  const message = {
    method,
    targetUri: url,
    headers: Object.entries(headers).flat(),
    body: body === undefined ? undefined : Buffer.from(body),
  }
  const signature = key.signature(message, nowS, change.nonce)
  for (let i = 0; i < signature.length; i += 2) headers[signature[i] ?? ''] = signature[i + 1] ?? ''
  return { method, path, headers, body }
}

const send = ({ method, path, headers, body }: Sent, of = gate): Promise<HttpAnswer> =>
  of.http(method, path, headers, body)

/** `200`, or status and code. */
async function outcome(sent: Sent, of = gate): Promise<string> {
  const answer = await send(sent, of)
  if (answer.status === 200) return '200'
  const { code, error } = answer.json() as { code?: string; error?: { data?: { code?: string } } }
  return `${answer.status} ${code ?? error?.data?.code}`
}

const calls = (): number => fixture.receivedOf('tools/call').length

test('a signed request is served, an unsigned one is told what to sign, and neither is one by a bearer token', async () => {
  verifies('play2.message-integrity')
  assert.equal(await outcome(request()), '200')
  const unsigned = request()
  for (const name of ['signature', 'signature-input', 'content-digest']) delete unsigned.headers[name]
  const refused = await send(unsigned)
  assert.deepEqual([refused.status, refused.json()['code']], [401, 'CG_IDENTITY_UNSIGNED'])
  assert.match(String(refused.headers['www-authenticate']), /^DPoP error="invalid_token".+algs="/)
  assert.match(
    String(refused.headers['accept-signature']),
    /^callgate=\("@method" "@target-uri" .+;tag="callgate"$/,
  )
  const bearer = {
    ...request(),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${gate.mint()}` },
  }
  assert.equal(await outcome(bearer), '401 CG_IDENTITY_UNSIGNED')
})

test('no byte that means something can be changed on the way, and nothing of a changed request reaches the server', async () => {
  verifies('play2.message-integrity')
  const before = calls()
  const MESSAGE = '401 CG_IDENTITY_MESSAGE'
  const good = request()
  assert.equal(await outcome({ ...request(), body: CALL.replace('pay 10', 'pay 99') }), MESSAGE)
  for (let i = 0; i < CALL.length; i += 7) {
    const changed = CALL.slice(0, i) + (CALL[i] === 'x' ? 'y' : 'x') + CALL.slice(i + 1)
    const seen = await outcome({ ...request(), body: changed })
    // Some changes make it no message at all, which is seen before anybody is asked who sent it.
    assert.match(seen, /^40[01] CG_(?:IDENTITY_MESSAGE|WIRE_\w+)$/, `byte ${i}`)
  }
  assert.equal(await outcome({ ...request(), path: '/mcp/fix' }), '401 CG_IDENTITY_PROOF')
  const with_ = (name: string, value: string): Sent => {
    const sent = request()
    return { ...sent, headers: { ...sent.headers, [name]: value } }
  }
  for (const [name, value] of [
    ['content-type', 'application/json; charset=utf-8'],
    ['mcp-protocol-version', '2025-06-18'],
    ['mcp-session-id', 'another'],
    ['content-digest', 'sha-256=:AAAA:'],
    ['signature', good.headers['signature'] ?? ''],
    ['signature-input', good.headers['signature-input'] ?? ''],
    ['signature-input', `${request().headers['signature-input'] ?? ''}, other=("@method");created=1`],
  ] as const) {
    const seen = await outcome(with_(name, value))
    assert.match(seen, /^40[014] CG_(?:IDENTITY_MESSAGE|WIRE_SESSION)$/, name)
  }
  const stranger = new DpopKey()
  const foreign = request()
  const signature = stranger.signature({
    method: 'POST',
    targetUri: `${gate.url}/mcp`,
    headers: Object.entries(foreign.headers)
      .filter(([name]) => !/^(?:signature|content-digest)/.test(name))
      .flat(),
    body: Buffer.from(CALL),
  })
  for (let i = 0; i < signature.length; i += 2) foreign.headers[signature[i] ?? ''] = signature[i + 1] ?? ''
  assert.equal(await outcome(foreign), MESSAGE)
  assert.equal(calls(), before)
  assert.equal(await outcome(good), '200')
  assert.equal(calls(), before + 1)
})

test('a signed request is good once, and for a minute', async () => {
  verifies('play2.message-integrity')
  const sent = request()
  const answers = await Promise.all(Array.from({ length: 20 }, () => outcome(sent)))
  assert.equal(answers.filter((each) => each === '200').length, 1)
  // A fresh proof does not make an old signature new: its nonce was used, and it covers the old proof.
  const token = sent.headers['authorization']?.slice('DPoP '.length) ?? ''
  const again = { ...sent, headers: { ...sent.headers, dpop: key.proof(`${gate.url}/mcp`, token) } }
  assert.equal(await outcome(again), '401 CG_IDENTITY_MESSAGE')
  // Its own maker cannot use it twice either, with a proof that is new.
  const nonce = 'n'.repeat(24)
  assert.deepEqual(
    [await outcome(request({ nonce })), await outcome(request({ nonce }))],
    ['200', '401 CG_IDENTITY_MESSAGE'],
  )
  const nowS = Date.now() / 1_000
  for (const [at, expected] of [
    [nowS - 80, '200'],
    [nowS - 95, '401 CG_IDENTITY_MESSAGE'],
    [nowS + 20, '200'],
    [nowS + 40, '401 CG_IDENTITY_MESSAGE'],
  ] as const) {
    assert.equal(await outcome(request({ nowS: at })), expected, String(at - nowS))
  }
})

test('a signed request that was used is refused after the gate was killed, and from everywhere', async () => {
  verifies('play2.message-integrity')
  const used = Array.from({ length: 20 }, () => request())
  for (const sent of used) assert.equal(await outcome(sent), '200')
  const fresh = request()
  const { port } = new URL(gate.url)
  await gate.stop('SIGKILL')
  gate = await start(`listener: { port: ${port} }`)
  for (const sent of used) assert.match(await outcome(sent), /^401 CG_IDENTITY_(?:PROOF|MESSAGE)$/)
  assert.equal(await outcome(fresh), '200')
})

test('sessions, streams and their end are signed too, and modern requests with their headers', async () => {
  verifies('play2.message-integrity')
  const init = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } },
  })
  const token = gate.mint({ confirmation: { jkt: key.jkt }, sid: 'stream' })
  const opened = await send(request({ body: init, token }))
  const session = String(opened.headers['mcp-session-id'])
  const headers = { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' }
  const unsigned = request({ method: 'DELETE', body: undefined, token, headers })
  delete unsigned.headers['signature-input']
  delete unsigned.headers['signature']
  assert.equal(await outcome(unsigned), '401 CG_IDENTITY_UNSIGNED')
  const moved = request({ method: 'GET', body: undefined, token, headers })
  assert.match(await outcome({ ...moved, method: 'DELETE' }), /^401 CG_IDENTITY_(?:PROOF|MESSAGE)$/)
  const stream = send(request({ method: 'GET', body: undefined, token, headers }))
  await new Promise((resolve) => setTimeout(resolve, 200))
  const ended = await send(request({ method: 'DELETE', body: undefined, token, headers }))
  assert.ok(ended.status < 300, String(ended.status))
  assert.equal((await stream).status, 200)
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: meta } })
  const modern = (): Sent =>
    request({ body, headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' } })
  assert.equal(await outcome(modern()), '200')
  const steered = modern()
  delete steered.headers['mcp-method']
  assert.match(await outcome(steered), /^40[01] CG_(?:IDENTITY_MESSAGE|WIRE_HEADER_MISMATCH)$/)
})
