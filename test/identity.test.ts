import assert from 'node:assert/strict'
import { createPrivateKey, sign } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openDevIssuer } from '../packages/gateway/src/adapters/keys/dev-issuer.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { type HttpAnswer, TestGate } from './harness/gate.ts'
import { modern } from './harness/modern.ts'
import { requestText, sendRaw } from './harness/raw.ts'

const fixture = new Fixture([textTool('echo'), textTool('never')])
const OTHER =
  'issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }]\nmissesPerPeer: { perSecond: 1, burst: 20 }'
let gate: TestGate

before(async () => {
  gate = await TestGate.start({ servers: fixture.yaml('fix') })
})
after(async () => {
  await gate.close()
  rmSync(fixture.folder, { recursive: true, force: true })
})

const LIST = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'

function ask(headers: Record<string, string>, path = '/mcp', of: TestGate = gate): Promise<HttpAnswer> {
  return of.http('POST', path, { 'content-type': 'application/json', ...headers }, LIST)
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

/** A good token with one character of its signature changed. */
function forged(token: string): string {
  const [head = '', payload = '', signature = ''] = token.split('.')
  return `${head}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
}

/** A token whose header says something else, with the signature of the honest one. */
function withHeader(token: string, header: object): string {
  const [, payload = '', signature = ''] = token.split('.')
  return `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${payload}.${signature}`
}

// Each way to be refused, with its status and its own reason; `true` in the last place: no error member, for no token was sent.
const REFUSALS: readonly (readonly [string, number, string, () => Record<string, string>, boolean?])[] = [
  ['no token', 401, 'CG_IDENTITY_MISSING', () => ({}), true],
  ['an empty bearer', 401, 'CG_IDENTITY_MISSING', () => ({ authorization: 'Bearer ' }), true],
  ['another scheme', 401, 'CG_IDENTITY_MISSING', () => ({ authorization: 'Basic dXNlcjpwYXNz' }), true],
  ['a text that is no token', 401, 'CG_IDENTITY_MALFORMED', () => bearer('letmein')],
  [
    'an expired token',
    401,
    'CG_IDENTITY_EXPIRED',
    () =>
      bearer(
        openDevIssuer(gate.state, () => Date.now() - 3_600_000).mint({
          audience: `${gate.url}/mcp`,
          subject: 's',
          clientId: 'c',
        }).token,
      ),
  ],
  [
    'a token of tomorrow',
    401,
    'CG_IDENTITY_NOT_YET_VALID',
    () =>
      bearer(
        openDevIssuer(gate.state, () => Date.now() + 3_600_000).mint({
          audience: `${gate.url}/mcp`,
          subject: 's',
          clientId: 'c',
        }).token,
      ),
  ],
  [
    'a token for another service',
    401,
    'CG_IDENTITY_AUDIENCE',
    () => bearer(gate.mint({ audience: 'https://other.example/mcp' })),
  ],
  [
    'a token for one server at the aggregate',
    401,
    'CG_IDENTITY_AUDIENCE',
    () => bearer(gate.mint({ path: '/mcp/fix' })),
  ],
  [
    'a token that lives 20 minutes',
    401,
    'CG_IDENTITY_LIFETIME',
    () => bearer(gate.mint({ lifetimeS: 1_200 })),
  ],
  ['a token with the grant `*`', 403, 'CG_IDENTITY_WILDCARD', () => bearer(gate.mint({ scope: '*' }))],
  [
    'a token with the grant `write:*`',
    403,
    'CG_IDENTITY_WILDCARD',
    () => bearer(gate.mint({ scope: 'read write:*' })),
  ],
  ['a forged signature', 401, 'CG_IDENTITY_SIGNATURE', () => bearer(forged(gate.mint()))],
  [
    'no signature and the algorithm none',
    401,
    'CG_IDENTITY_ALGORITHM',
    () => bearer(withHeader(gate.mint(), { alg: 'none' })),
  ],
  [
    'a key that nobody published',
    401,
    'CG_IDENTITY_KEY_UNKNOWN',
    () => bearer(withHeader(gate.mint(), { alg: 'EdDSA', typ: 'at+jwt', kid: 'another' })),
  ],
]

for (const [name, status, code, headers, bare] of REFUSALS) {
  test(`${name} is refused with ${status} ${code} and one complete challenge`, async () => {
    verifies('play7.broken-auth')
    verifies('play2.oauth-rs.metadata')
    const answer = await ask(headers())
    assert.equal(answer.status, status)
    assert.match(String(answer.headers['content-type']), /^application\/problem\+json/)
    const problem = answer.json() as { code: string; status: number; detail: string }
    assert.deepEqual([problem.code, problem.status], [code, status])
    const challenges = answer.rawHeaders.filter((each) => each.toLowerCase() === 'www-authenticate')
    assert.equal(challenges.length, 1)
    const challenge = String(answer.headers['www-authenticate'])
    const url = /resource_metadata="([^"]+)"/.exec(challenge)?.[1] ?? ''
    const metadata = await gate.http('GET', url.slice(gate.url.length), {})
    assert.deepEqual([metadata.status, metadata.json()['resource']], [200, `${gate.url}/mcp`])
    if (bare === true) assert.doesNotMatch(challenge, /error/)
    else {
      const error = status === 403 ? 'insufficient_scope' : 'invalid_token'
      assert.match(
        challenge,
        new RegExp(`^Bearer error="${error}", error_description="[^"]{10,}", resource_metadata="`),
      )
    }
    assert.doesNotMatch(answer.body + challenge, /eyJ/)
  })
}

test('a token in order is served, whatever the letter case of its scheme', async () => {
  for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
    assert.equal((await ask({ authorization: `${scheme} ${gate.mint()}` })).status, 200)
  }
})

/** How tokens come, and by which keys they may be bound. */
const METHODS = {
  bearer_methods_supported: ['header'],
  dpop_signing_alg_values_supported: ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'],
}

test('the metadata of every endpoint names that endpoint, and its challenge leads there', async () => {
  verifies('play2.oauth-rs.metadata')
  for (const [document, path] of [
    ['', '/mcp'],
    ['/mcp', '/mcp'],
    ['/mcp/fix', '/mcp/fix'],
  ] as const) {
    const answer = await gate.http('GET', `/.well-known/oauth-protected-resource${document}`, {})
    assert.equal(answer.status, 200)
    assert.deepEqual(answer.json(), { resource: gate.url + path, ...METHODS })
    const challenge = String((await ask({}, path)).headers['www-authenticate'])
    assert.equal(
      challenge,
      `Bearer resource_metadata="${gate.url}/.well-known/oauth-protected-resource${path}"`,
    )
  }
})

test('the metadata names the issuers that hosts can be sent to', async () => {
  verifies('play2.oauth-rs.metadata')
  const other = await TestGate.start({
    servers: '{}',
    identity: 'issuers:\n  - { issuer: "https://login.example", jwks: "https://login.example/keys" }',
    more: 'listener: { port: 0, publicUrl: "https://gate.example" }',
  })
  const answer = await other.http('GET', '/.well-known/oauth-protected-resource/mcp', {})
  await other.close()
  assert.deepEqual(answer.json(), {
    resource: 'https://gate.example/mcp',
    authorization_servers: ['https://login.example'],
    ...METHODS,
    // Without a word on replay tokens must be bound.
    dpop_bound_access_tokens_required: true,
  })
})

test('a token for the aggregate opens a server of it, and never the other way round', async () => {
  assert.equal((await ask(bearer(gate.mint({ path: '/mcp' })), '/mcp/fix')).status, 200)
  assert.equal((await ask(bearer(gate.mint({ path: '/mcp/fix' })), '/mcp/fix')).status, 200)
  assert.equal((await ask(bearer(gate.mint({ path: '/mcp/fix' })), '/mcp')).status, 401)
})

test('a token that asks to be claimed once is refused the second time, also in session mode', async () => {
  verifies('play2.jti-replay')
  const token = gate.mint({ once: true })
  assert.equal((await ask(bearer(token))).status, 200)
  const again = await ask(bearer(token))
  assert.deepEqual([again.status, again.json()['code']], [401, 'CG_IDENTITY_REPLAYED'])
  assert.match(String(again.headers['www-authenticate']), /error="invalid_token"/)
  const usual = gate.mint()
  assert.deepEqual([(await ask(bearer(usual))).status, (await ask(bearer(usual))).status], [200, 200])
})

test('of 10 uses at once of a token that is claimed once, one is served', async () => {
  verifies('play2.jti-replay')
  const token = gate.mint({ once: true })
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask(bearer(token))))
  assert.equal(answers.filter(({ status }) => status === 200).length, 1)
})

test('where the configuration says `once`, a token opens one call', async () => {
  verifies('play2.jti-replay')
  const strict = await TestGate.start({ servers: '{}', identity: `${OTHER}\nreplay: once` })
  const token = strict.mint()
  const answers = [await ask(bearer(token), '/mcp', strict), await ask(bearer(token), '/mcp', strict)]
  await strict.close()
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 401],
  )
})

/** A token of the dev issuer's own key with the id of another one, as a thief of the issuer's, or a broken issuer, would make. */
function twin(of: TestGate, token: string, change: object): string {
  const [header = '', payload = ''] = token.split('.')
  const jwk = JSON.parse(readFileSync(join(of.state, 'keys', 'dev-issuer.jwk'), 'utf8')) as object
  const claims = { ...(JSON.parse(Buffer.from(payload, 'base64url').toString()) as object), ...change }
  const signed = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
  const key = createPrivateKey({ key: { ...jwk }, format: 'jwk' })
  return `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`
}

test('a token used from another session is 401, revoked for both, durably, and what it keeps open ends', async () => {
  verifies('play2.jti-replay')
  const folder = mkdtempSync(join(tmpdir(), 'callgate-revoked-'))
  const options = { servers: fixture.yaml('fix'), folder, more: 'listener: { port: 0 }' }
  const first = await TestGate.start(options)
  const status = async (token: string, of: TestGate) => (await ask(bearer(token), '/mcp', of)).status
  const verdict = async (token: string, of: TestGate) => {
    const answer = await ask(bearer(token), '/mcp', of)
    return [answer.status, answer.json()['code']]
  }
  let second: TestGate | undefined
  try {
    const own = first.mint({ sid: 'a' })
    const other = first.mint({ sid: 'a' })
    const stolen = twin(first, own, { sid: 'b' })
    assert.equal(await status(own, first), 200)
    let ended = false
    const stream = modern(
      first,
      'subscriptions/listen',
      { notifications: { toolsListChanged: true } },
      { token: own },
    )
    const stays = modern(
      first,
      'subscriptions/listen',
      { notifications: { toolsListChanged: true } },
      { token: other },
    )
    void stream.then(() => (ended = true))
    let otherEnded = false
    stays.then(() => (otherEnded = true)).catch(() => (otherEnded = true))
    const running = first.call('fix__never', {}, { token: own })
    await sleep(300)
    assert.equal(ended, false)
    assert.deepEqual(await verdict(stolen, first), [401, 'CG_IDENTITY_REPLAYED'])
    await stream
    const cut = await running
    // Nobody knows how far it came: it is a write, as long as the operator does not say otherwise.
    assert.deepEqual([cut.isError, cut.answer.body.includes('CG_UPSTREAM_UNKNOWN_FATE')], [true, true])
    assert.equal(otherEnded, false)
    for (const token of [own, stolen])
      assert.deepEqual(await verdict(token, first), [401, 'CG_IDENTITY_REVOKED'])
    assert.equal(await status(other, first), 200)
    const events = (await first.records()).filter(
      ({ record }) => record.kind === 'gate' && record.event === 'identity.replayed',
    )
    assert.equal(events.length, 1)
    const { port } = new URL(first.url)
    await first.stop('SIGKILL')
    second = await TestGate.start({ ...options, more: `listener: { port: ${port} }` })
    for (const token of [own, stolen])
      assert.deepEqual(await verdict(token, second), [401, 'CG_IDENTITY_REVOKED'])
    assert.equal(await status(other, second), 200)
  } finally {
    await first.stop()
    await second?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})

test('two Authorization headers are none, whichever of them is good', async () => {
  verifies('wire.rule-1')
  const good = `Authorization: Bearer ${gate.mint()}`
  const send = (...lines: string[]): ReturnType<typeof sendRaw> =>
    sendRaw(
      gate.url,
      requestText(gate.url, 'POST', '/mcp', ['Content-Type: application/json', ...lines], LIST),
    )
  for (const lines of [
    [good, 'Authorization: Bearer x'],
    ['Authorization: Bearer x', good],
    [good, good],
    [good, `AUTHORIZATION: Bearer ${gate.mint()}`],
  ]) {
    const answer = await send(...lines)
    assert.deepEqual(
      [answer.status, (JSON.parse(answer.body) as { code: string }).code],
      [401, 'CG_IDENTITY_MISSING'],
    )
  }
  assert.equal((await send(good)).status, 200)
})

test('a token in the query, a form, a cookie or a header of another name opens nothing', async () => {
  const token = gate.mint()
  for (const path of [`/mcp?access_token=${token}`, `/mcp?token=${token}`]) {
    const answer = await ask({}, path)
    assert.deepEqual([answer.status, answer.json()['code']], [404, 'CG_WIRE_PATH'])
    assert.doesNotMatch(answer.body, /eyJ/)
    // Not even beside a good header: whoever logs paths would log the token (RFC 6750 section 5.3).
    assert.equal((await ask(bearer(token), path)).status, 404)
  }
  for (const headers of [
    { cookie: `access_token=${token}` },
    { 'x-access-token': token },
    { 'proxy-authorization': `Bearer ${token}` },
    { 'x-forwarded-authorization': `Bearer ${token}` },
  ]) {
    assert.equal((await ask(headers)).status, 401)
  }
})

test('no token stands in a record', async () => {
  verifies('play7.logging.tokens')
  const token = gate.mint()
  await gate.call('fix__echo', { text: 'x' }, { token })
  await ask(bearer(forged(token)))
  const jti = (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string })
    .jti
  const written = JSON.stringify(await gate.records())
  assert.ok(written.includes('"jti_hash"'))
  assert.ok(
    !written.includes(token) && !written.includes(token.split('.')[2] ?? token) && !written.includes(jti),
  )
  assert.ok(!gate.stderr.includes(jti))
})

test('a flood of bad tokens is refused with 429 and Retry-After, before it costs a signature', async () => {
  const flooded = await TestGate.start({
    servers: fixture.yaml('fix'),
    identity: `${OTHER}\nreplay: session`,
  })
  try {
    const known = flooded.mint()
    assert.equal((await ask(bearer(known), '/mcp', flooded)).status, 200)
    const bad = forged(flooded.mint())
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask(bearer(bad), '/mcp', flooded)))
    const limited = answers.filter(({ status }) => status === 429)
    assert.ok(limited.length >= 30, `${limited.length} of 60`)
    for (const answer of limited) {
      assert.ok(Number(answer.headers['retry-after']) >= 1)
      assert.equal(answer.json()['code'], 'CG_IDENTITY_FLOOD')
      assert.match(String(answer.headers['content-type']), /^application\/problem\+json/)
    }
    // The budget is for tokens not seen before: a caller of the same address whose token was verified goes on unhindered.
    assert.equal((await ask(bearer(known), '/mcp', flooded)).status, 200)
    assert.equal((await flooded.call('fix__echo', { text: 'x' }, { token: known })).isError, false)
    // A new token of that address has to wait like the others: before its signature is checked it looks like them.
    assert.equal((await ask(bearer(flooded.mint()), '/mcp', flooded)).status, 429)
  } finally {
    await flooded.close()
  }
})

test('a flood from one address behind a trusted proxy leaves the others alone', async () => {
  const proxied = await TestGate.start({
    servers: fixture.yaml('fix'),
    identity: `${OTHER}\nreplay: session`,
    more: 'listener: { port: 0, trustedProxies: ["127.0.0.1/32"] }',
  })
  try {
    const from = (peer: string, token: string): Promise<HttpAnswer> =>
      ask({ ...bearer(token), 'x-forwarded-for': peer }, '/mcp', proxied)
    const bad = forged(proxied.mint())
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => from(`203.0.113.${i}, 198.51.100.7`, bad)),
    )
    assert.ok(
      answers.some(({ status }) => status === 429),
      'what stands left of the last hop is the word of a stranger',
    )
    assert.equal((await from('198.51.100.7', proxied.mint())).status, 429)
    assert.equal((await from('198.51.100.8', proxied.mint())).status, 200)
  } finally {
    await proxied.close()
  }
})

test('without a trusted proxy X-Forwarded-For makes nobody another peer', async () => {
  verifies('wire.rule-1')
  await gate.call('fix__echo', { text: 'x' }, { token: gate.mint() })
  await gate.http(
    'POST',
    '/mcp',
    { ...bearer(gate.mint()), 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.9' },
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fix__echo","arguments":{}}}',
  )
  const outcomes = (await gate.records()).flatMap(({ record }) =>
    record.kind === 'outcome' ? [record.peer] : [],
  )
  assert.ok(outcomes.length >= 2)
  assert.deepEqual([...new Set(outcomes)], ['127.0.0.1'])
})

test('refusals of callers who are not known are counted in the log and never one by one', async () => {
  const before_ = (await gate.records()).length
  await Promise.all(Array.from({ length: 50 }, () => ask({})))
  await new Promise((resolve) => setTimeout(resolve, 1_300))
  const fresh = (await gate.records()).slice(before_)
  const counted = fresh.flatMap(({ record }) =>
    record.kind === 'refusals' && record.code === 'CG_IDENTITY_MISSING' ? [record.count] : [],
  )
  assert.ok(counted.reduce((sum, count) => sum + count, 0) >= 50)
  assert.ok(fresh.length < 20, `${fresh.length} records`)
})
