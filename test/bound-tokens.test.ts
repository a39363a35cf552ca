import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { X509Certificate, generateKeyPairSync, hash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { DpopKey, type ProofClaims } from './harness/dpop.ts'
import { Fixture } from './harness/fixtures.ts'
import { BIN, type HttpAnswer, TestGate } from './harness/gate.ts'
import { makeCa, makeCertificate } from './harness/pki.ts'
import { requestText, sendRaw } from './harness/raw.ts'

/** Replays that are tried: CALLGATE_PROOF_REPLAYS sets more. */
const REPLAYS = Number(process.env['CALLGATE_PROOF_REPLAYS'] ?? 5_000)
const IDENTITY =
  'issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }]\nmissesPerPeer: { burst: 100000 }'
const LIST = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'

const fixture = new Fixture([
  { name: 'echo', description: 'Echoes', inputSchema: { type: 'object', additionalProperties: true } },
])
const folder = mkdtempSync(join(tmpdir(), 'callgate-bound-'))
const key = new DpopKey()
const start = () => TestGate.start({ folder, servers: fixture.yaml('fix'), identity: IDENTITY })
let gate: TestGate

before(async () => {
  gate = await start()
})
after(async () => {
  await gate.close()
  rmSync(folder, { recursive: true, force: true })
  rmSync(fixture.folder, { recursive: true, force: true })
})

const bound = (): string => gate.mint({ confirmation: { jkt: key.jkt } })
const url = (): string => `${gate.url}/mcp`

function post(headers: Record<string, string>, body = LIST, path = '/mcp'): Promise<HttpAnswer> {
  return gate.http('POST', path, { 'content-type': 'application/json', ...headers }, body)
}

const send = (token: string, claims: ProofClaims = {}): Promise<HttpAnswer> =>
  post(key.headers(url(), token, claims))

test('without a word in the configuration a bearer token is refused, and a bound one calls tools as often as it proves its key', async () => {
  verifies('play2.jti-replay.bound-tokens')
  const refused = await post({ authorization: `Bearer ${gate.mint()}` })
  assert.deepEqual([refused.status, refused.json()['code']], [401, 'CG_IDENTITY_UNBOUND'])
  assert.match(
    String(refused.headers['www-authenticate']),
    /^DPoP error="invalid_token", error_description="[^"]+", resource_metadata="[^"]+", algs="ES256 EdDSA Ed25519 PS256 RS256"$/,
  )
  const token = bound()
  const call =
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fix__echo","arguments":{"a":1}}}'
  for (let i = 0; i < 3; i++) {
    const answer = await post(key.headers(url(), token), call)
    assert.equal(answer.status, 200)
    assert.equal((answer.json() as { result: { isError?: boolean } }).result.isError ?? false, false)
  }
})

test('the metadata says that tokens must be bound, and by which algorithms they are proven', async () => {
  verifies('play2.oauth-rs.metadata')
  const { json } = await gate.http('GET', '/.well-known/oauth-protected-resource/mcp', {})
  assert.equal(json()['dpop_bound_access_tokens_required'], true)
  assert.deepEqual(json()['dpop_signing_alg_values_supported'], [
    'ES256',
    'EdDSA',
    'Ed25519',
    'PS256',
    'RS256',
  ])
})

test('a wrong proof is a 401 whose challenge names DPoP', async () => {
  verifies('play2.jti-replay.bound-tokens')
  const answer = await send(bound(), { htm: 'GET' })
  assert.deepEqual([answer.status, answer.json()['code']], [401, 'CG_IDENTITY_PROOF'])
  assert.match(String(answer.headers['www-authenticate']), /^DPoP error="invalid_dpop_proof"/)
})

test('a stolen token opens nothing: as Bearer, without a proof, with another key, at another endpoint', async () => {
  verifies('play2.jti-replay.bound-tokens')
  const token = bound()
  const thief = new DpopKey()
  const tries = [
    post({ authorization: `Bearer ${token}` }),
    post({ authorization: `DPoP ${token}` }),
    post(thief.headers(url(), token)),
    post({ authorization: `Bearer ${token}`, dpop: key.proof(url(), token) }),
    post(key.headers(url(), token), LIST, '/mcp/fix'),
  ]
  for (const answer of await Promise.all(tries)) {
    assert.deepEqual([answer.status, answer.json()['code']], [401, 'CG_IDENTITY_PROOF'])
  }
  assert.equal((await send(token)).status, 200)
  const server = `${gate.url}/mcp/fix`
  assert.equal((await post(key.headers(server, token), LIST, '/mcp/fix')).status, 200)
})

test('`callgate token mint` binds a token to a key or a certificate and says what it is for; what it cannot bind is refused', async () => {
  const mint = (...args: string[]) =>
    spawnSync(process.execPath, [BIN, 'token', 'mint', '--config', gate.config, '--json', ...args], {
      encoding: 'utf8',
      env: { ...process.env, CALLGATE_STATE: gate.state },
    })
  const tokenOf = (minted: ReturnType<typeof mint>): string => {
    assert.equal(minted.status, 0, minted.stderr)
    return (JSON.parse(minted.stdout) as { token: string }).token
  }
  const claims = (token: string) =>
    JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
  const details = '[{"type":"mcp_tool_call","locations":["fix"],"actions":["tools/call:fix.echo"]}]'
  const token = tokenOf(mint('--jkt', key.jkt, '--details', details))
  assert.equal((await send(token)).status, 200)
  assert.equal((await post({ authorization: `Bearer ${token}` })).status, 401)
  assert.deepEqual(claims(token)['authorization_details'], JSON.parse(details))
  const listed = join(folder, 'details.json')
  writeFileSync(listed, details)
  const jwk = join(folder, 'key.jwk')
  writeFileSync(jwk, JSON.stringify(key.jwk))
  const pkcs8 = join(folder, 'key.pem')
  const { publicKey: other, privateKey } = generateKeyPairSync('ed25519')
  writeFileSync(pkcs8, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const file = tokenOf(mint('--dpop-key', jwk, '--details', `@${listed}`))
  assert.equal((await send(file)).status, 200)
  assert.equal((await post({ authorization: `DPoP ${file}` })).status, 401)
  assert.deepEqual(claims(file)['authorization_details'], JSON.parse(details))
  const { crv, kty, x } = other.export({ format: 'jwk' })
  const jkt = hash('sha256', JSON.stringify({ crv, kty, x }), 'base64url')
  assert.deepEqual(claims(tokenOf(mint('--dpop-key', pkcs8)))['cnf'], { jkt })
  const { pem } = makeCertificate({ issuer: makeCa() })
  const cert = join(folder, 'client.pem')
  writeFileSync(cert, pem)
  const thumbprint = hash('sha256', new X509Certificate(pem).raw, 'base64url')
  assert.deepEqual(claims(tokenOf(mint('--certificate', cert)))['cnf'], { 'x5t#S256': thumbprint })
  for (const [args, status, said] of [
    [['--jkt', 'short'], 2, /--jkt is no thumbprint/],
    [['--jkt', key.jkt, '--certificate', cert], 2, /bound to one; give one/],
    [['--jkt', key.jkt, '--dpop-key', jwk], 2, /bound to one; give one/],
    [['--dpop-key', gate.config], 1, /cannot be read as a key\nfix: /],
    [['--dpop-key', listed], 1, /cannot be read as a key\nfix: /],
    [['--details', `@${join(folder, 'gone')}`], 1, /gone: cannot be read\nfix: /],
    [['--details', `@${jwk}`], 2, /--details is no list/],
    [['--certificate', gate.config], 1, /cannot be read as a certificate\nfix: /],
    [['--details', '{'], 2, /--details is not JSON\nfix: /],
    [['--details', '{}'], 2, /--details is no list/],
  ] as const) {
    const refused = mint(...args)
    assert.deepEqual([refused.status, refused.stdout], [status, ''])
    assert.match(refused.stderr, said)
  }
})

test('two DPoP headers are none, whichever of them is good', async () => {
  const token = bound()
  const head = (...proofs: string[]): string[] => [
    'Content-Type: application/json',
    `Authorization: DPoP ${token}`,
    ...proofs.map((proof) => `DPoP: ${proof}`),
  ]
  const status = async (...proofs: string[]): Promise<number> =>
    (await sendRaw(gate.url, requestText(gate.url, 'POST', '/mcp', head(...proofs), LIST))).status
  assert.equal(await status(key.proof(url(), token), 'x'), 401)
  assert.equal(await status('x', key.proof(url(), token)), 401)
  assert.equal(await status(key.proof(url(), token), key.proof(url(), token)), 401)
  assert.equal(await status(key.proof(url(), token)), 200)
})

test(`of ${REPLAYS} replays of proofs that were used none is accepted, also by a gate that was killed and started again`, async () => {
  verifies('play2.jti-replay.bound-tokens')
  const token = bound()
  const used = Array.from({ length: 50 }, () => key.headers(url(), token))
  for (const headers of used) assert.equal((await post(headers)).status, 200)
  const accepted = new Map<string, number>()
  const replay = async (count: number): Promise<void> => {
    for (let done = 0; done < count; done += 50) {
      for (const { status, body } of await Promise.all(used.map((headers) => post(headers)))) {
        const code = status === 401 ? String((JSON.parse(body) as { code: string }).code) : `${status}`
        accepted.set(code, (accepted.get(code) ?? 0) + 1)
      }
    }
  }
  await replay(REPLAYS / 2)
  const port = new URL(gate.url).port
  await gate.stop('SIGKILL')
  // At the same address, so that the proofs are still about it.
  gate = await TestGate.start({
    folder,
    servers: fixture.yaml('fix'),
    identity: IDENTITY,
    more: `listener: { port: ${port} }`,
  })
  await replay(REPLAYS / 2)
  assert.deepEqual([...accepted], [['CG_IDENTITY_PROOF', REPLAYS]])
  assert.equal((await send(token)).status, 200, 'the token itself goes on')
})
