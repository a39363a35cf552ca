import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { verifies } from '../../testing/verifies.ts'
import { createCredentials } from './index.ts'
import { isCredentialHeader } from '../../ports/credentials.ts'
import type { ClientAuthentication, CredentialConfig } from './options.ts'
import { bench, GATE, NETWORK, principal, SECRET, SECRETS, tokenEndpoint, noToken } from './testing/bench.ts'

const BASIC = { method: 'client_secret_basic', secret: 'file:client' } as const
const client = { clientId: 'gate client', auth: BASIC, network: NETWORK } as const

test('a fixed secret is shown as a bearer token or under a header of its own, and read once', async () => {
  const bearer = bench({ type: 'bearer', secret: 'file:fixed' })
  const first = await bearer.headers(principal())
  assert.deepEqual(first, ['authorization', 'Bearer fixed-1'])
  assert.equal(bearer.credentials.headersFor('crm', undefined, AbortSignal.timeout(1_000)), first)
  const header = bench({ type: 'header', name: 'X-Api-Key', secret: 'file:fixed' })
  assert.deepEqual(await header.headers(), ['X-Api-Key', 'fixed-1'])
})

test('a server without credentials gets no headers', () => {
  const { credentials } = bench({ type: 'bearer', secret: 'file:fixed' })
  assert.deepEqual(credentials.headersFor('other', principal(), AbortSignal.timeout(1_000)), [])
})

test('a rotated secret is asked for anew at the first 401, and every five seconds as it is kept where secrets are read', async () => {
  const secrets = { 'file:fixed': 'old' }
  const { credentials, headers, pass } = bench({ type: 'bearer', secret: 'file:fixed' }, secrets)
  const old = await headers()
  secrets['file:fixed'] = 'new'
  assert.equal(await headers(), old)
  credentials.refused('crm', undefined, old)
  assert.deepEqual(await headers(), ['authorization', 'Bearer new'])
  secrets['file:fixed'] = 'newer'
  pass(4_999)
  assert.deepEqual(await headers(), ['authorization', 'Bearer new'])
  pass(1)
  assert.deepEqual(await headers(), ['authorization', 'Bearer newer'])
})

test('a secret that would end its header, or is not there, is refused by its reference alone', async () => {
  for (const value of ['', 'two words', 'canary\nhost: evil', 'canary\u0000', 'é', 'x'.repeat(8_193)]) {
    const { headers } = bench({ type: 'bearer', secret: 'file:fixed' }, { 'file:fixed': value })
    await assert.rejects(headers(), (error: Error) => {
      assert.match(error.message, /^secret `file:fixed` of server `crm` is empty, longer than/)
      return !error.message.includes('canary')
    })
  }
  await assert.rejects(bench({ type: 'bearer', secret: 'file:gone' }).headers(), {
    fault: 'unavailable',
    message: 'secret `file:gone` of server `crm` cannot be read',
  })
  const near = bench({ type: 'bearer', secret: 'file:fixed' }, { 'file:fixed': 'x'.repeat(8_192) })
  assert.equal((await near.headers()).length, 2)
})

test('no header that HTTP, MCP, proxies or tracing read can carry a secret', () => {
  const refused = [
    'Host',
    'content-length',
    'Content-Type',
    'Connection',
    'Mcp-Session-Id',
    'mcp-name',
    'Cookie',
  ]
  refused.push(
    'Proxy-Authorization',
    'Transfer-Encoding',
    'x-forwarded-for',
    'accept',
    'last-event-id',
    'dpop',
  )
  for (const name of [...refused, '', 'a b', 'a:b', 'x\r\ny', 'x'.repeat(65)]) {
    assert.equal(isCredentialHeader(name), false, name)
    const make = (): unknown => bench({ type: 'header', name, secret: 'file:fixed' })
    assert.throws(make, { name: 'TypeError', message: /^`servers\.crm\.credentials\.name` is `/ })
  }
  for (const name of ['Authorization', 'X-Api-Key', 'api_key', 'Hostess', 'X-Mcp-Key', 'PRIVATE-TOKEN'])
    assert.equal(isCredentialHeader(name), true, name)
})

const METHODS: readonly ClientAuthentication[] = [
  BASIC,
  { method: 'client_secret_post', secret: 'file:client' },
  { method: 'private_key_jwt', key: 'file:pem', alg: 'EdDSA', kid: 'client-1' },
  { method: 'private_key_jwt', key: 'file:jwk', alg: 'EdDSA' },
]

test('client credentials come by every authentication method, by token URL and by issuer', async () => {
  verifies('play2.no-passthrough.own-credentials')
  const endpoint = await tokenEndpoint()
  for (const auth of METHODS) {
    for (const place of [{ tokenUrl: endpoint.url }, { issuer: endpoint.issuer }]) {
      const config: CredentialConfig = {
        ...client,
        ...place,
        auth,
        type: 'client_credentials',
        scope: 'read',
        resource: 'https://crm.example/mcp',
        audience: 'crm',
      }
      const [name, value] = await bench(config).headers(principal())
      const granted = endpoint.granted.at(-1)
      assert.equal(name, 'authorization')
      assert.equal(value, `Bearer ${granted?.token}`)
      assert.equal(granted?.method, auth.method)
      assert.equal(granted.form.get('resource'), 'https://crm.example/mcp')
      assert.equal(granted.form.get('audience'), 'crm')
      assert.equal(granted.subject, undefined)
    }
  }
  assert.equal(endpoint.granted.length, 8)
})

test('a wrong secret, a foreign key, a key of another kind and no key at all are told apart', async () => {
  const endpoint = await tokenEndpoint()
  const other = {
    ...SECRETS,
    'file:client': 'wrong',
    'file:jwk': SECRETS['file:pem'] ?? '',
    'file:pem': SECRET,
  }
  const say = async (auth: ClientAuthentication, secrets: Record<string, string>): Promise<string> => {
    const { headers } = bench(
      { ...client, type: 'client_credentials', tokenUrl: endpoint.url, auth },
      secrets,
    )
    const error: unknown = await headers().catch((cause: unknown) => cause)
    assert.ok(error instanceof Error)
    assert.ok(!inspect(error, { depth: 10 }).includes(SECRET))
    return error.message
  }
  assert.match(await say(BASIC, other), /refuses with `invalid_client` \(HTTP 401\); check `servers\.crm\./)
  const pem = { method: 'private_key_jwt', key: 'file:pem', alg: 'EdDSA' } as const
  assert.match(await say(pem, other), /^key `file:pem` of server `crm` is no private key in PEM or JWK form$/)
  assert.match(await say({ ...pem, alg: 'ES256' }, SECRETS), /is `ed25519`, which cannot sign `ES256`$/)
})

test('an exchange shows a short assertion of the gate, with subject, actor, tenant and grants', async () => {
  verifies('play2.no-passthrough.own-credentials')
  const endpoint = await tokenEndpoint()
  const config = { ...client, type: 'token_exchange', tokenUrl: endpoint.url, actorToken: true } as const
  const { headers } = bench(config)
  await headers(principal())
  const granted = endpoint.granted.at(-1)
  const { iat = 0, exp = 0, jti = '', ...claims } = granted?.subject ?? {}
  assert.deepEqual(claims, {
    iss: GATE.issuer,
    aud: endpoint.url,
    sub: 'ada',
    sub_id: { format: 'iss_sub', iss: 'https://idp.example', sub: 'ada' },
    act: { sub: 'planner' },
    client_id: 'desk',
    tenant: 'acme',
    scope: 'crm:read crm:write',
  })
  assert.ok(exp - iat <= 60 && jti.length >= 32)
  assert.equal(granted?.actor?.sub, 'planner')
  assert.equal(granted.form.get('requested_token_type'), 'urn:ietf:params:oauth:token-type:access_token')
})

test('the gate itself gets a token by client credentials where callers get theirs by exchange', async () => {
  const endpoint = await tokenEndpoint()
  const { headers } = bench({ ...client, type: 'token_exchange', tokenUrl: endpoint.url })
  await headers()
  assert.equal(endpoint.granted.at(-1)?.form.get('grant_type'), 'client_credentials')
})

const DETAIL = {
  locations: ['crm'],
  actions: ['tools/call:crm.read'],
  datatypes: undefined,
  purpose: undefined,
}

test('an exchanged token is shared by equal principals only', async () => {
  verifies('identity.exchange-per-principal')
  const endpoint = await tokenEndpoint()
  const { headers } = bench({ ...client, type: 'token_exchange', tokenUrl: endpoint.url })
  const first = await headers(principal())
  const { token } = principal()
  // Another token of the same person by the same agent, and the same grants in another order, change nothing.
  assert.equal(await headers(principal({ token: { ...token, jtiHash: 'f', iat: 1, exp: 2 } })), first)
  assert.equal(await headers(principal({ grants: ['crm:write', 'crm:read'] })), first)
  const others = [
    principal({ subject: 'eve' }),
    principal({ tenant: 'other' }),
    principal({ clientId: 'other' }),
    principal({ actor: { id: 'other', type: 'agent' } }),
    principal({ grants: ['crm:read'] }),
    principal({ details: [DETAIL] }),
    principal({ token: { ...token, iss: 'https://other.example' } }),
    // The border between two parts cannot be moved.
    principal({ tenant: 'acme","planner', actor: { id: '', type: 'agent' } }),
  ]
  const tokens = await Promise.all(others.map((other) => headers(other)))
  assert.equal(new Set([first, ...tokens].map(String)).size, 9)
  assert.equal(endpoint.granted.length, 9)
  // The issuer is told what narrows the caller here.
  const narrowed = endpoint.granted.map(({ subject }) => subject?.['authorization_details'])
  assert.deepEqual(
    narrowed.filter((details) => details !== undefined),
    [[{ type: 'mcp_tool_call', locations: ['crm'], actions: ['tools/call:crm.read'] }]],
  )
})

test("a caller's token is no input of the port, and nothing of it leaves", async () => {
  verifies('play2.no-passthrough')
  const endpoint = await tokenEndpoint()
  const { headers } = bench({ ...client, type: 'token_exchange', tokenUrl: endpoint.url, actorToken: true })
  // Principal has no member for the token: whoever smuggles one in must find it ignored.
  const smuggled = {
    ...principal(),
    secret: 'canary-token',
    token: { ...principal().token, jtiHash: 'canary-jti' },
  }
  const shown = await headers(smuggled)
  const left = [...endpoint.seen, ...shown].join('\n')
  const decoded = [...left.matchAll(/eyJ[\w-]+\.([\w-]+)\./g)].map(([, part = '']) =>
    Buffer.from(part, 'base64url').toString(),
  )
  assert.equal(decoded.length, 2)
  assert.ok(decoded[0]?.includes('"ada"'))
  for (const text of [left, ...decoded]) assert.ok(!text.includes('canary'), text)
})

test('a configuration that cannot work is refused at once, by its key', () => {
  const make = (config: object) => (): unknown => bench({ ...client, type: 'client_credentials', ...config })
  assert.throws(make({}), /^TypeError: `servers\.crm\.credentials` needs either `issuer` or `tokenUrl`$/)
  assert.throws(make({ issuer: 'https://a.example', tokenUrl: 'https://a.example/t' }), /needs either/)
  for (const url of ['http://a.example/t', 'ftp://a.example', 'nonsense', 'http://10.0.0.1/t'])
    assert.throws(make({ tokenUrl: url }), /tokenUrl` must be an https URL/, url)
  for (const url of ['https://u:p@a.example/t', 'https://a.example/t#x'])
    assert.throws(make({ tokenUrl: url }), /must have no user info and no fragment$/, url)
  for (const host of [
    '169.254.169.254',
    'metadata.google.internal',
    '[fd00:ec2::254]',
    '10.0.0.1',
    '100.100.100.200',
  ])
    assert.throws(
      make({ tokenUrl: `https://${host}/t` }),
      /is not in `servers\.crm\.credentials\.network`$/,
      host,
    )
  const metadata = { tokenUrl: 'https://169.254.169.254/t', network: ['169.254.0.0/16'] }
  assert.throws(make(metadata), /is not in/)
  assert.doesNotThrow(make({ tokenUrl: 'https://10.0.0.1/t', network: ['10.0.0.0/8'] }))
  assert.doesNotThrow(make({ tokenUrl: 'https://a.example/t' }))
  const exchange = { ...client, type: 'token_exchange', tokenUrl: 'https://a.example/t' } as const
  const keyless = {
    gate: undefined,
    signInToken: noToken,
    readSecret: () => Promise.reject(new Error('unread')),
  }
  assert.throws(() => createCredentials({ crm: exchange }, keyless), /has no key to sign for its callers$/)
})
