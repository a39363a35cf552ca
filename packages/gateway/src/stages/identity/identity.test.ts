import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { openReplayGuard } from '../../adapters/file/replay-guard.ts'
import { createSessions } from '../../adapters/memory/sessions.ts'
import type { Caller, ReceivedCall } from '../../call/call.ts'
import type { KeySource, VerificationKey } from '../../ports/key-source.ts'
import { registry } from '../../errors/registry.ts'
import { mutedHost } from '../../testing/calls.ts'
import { verifies } from '../../testing/verifies.ts'
import { createIdentity } from './identity.ts'
import { bindingOf, jtiHash } from './principal.ts'
import {
  AGGREGATE,
  CRM,
  GATE,
  ISSUER,
  KEY,
  NOW_S,
  TestReplay,
  bench,
  encode,
  goodClaims,
  refuses,
  token,
} from './testing/bench.ts'

test('a good token tells actor, subject, tenant, client and grants, and enters a session', async () => {
  verifies('play7.broken-auth')
  const { ask } = bench({
    actors: { 'agent-7': { type: 'service' } },
    issuers: [{ issuer: ISSUER, tenantClaim: 'org' }],
  })
  const claims = goodClaims({ org: 'acme', scope: 'tools:read tools:list', scp: ['files.read'] })
  const { principal, session } = await ask(token(claims))
  assert.deepEqual(principal, {
    actor: { id: 'agent-7', type: 'service' },
    subject: 'alice',
    tenant: 'acme',
    clientId: 'agent-7',
    grants: ['tools:read', 'tools:list', 'files.read'],
    details: undefined,
    token: {
      iss: ISSUER,
      jtiHash: jtiHash({ iss: ISSUER, jti: String(claims['jti']) }),
      exp: NOW_S + 600,
      iat: NOW_S,
    },
  })
  assert.match(principal.token.jtiHash, /^[0-9a-f]{32}$/)
  assert.equal(session.calls, 1)
})

test('the actor is act.sub, else client_id, else sub, and an agent unless the registry says more', async () => {
  const { ask } = bench({ actors: { bot: { type: 'human' } } })
  const actorOf = async (over: Record<string, unknown>) => (await ask(token(over))).principal.actor
  assert.deepEqual(await actorOf({ act: { sub: 'bot', act: { sub: 'older' } } }), {
    id: 'bot',
    type: 'human',
  })
  assert.deepEqual(await actorOf({}), { id: 'agent-7', type: 'agent' })
  assert.deepEqual(await actorOf({ client_id: undefined, azp: 'portal' }), { id: 'alice', type: 'agent' })
  assert.deepEqual(await actorOf({ client_id: 'constructor' }), { id: 'constructor', type: 'agent' })
  const { principal } = await ask(token({ client_id: undefined, azp: 'portal' }))
  assert.equal(principal.clientId, 'portal')
  await refuses(ask(token({ act: {} })), 'CG_IDENTITY_CLAIM', /`act\.sub` is missing/)
})

test('each required claim that is missing is a 401 that names it', async () => {
  verifies('play2.jwt-claims')
  const { ask } = bench()
  for (const name of ['aud', 'iss', 'sub', 'iat', 'exp', 'nbf', 'jti']) {
    const refusal = await refuses(
      ask(token({ [name]: undefined })),
      'CG_IDENTITY_CLAIM',
      new RegExp(`claim \`${name}\` is missing`),
    )
    assert.equal(registry[refusal.code].status, 401)
  }
  await ask(token())
})

test('each claim of the wrong type is a 401 that names it', async () => {
  verifies('play2.jwt-claims')
  const { ask } = bench()
  const wrong: [string, unknown][] = [
    ['iss', 7],
    ['sub', ''],
    ['sub', ['alice']],
    ['sub', 'a\u202eb'],
    ['sub', 'a\nb'],
    ['sub', 'x'.repeat(513)],
    ['aud', []],
    ['aud', [GATE, 7]],
    ['aud', { uri: GATE }],
    ['aud', ''],
    ['aud', null],
    ['iat', '1800000000'],
    ['exp', String(NOW_S + 600)],
    ['nbf', true],
    ['exp', 0],
    ['iat', -1],
    ['exp', 1e300],
    ['jti', 42],
    ['jti', ''],
    ['client_id', 7],
    ['azp', {}],
    ['act', 'bot'],
    ['sid', 7],
    ['grant_id', ''],
    ['once', 'true'],
    ['scope', 7],
    ['scp', [1]],
    ['scope', 'quo"te'],
    ['authorization_details', {}],
    ['authorization_details', [{ actions: ['read'] }]],
  ]
  for (const [name, value] of wrong) {
    await refuses(ask(token({ [name]: value })), 'CG_IDENTITY_CLAIM', new RegExp(`claim \`${name}\``))
  }
  await refuses(ask(token({ exp: NOW_S, iat: NOW_S })), 'CG_IDENTITY_CLAIM', /claim `exp` .* `iat`/)
  await ask(
    token({
      sub: 'Zoë',
      aud: [GATE, 'https://other.example'],
      iat: NOW_S + 0.5,
      sid: 's',
      once: false,
      scope: '',
      scp: [],
    }),
  )
})

test('a token that is expired, future, too long, from elsewhere or for elsewhere is refused, and its near miss passes', async () => {
  verifies('play2.jwt-claims')
  const { ask } = bench()
  const cases: [Record<string, unknown>, Record<string, unknown>, Parameters<typeof refuses>[1], RegExp][] = [
    [
      { iat: NOW_S - 130, nbf: NOW_S - 130, exp: NOW_S - 30 },
      { iat: NOW_S - 130, nbf: NOW_S - 130, exp: NOW_S - 29 },
      'CG_IDENTITY_EXPIRED',
      /`exp` is `1799999970`, the clock says `1800000000`/,
    ],
    [
      { nbf: NOW_S + 31 },
      { nbf: NOW_S + 30 },
      'CG_IDENTITY_NOT_YET_VALID',
      /`nbf` is `1800000031`, the clock says `1800000000`/,
    ],
    [{ iat: NOW_S + 31 }, { iat: NOW_S + 30 }, 'CG_IDENTITY_NOT_YET_VALID', /`iat` is `1800000031`/],
    [{ exp: NOW_S + 1_200 }, { exp: NOW_S + 600 }, 'CG_IDENTITY_LIFETIME', /lives 1200 s, at most 600 s/],
    [{ exp: NOW_S + 601 }, { exp: NOW_S + 1, iat: NOW_S - 599 }, 'CG_IDENTITY_LIFETIME', /lives 601 s/],
    [
      { iss: `${ISSUER}/` },
      { iss: ISSUER },
      'CG_IDENTITY_ISSUER',
      /`iss` is `https:\/\/id\.example\/` \(expected `https:\/\/id\.example`\)/,
    ],
    [
      { aud: 'https://evil.example/mcp' },
      { aud: 'HTTPS://Gate.Example/mcp/' },
      'CG_IDENTITY_AUDIENCE',
      /`aud` is `https:\/\/evil\.example\/mcp` \(expected `https:\/\/gate\.example\/mcp`\)/,
    ],
    [{ aud: `${GATE}#x` }, { aud: ['urn:else', GATE] }, 'CG_IDENTITY_AUDIENCE', /expected/],
    [{ aud: 'https://gate.example/MCP' }, { aud: GATE }, 'CG_IDENTITY_AUDIENCE', /expected/],
    [{ aud: 'https://gate.example' }, { aud: GATE }, 'CG_IDENTITY_AUDIENCE', /expected/],
  ]
  for (const [bad, near, code, says] of cases) {
    const refusal = await refuses(ask(token(bad)), code, says)
    assert.equal(registry[refusal.code].status, 401)
    await ask(token(near))
  }
})

test('a token for the aggregate opens each server, one for a server opens that server alone', async () => {
  const { ask } = bench({ replay: 'session' })
  const forAll = token()
  await ask(forAll, { endpoint: CRM })
  await ask(forAll, { endpoint: AGGREGATE })
  const forCrm = token({ aud: CRM.resource })
  await ask(forCrm, { endpoint: CRM })
  // Judged again on a cache hit: the token was verified a line before.
  await refuses(
    ask(forCrm, { endpoint: AGGREGATE }),
    'CG_IDENTITY_AUDIENCE',
    /expected `https:\/\/gate\.example\/mcp`\)/,
  )
  await refuses(
    ask(forCrm, { endpoint: { server: 'web', resource: `${GATE}/web` } }),
    'CG_IDENTITY_AUDIENCE',
    /mcp\/web/,
  )
  await ask(forCrm, { endpoint: CRM })
})

test('a grant with `*` is refused wherever it stands', async () => {
  verifies('play2.no-wildcards')
  const { ask } = bench()
  const wild = [
    { scope: '*' },
    { scope: 'tools:read write:*' },
    { scp: ['read', 'files.*'] },
    { scp: 'a *' },
    { authorization_details: [{ type: 'tool', actions: ['*'] }] },
    { authorization_details: [{ type: 'crm*' }] },
    { authorization_details: [{ type: 'tool', limits: { rows: { '*': 1 } } }] },
  ]
  for (const over of wild) {
    const refusal = await refuses(ask(token(over)), 'CG_IDENTITY_WILDCARD', /contains `\*`/)
    assert.ok([401, 403].includes(registry[refusal.code].status))
  }
  await ask(
    token({
      scope: 'tools:read write:x',
      scp: ['all'],
      authorization_details: [{ type: 'tool', actions: ['read'] }],
    }),
  )
})

test('a header or payload with a member twice, or an odd-case twin of a claim, is refused', async () => {
  const { ask } = bench()
  const payload = JSON.stringify(goodClaims())
  const twice = [
    payload.replace('"sub":"alice"', '"sub":"mallory","sub":"alice"'),
    payload.replace('"sub":"alice"', '"s\\u0075b":"mallory","sub":"alice"'),
    payload.replace('"sub":"alice"', '"Sub":"mallory","sub":"alice"'),
  ]
  for (const text of twice) {
    await refuses(
      ask(token({}, { payload: text })),
      'CG_IDENTITY_MALFORMED',
      /payload is not one unambiguous JSON object/,
    )
  }
  await refuses(ask(token({}, { payload: '[]' })), 'CG_IDENTITY_MALFORMED', /payload is not a JSON object/)
  await refuses(
    ask(token({}, { header: { Alg: 'none' } })),
    'CG_IDENTITY_MALFORMED',
    /header is not one unambiguous/,
  )
  await ask(token({}, { payload }))
})

test('none, HMAC with the public key as secret, foreign keys and algorithms out of the list are refused', async () => {
  verifies('play7.broken-auth')
  const { ask, keys } = bench()
  await refuses(ask(undefined), 'CG_IDENTITY_MISSING', /no access token/)
  await refuses(ask('opaque'), 'CG_IDENTITY_MALFORMED', /three parts/)
  await refuses(ask('x'.repeat(8_193)), 'CG_IDENTITY_MALFORMED', /8193 characters/)
  for (const alg of ['none', 'NONE', 'HS256', 'es256', 'ES256K', 7, undefined]) {
    await refuses(ask(token({}, { header: { alg } })), 'CG_IDENTITY_ALGORITHM', /`alg` is/)
  }
  const signed = `${encode('{"alg":"HS256","kid":"k1"}')}.${encode(JSON.stringify(goodClaims()))}`
  const secret = KEY.key.export({ type: 'spki', format: 'pem' })
  await refuses(
    ask(`${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`),
    'CG_IDENTITY_ALGORITHM',
    /HS256/,
  )
  const unsigned = `${encode('{"alg":"none","kid":"k1"}')}.${encode(JSON.stringify(goodClaims()))}.`
  await refuses(ask(unsigned), 'CG_IDENTITY_ALGORITHM', /none/)
  await refuses(
    ask(token({}, { header: { alg: 'RS256' } })),
    'CG_IDENTITY_ALGORITHM',
    /`alg` is `RS256`, key `k1` is `prime256v1`/,
  )
  await refuses(ask(token({}, { header: { kid: 'k9' } })), 'CG_IDENTITY_KEY_UNKNOWN', /kid `k9`/)
  await refuses(ask(token({}, { header: { kid: undefined } })), 'CG_IDENTITY_MALFORMED', /no `kid`/)
  await refuses(
    ask(token({}, { header: { typ: 'logout+jwt' } })),
    'CG_IDENTITY_MALFORMED',
    /`typ` is `logout\+jwt`/,
  )
  const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  await refuses(ask(token({}, { key: foreign })), 'CG_IDENTITY_SIGNATURE', /does not verify/)
  keys.down = true
  await refuses(ask(token()), 'CG_IDENTITY_KEYS_UNAVAILABLE', /ECONNREFUSED/)
  keys.down = false
  for (const typ of ['JWT', 'at+jwt', 'application/at+jwt', undefined])
    await ask(token({}, { header: { typ } }))
  const narrow = bench({ algorithms: ['EdDSA'] })
  await refuses(narrow.ask(token()), 'CG_IDENTITY_ALGORITHM', /`ES256` \(expected one of EdDSA\)/)
})

test('replay once: a token opens one call, in its own session too', async () => {
  verifies('play2.jti-replay')
  const { ask } = bench()
  const text = token()
  await ask(text)
  const refusal = await refuses(ask(text), 'CG_IDENTITY_REPLAYED', /opens one call only/)
  assert.equal(registry[refusal.code].status, 401)
  // The jti is what counts, not the text around it.
  const jti = 'same-id'
  await ask(token({ jti }))
  await refuses(ask(token({ jti, sub: 'alice' })), 'CG_IDENTITY_REPLAYED', /used before/)
  await ask(token())
})

test('replay session: a jti serves the session of its claims and no other; the store is asked once', async () => {
  verifies('play2.jti-replay')
  const { ask, replay } = bench({ replay: 'session' })
  const jti = 'shared'
  const text = token({ jti, sid: 'a' })
  const first = await ask(text)
  const second = await ask(text)
  assert.equal(replay.asked, 1)
  assert.deepEqual([second.session.id, second.session.calls], [first.session.id, 2])
  await ask(token({ jti, sid: 'a', scope: 'other' }))
  await refuses(ask(token({ jti, sid: 'b' })), 'CG_IDENTITY_REPLAYED', /in another session/)
  await ask(token({ jti: 'own', sid: 'b' }))
})

test('a token used by two sessions is revoked for both, at once and also where it was verified before', async () => {
  verifies('play2.jti-replay')
  for (const thief of [{ sid: 'b' }, { sid: 'a', sub: 'mallory' }]) {
    const { ask, replay } = bench({ replay: 'session' })
    const text = token({ jti: 'shared', sid: 'a' })
    const other = token({ jti: 'other', sid: 'a' })
    await ask(text)
    await ask(other)
    await refuses(
      ask(token({ jti: 'shared', ...thief })),
      'CG_IDENTITY_REPLAYED',
      /in another session.+is revoked/,
    )
    await refuses(ask(text), 'CG_IDENTITY_REVOKED', /was revoked when two sessions/)
    await ask(other)
    const asked = replay.asked
    await refuses(ask(text), 'CG_IDENTITY_REVOKED', /was revoked when two sessions/)
    assert.equal(replay.asked, asked + 1)
  }
})

test('what is opened at the moment of a revocation ends too; a token that opens one call ends nothing', async (t) => {
  verifies('play2.jti-replay')
  const folder = mkdtempSync(join(tmpdir(), 'callgate-revoked-'))
  const replay = await openReplayGuard(join(folder, 'replay.journal'), { now: () => NOW_S * 1_000 })
  t.after(async () => {
    await replay.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const seen: string[] = []
  const options = { onRevoked: () => void seen.push('ended') }
  const { ask } = bench({ replay: 'session', ...options }, { replay })
  const own = ask(token({ jti: 'shared', sid: 'a' })).then(() => seen.push('entered'))
  const stolen = refuses(ask(token({ jti: 'shared', sid: 'b' })), 'CG_IDENTITY_REPLAYED', /is revoked/)
  await Promise.all([own, stolen])
  // Of the two who come in one write the first enters after the second was found out.
  assert.ok(seen.includes('entered'))
  assert.equal(seen.at(-1), 'ended')
  seen.length = 0
  const single = bench({ replay: 'once', ...options }, { replay })
  const once = token({ jti: 'once' })
  await single.ask(once)
  await refuses(single.ask(once), 'CG_IDENTITY_REPLAYED', /one call only/)
  assert.deepEqual(seen, [])
})

test('a revocation that the store cannot take down refuses, and the token is refused from then on', async () => {
  const { ask, replay } = bench({ replay: 'session' })
  const text = token({ jti: 'shared', sid: 'a' })
  await ask(text)
  await ask(token({ jti: 'shared', sid: 'a', scope: 'other' }))
  replay.full = true
  await refuses(ask(token({ jti: 'shared', sid: 'b' })), 'CG_IDENTITY_REPLAY_STORE', /did not answer/)
  replay.full = false
  await refuses(ask(text), 'CG_IDENTITY_REVOKED', /revoked/)
})

test('a token with once: true opens one call in session mode, one with once: false many', async () => {
  verifies('play2.jti-replay')
  const { ask } = bench({ replay: 'session' })
  const once = token({ once: true })
  await ask(once)
  await refuses(ask(once), 'CG_IDENTITY_REPLAYED', /opens one call only/)
  const many = token({ once: false })
  await ask(many)
  await ask(many)
})

test('while the replay store fails every token that needs a claim is refused', async () => {
  verifies('play2.jti-replay.store-down')
  for (const mode of ['once', 'session'] as const) {
    const { ask, replay } = bench({ replay: mode })
    const text = token()
    replay.down = true
    await refuses(ask(text), 'CG_IDENTITY_REPLAY_STORE', /ENOSPC/)
    replay.down = false
    await ask(text)
  }
})

test('a verified token is judged again on each call: clock, key rotation, removal', async () => {
  verifies('play2.jwt-claims.key-rotation')
  const { ask, keys } = bench({ replay: 'session' })
  const text = token()
  await ask(text)
  await ask(text)
  assert.equal(keys.asked, 1)
  await ask(text, {}, NOW_S + 629)
  await refuses(ask(text, {}, NOW_S + 630), 'CG_IDENTITY_EXPIRED', /`exp`/)
  await refuses(ask(text, {}, NOW_S - 31), 'CG_IDENTITY_NOT_YET_VALID', /`nbf`/)
  await ask(text)
  keys.remove('k1')
  await refuses(ask(text), 'CG_IDENTITY_KEY_UNKNOWN', /kid `k1`/)
  keys.keys.set('k1', KEY)
  await ask(text)
})

test('of 100 calls at once with one once token, one is let in', async () => {
  verifies('play2.jti-replay')
  const { ask } = bench({ replay: 'session' })
  const once = token({ once: true })
  const calls = await Promise.allSettled(Array.from({ length: 100 }, () => ask(once)))
  assert.equal(calls.filter(({ status }) => status === 'fulfilled').length, 1)
})

test('keys that have to be waited for open the gate, fail closed, and are not trusted when they changed meanwhile', async () => {
  verifies('play2.jwt-claims.key-rotation')
  let generation = 0
  let answer = (): Promise<VerificationKey | undefined> => {
    generation++
    return Promise.resolve(KEY)
  }
  let asked = 0
  const keys: KeySource = { key: () => (asked++, answer()), generation: () => generation }
  const identity = createIdentity(
    { keys, replay: new TestReplay(), sessions: createSessions() },
    { issuers: [{ issuer: ISSUER }], replay: 'session' },
  )
  const ask = async (text: string) =>
    identity.authenticate({ peer: '192.0.2.1', token: text, endpoint: AGGREGATE }, NOW_S * 1_000)
  const text = token()
  await ask(text)
  answer = () => Promise.resolve(KEY)
  await ask(text)
  await ask(text)
  assert.equal(asked, 2)
  answer = () => Promise.resolve(undefined)
  await refuses(ask(token()), 'CG_IDENTITY_KEY_UNKNOWN', /kid `k1`/)
  answer = () => Promise.reject(new Error('answered 503'))
  await refuses(ask(token()), 'CG_IDENTITY_KEYS_UNAVAILABLE', /answered 503/)
})

test('a flood of bad tokens is refused before any signature work; tokens in use and other peers go on', async () => {
  const { ask, keys } = bench({ replay: 'session', missesPerS: 5, missBurst: 10 })
  const good = token()
  await ask(good)
  const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const bad = Array.from({ length: 11 }, () => token({}, { key: foreign }))
  for (const text of bad.slice(0, 10)) await refuses(ask(text), 'CG_IDENTITY_SIGNATURE', /verify/)
  const asked = keys.asked
  const refusal = await refuses(ask(bad[10]), 'CG_IDENTITY_FLOOD', /budget/)
  assert.equal(refusal.retryAfterS, 1)
  assert.equal(registry[refusal.code].status, 429)
  assert.equal(keys.asked, asked)
  await ask(good)
  await ask(token(), { peer: '192.0.2.2' })
  await refuses(ask(token()), 'CG_IDENTITY_FLOOD', /budget/)
  await ask(token(), {}, NOW_S + 1)
})

test('fresh good tokens cost a peer nothing of its budget', async () => {
  const { ask } = bench({ missesPerS: 1, missBurst: 2 })
  for (let i = 0; i < 20; i++) await ask(token())
})

test('the session is of tenant, actor, subject, client and sid, and of nothing else', async () => {
  const { ask } = bench({ replay: 'session', issuers: [{ issuer: ISSUER, tenantClaim: 'org' }] })
  const idOf = async (over: Record<string, unknown>, caller: Partial<Caller> = {}) =>
    (await ask(token({ org: 'acme', sid: 's', ...over }), caller)).session.id
  const base = await idOf({})
  assert.equal(
    await idOf({ jti: 'refreshed', scope: 'more', exp: NOW_S + 100 }, { peer: '203.0.113.9' }),
    base,
  )
  assert.equal(await idOf({ sid: undefined, grant_id: 's' }), base)
  const others = await Promise.all(
    [
      { org: 'acme2' },
      { act: { sub: 'x' } },
      { sub: 'bob' },
      { client_id: 'agent-8' },
      { sid: 't' },
      { sid: undefined },
    ].map((over) => idOf(over)),
  )
  assert.equal(new Set([base, ...others]).size, 7)
  await refuses(ask(token()), 'CG_IDENTITY_CLAIM', /claim `org` is missing/)
})

function callWith(traceId: string | undefined): ReceivedCall {
  return {
    id: '0'.repeat(26),
    receivedAt: NOW_S * 1_000,
    requestId: 1,
    era: 'modern',
    protocolVersion: '2026-07-28',
    method: 'tools/call',
    caller: { peer: '192.0.2.1', token: token(), endpoint: AGGREGATE },
    requested: 'crm__read',
    args: {},
    argsBytes: Buffer.from('{}'),
    exactNumbers: true,
    meta: {},
    traceId,
    headers: [],
    host: mutedHost,
    retry: undefined,
    idempotencyKey: undefined,
  }
}

test('the chain is the trace id of the host, else the session', async () => {
  const { identity } = bench()
  const { signal } = new AbortController()
  assert.equal(
    (await identity.run(callWith('4bf92f3577b34da6a3ce929d0e0e4736'), signal)).chain,
    '4bf92f3577b34da6a3ce929d0e0e4736',
  )
  const plain = await identity.run(callWith(undefined), signal)
  assert.equal(plain.chain, plain.session.id)
  assert.equal(plain.principal.subject, 'alice')
})

test('a cached token in session mode is answered without waiting', async () => {
  const { identity, ask } = bench({ replay: 'session' })
  const text = token()
  await ask(text)
  const caller = { peer: '192.0.2.1', token: text, endpoint: AGGREGATE }
  assert.ok(!(identity.authenticate(caller, NOW_S * 1_000) instanceof Promise))
})

test('no value of another claim and no change of a header changes who is authenticated', async () => {
  verifies('wire.rule-1')
  const { ask } = bench({ replay: 'session', missesPerS: 10_000, missBurst: 100_000 })
  const names = fc
    .stringMatching(/^[a-z_]{1,12}$/)
    .filter(
      (name) =>
        !Object.hasOwn(
          goodClaims({ act: 0, azp: 0, sid: 0, grant_id: 0, once: 0, scp: 0, authorization_details: 0 }),
          name,
        ),
    )
  const { principal: base } = await ask(token())
  await fc.assert(
    fc.asyncProperty(names, fc.jsonValue({ maxDepth: 2 }), async (name, value) => {
      const { principal } = await ask(token({ [name]: value }, { header: { [`x_${name}`]: value } }))
      assert.deepEqual({ ...principal, token: 0 }, { ...base, token: 0 })
    }),
    { numRuns: 60, seed: 20_261_122, verbose: 1 },
  )
})

test('a good token with any one character changed is refused', async () => {
  const { ask } = bench({ replay: 'session', missesPerS: 10_000, missBurst: 100_000 })
  const good = token()
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 0x21, max: 0x7e }), async (at, code) => {
      const changed = good.slice(0, at) + String.fromCharCode(code) + good.slice(at + 1)
      if (changed !== good) await assert.rejects(ask(changed), /CG_IDENTITY_/)
    }),
    { numRuns: 400, seed: 20_261_123, verbose: 1 },
  )
})

test('no refusal says anything of the text of a token', async () => {
  const { ask, replay } = bench({ replay: 'session' })
  const used = token({ jti: 'secret-jti-1', sid: 'a' })
  await ask(used)
  const texts = [
    token({ jti: 'secret-jti-1', sid: 'b' }),
    token({ exp: NOW_S + 900 }),
    token({ sub: 7 }),
    token({ aud: 'https://x.example' }),
    token({ scope: 'a:*' }),
    token({ iss: 'urn:x' }),
    token({ jti: 7_654_321 }),
    token({}, { header: { kid: 'k9' } }),
    token({}, { header: { alg: 'HS256' } }),
    `${token()}x`,
    `${token()}.y`,
    token({}, { payload: '{"sub":1,"sub":2}' }),
    token({}, { key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey }),
    token({ nbf: NOW_S + 100 }),
    token({ exp: NOW_S - 100, iat: NOW_S - 200 }),
  ]
  for (const text of texts) await leaksNothing(text)
  replay.down = true
  await leaksNothing(token({ jti: 'secret-jti-2' }))

  async function leaksNothing(text: string): Promise<void> {
    const error: unknown = await ask(text).catch((cause: unknown) => cause)
    assert.ok(error instanceof Error, 'the token was refused')
    const said = `${error.message} ${JSON.stringify(error)}`
    for (const part of text.split('.')) {
      for (let at = 0; at + 12 <= part.length; at += 4)
        assert.ok(!said.includes(part.slice(at, at + 12)), said)
    }
    assert.doesNotMatch(said, /secret-jti|7654321/)
  }
})

test('options out of bounds are a TypeError', () => {
  const { keys, replay } = bench()
  const deps = {
    keys,
    replay,
    sessions: { enter: () => ({ id: 's', calls: 1, labels: [], key: 'session' }) },
  }
  const issuers = [{ issuer: ISSUER }]
  for (const over of [
    { clockSkewS: 61 },
    { maxTokenLifeS: 601 },
    { maxTokenLifeS: 0 },
    { algorithms: ['HS256'] },
    { cacheEntries: 0 },
  ]) {
    assert.throws(() => createIdentity(deps, { issuers, ...over }), TypeError)
  }
  createIdentity(deps, { issuers, clockSkewS: 60, maxTokenLifeS: 600, algorithms: ['EdDSA'] })
})

test('the session key cannot be moved between tuple and sid', () => {
  assert.notEqual(bindingOf('["a"]', 'b'), bindingOf('["a"]b', undefined))
  assert.notEqual(jtiHash({ iss: 'ab', jti: 'c' }), jtiHash({ iss: 'a', jti: 'bc' }))
})
