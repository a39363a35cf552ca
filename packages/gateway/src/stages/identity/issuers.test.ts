import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../testing/verifies.ts'
import type { IssuerRules } from './identity.ts'
import { GATE, ISSUER, NOW_S, bench, refuses, token } from './testing/bench.ts'

const HOUR_S = 3_600
const WEEK_MS = 7 * 86_400_000
const until = NOW_S * 1_000 + WEEK_MS
const absent = { client_id: undefined, scope: undefined }

// Claims as the issuers' own documents show them for access tokens.
const ENTRA = {
  ...absent,
  aud: 'api://callgate',
  exp: NOW_S + 75 * 60,
  jti: undefined,
  azp: '6e74172b-be56-4843-9ff4-e66a39bb12e3',
  idtyp: 'app',
  oid: '690222be-ff1a-4d56-abd1-7e4f7d38e474',
  scp: 'tools.read',
  tid: '72f988bf-86f1-41af-91ab-2d7cd011db47',
  uti: 'aJ5kB0r1mEyXx3mVmLgVAA',
  ver: '2.0',
}
const OKTA = {
  ...absent,
  exp: NOW_S + HOUR_S,
  nbf: undefined,
  cid: '0oabskvc6442nkvQO0h7',
  scp: ['tools.read'],
  uid: '00uid4BxXw6I6TV4m0g3',
  ver: 1,
}
const KEYCLOAK = {
  ...absent,
  exp: NOW_S + 300,
  nbf: undefined,
  azp: 'agents',
  scope: 'email profile',
  session_state: 'e0a0d7f1',
  typ: 'Bearer',
}

const rulesFor = (rules: Partial<IssuerRules>): { issuers: IssuerRules[] } => ({
  issuers: [{ issuer: ISSUER, ...rules }],
})
const entra = rulesFor({
  claims: { clientId: 'azp', jti: 'uti' },
  exception: { until, without: [], maxTokenLifeS: 5_400, audiences: ['api://callgate'] },
})
const okta = rulesFor({
  claims: { clientId: 'cid' },
  exception: { until, without: ['nbf'], maxTokenLifeS: HOUR_S, audiences: [] },
})
const keycloak = rulesFor({
  claims: { clientId: 'azp', sid: 'session_state' },
  exception: { until, without: ['nbf'], audiences: [] },
})

test('tokens as Entra, Okta and Keycloak mint them are refused, and the refusal names the ways out', async () => {
  verifies('play2.issuer-exceptions')
  const { ask } = bench()
  for (const [claims, code] of [
    [ENTRA, 'CG_IDENTITY_CLAIM'],
    [{ ...ENTRA, jti: 'x' }, 'CG_IDENTITY_LIFETIME'],
    [{ ...ENTRA, jti: 'x', exp: NOW_S + 600 }, 'CG_IDENTITY_AUDIENCE'],
    [OKTA, 'CG_IDENTITY_CLAIM'],
    [{ ...OKTA, nbf: NOW_S }, 'CG_IDENTITY_LIFETIME'],
    [KEYCLOAK, 'CG_IDENTITY_CLAIM'],
  ] as const) {
    const refusal = await refuses(ask(token(claims)), code, /./)
    if (code === 'CG_IDENTITY_AUDIENCE') continue
    assert.match(refusal.publicText ?? '', /exception that ends .* or exchange the token/)
    assert.match(refusal.internal, /exception that ends .* or exchange the token/)
  }
})

test('under an exception they are accepted, each claim by the name that its issuer gives it', async () => {
  verifies('play2.issuer-exceptions')
  const asked = async (rules: { issuers: IssuerRules[] }, claims: Record<string, unknown>) =>
    (await bench(rules).ask(token(claims))).principal
  assert.equal((await asked(entra, ENTRA)).clientId, ENTRA.azp)
  assert.equal((await asked(okta, OKTA)).clientId, OKTA.cid)
  assert.equal((await asked(keycloak, KEYCLOAK)).clientId, 'agents')
})

test('an exception lets pass what it names and nothing else', async () => {
  verifies('play2.issuer-exceptions')
  const { ask } = bench(okta)
  await ask(token(OKTA))
  await refuses(ask(token({ ...OKTA, jti: undefined })), 'CG_IDENTITY_CLAIM', /`jti` is missing/)
  await refuses(ask(token({ ...OKTA, exp: NOW_S + HOUR_S + 1 })), 'CG_IDENTITY_LIFETIME', /lives 3601 s/)
  await refuses(ask(token({ ...OKTA, nbf: NOW_S + 100 })), 'CG_IDENTITY_NOT_YET_VALID', /nbf/)
  await refuses(ask(token({ ...OKTA, aud: 'api://callgate' })), 'CG_IDENTITY_AUDIENCE', /aud/)
  await refuses(bench(entra).ask(token({ ...ENTRA, aud: 'api://other' })), 'CG_IDENTITY_AUDIENCE', /aud/)
  await refuses(bench(entra).ask(token({ ...ENTRA, uti: undefined })), 'CG_IDENTITY_CLAIM', /uti/)
  await bench(entra).ask(token({ ...ENTRA, aud: GATE }))
})

test('without a jti what is signed of the token is what cannot be used again, however it is signed', async () => {
  verifies('play2.issuer-exceptions')
  const { ask } = bench(rulesFor({ exception: { until, without: ['jti'], audiences: [] } }))
  const [one, other] = [token({ jti: undefined }), token({ jti: undefined, exp: NOW_S + 599 })]
  await ask(one)
  await refuses(ask(one), 'CG_IDENTITY_REPLAYED', /used before/)
  // Whoever saw an ES256 signature can write it another way, (r, n - s), without the key.
  await refuses(ask(twinOf(one)), 'CG_IDENTITY_REPLAYED', /used before/)
  await ask(other)
  await ask(twinOf(token()))
})

/** The same token with the other signature that ECDSA has for it. */
function twinOf(text: string): string {
  const [head, payload, signature = ''] = text.split('.')
  const bytes = Buffer.from(signature, 'base64url')
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const s = order - BigInt(`0x${bytes.subarray(32).toString('hex')}`)
  const twin = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
  return `${head}.${payload}.${twin.toString('base64url')}`
}

test('from its last day on an exception grants nothing, also to a token that it had let pass', async () => {
  verifies('play2.issuer-exceptions')
  const { ask } = bench({
    ...rulesFor({ exception: { until: (NOW_S + 60) * 1_000, without: ['nbf'], audiences: [] } }),
    replay: 'session',
  })
  const early = token({ nbf: undefined })
  await ask(early)
  await ask(early, {}, NOW_S + 60)
  await refuses(ask(early, {}, NOW_S + 91), 'CG_IDENTITY_EXPIRED', /exp/)
  await refuses(ask(token({ nbf: undefined }), {}, NOW_S + 60), 'CG_IDENTITY_CLAIM', /`nbf` is missing/)
  await ask(token(), {}, NOW_S + 60)
})
