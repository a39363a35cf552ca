import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { isJsonObject } from '../../call/json.ts'
import { NotObtained } from './fault.ts'
import { createCredentials } from './index.ts'
import { bench, NETWORK, principal, SECRET, tokenEndpoint, type Bench, noToken } from './testing/bench.ts'
import { answer, type Misbehaviour } from './testing/token-endpoint.ts'
import { judgeTokenAnswer } from './token-answer.ts'
import { verifies } from '../../testing/verifies.ts'

const endpoint = await tokenEndpoint()
const elsewhere = await tokenEndpoint()

const client = {
  clientId: 'gate client',
  auth: { method: 'client_secret_post', secret: 'file:client' },
  network: NETWORK,
  tokenUrl: endpoint.url,
} as const
const own = (): Bench => bench({ ...client, type: 'client_credentials', scope: 'read write' })
const exchange = (): Bench => bench({ ...client, type: 'token_exchange', scope: 'read' })

/** A right answer to an exchange, changed. */
function says(changes: Readonly<Record<string, unknown>>): Misbehaviour {
  const body = {
    access_token: 'canary-token',
    token_type: 'Bearer',
    expires_in: 600,
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  }
  return (response) => answer(response, 200, { ...body, ...changes })
}

/** Has one request misbehave; the failure must hold neither our secret nor anything that the endpoint sent. */
async function failure(misbehave: Misbehaviour, { headers }: Bench): Promise<string> {
  endpoint.next.push(misbehave)
  const error: unknown = await headers(principal()).catch((cause: unknown) => cause)
  assert.ok(error instanceof Error, inspect(error))
  const text = inspect(error, { depth: 10 })
  assert.ok(!text.includes(SECRET) && !text.includes('canary'), text)
  assert.ok('fault' in error && error.fault === 'unavailable')
  return error.message
}

const TOKEN: readonly (readonly [changes: Readonly<Record<string, unknown>>, why: RegExp])[] = [
  [{ access_token: undefined }, /gives no access token/],
  [{ access_token: 7 }, /gives no access token/],
  [{ access_token: '' }, /gives no access token/],
  [{ access_token: 'canary\r\nhost: evil' }, /gives no access token/],
  [{ access_token: 'x'.repeat(8_193) }, /gives no access token/],
  [{ token_type: 'DPoP' }, /gives a DPoP token, which only its key could use/],
  [{ token_type: 'mac' }, /`token_type` is not Bearer/],
  [{ token_type: undefined }, /`token_type` is not Bearer/],
  [{ expires_in: '600' }, /`expires_in` is no positive integer/],
  [{ expires_in: 0 }, /`expires_in` is no positive integer/],
  [{ expires_in: 1.5 }, /`expires_in` is no positive integer/],
  [{ expires_in: null }, /`expires_in` is no positive integer/],
  [{ scope: 'read write' }, /for more than the scope `read` that was asked for/],
  [{ scope: ['read'] }, /`scope` is not a string/],
  [{ issued_token_type: undefined }, /`issued_token_type` is not that of an access token/],
  [{ issued_token_type: 'urn:ietf:params:oauth:token-type:id_token' }, /`issued_token_type` is not/],
]

test('a token that is malformed, wider than asked for or of another kind is not shown to a server', async () => {
  verifies('identity.token-answer-strict')
  for (const [changes, why] of TOKEN) assert.match(await failure(says(changes), exchange()), why)
})

test('a narrower scope, another case of Bearer, a JWT and a token of the longest kind are taken', async () => {
  const near = [
    { scope: '' },
    { token_type: 'bEARER' },
    { issued_token_type: 'urn:ietf:params:oauth:token-type:jwt' },
    { access_token: 'x'.repeat(8_192) },
    { expires_in: undefined },
    { 'more from the issuer': { nested: true } },
  ]
  for (const changes of near) {
    endpoint.next.push(says(changes))
    assert.equal((await exchange().headers(principal()))[0], 'authorization', inspect(changes))
  }
  // Client credentials need no issued_token_type.
  endpoint.next.push(says({ issued_token_type: undefined, scope: 'write' }))
  assert.deepEqual(await own().headers(), ['authorization', 'Bearer canary-token'])
})

const html: Misbehaviour = (response) => {
  response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>canary</h1>')
}
const gzip: Misbehaviour = (response) => {
  response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"access_token":"canary"}'))
}
const redirect: Misbehaviour = (response) => {
  response.writeHead(307, { location: elsewhere.url }).end()
}
/** Never ends: who does not stop reading at the cap reads until the attempt is over. */
const huge: Misbehaviour = (response) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  const more = (): void => {
    while (!response.destroyed && response.write('{"access_token":"canary"} '.repeat(100)));
  }
  response.on('drain', more)
  more()
}
const cut: Misbehaviour = (response) => {
  response.writeHead(200, { 'content-length': '100' }).write('{"access_token":"canary"')
  setImmediate(() => response.destroy())
}
const said = (status: number, body: unknown): Misbehaviour => {
  return (response) => answer(response, status, body)
}

const ANSWERS: readonly (readonly [misbehave: Misbehaviour, why: RegExp])[] = [
  [html, /answers without a JSON object$/],
  [said(200, ['canary']), /answers without a JSON object$/],
  [gzip, /answers in a compressed form that was not asked for$/],
  [redirect, /redirects \(HTTP 307\); redirects are not followed, configure the final URL$/],
  [huge, /answers with more than 65536 bytes$/],
  [cut, /broke off its answer$/],
  [(response) => response.destroy(), /cannot be reached \(`UND_ERR_SOCKET`\)$/],
  [
    said(400, { error: 'invalid_grant', error_description: 'canary' }),
    /refuses with `invalid_grant` \(HTTP 400\)$/,
  ],
  [
    said(401, { error: 'invalid_client' }),
    /`invalid_client` \(HTTP 401\); check `servers\.crm\.credentials\.clientId`/,
  ],
  [said(400, { error: 'canary' }), /refuses without an error that OAuth names \(HTTP 400\)$/],
  [said(403, 'canary'), /refuses without an error that OAuth names \(HTTP 403\)$/],
  [said(201, { access_token: 'canary' }), /refuses without an error that OAuth names \(HTTP 201\)$/],
  [said(429, {}), /is asked too often \(HTTP 429\)$/],
  [said(500, { error: 'canary' }), /fails \(HTTP 500\)$/],
]

test('each way to answer wrongly has its own reason, and none repeats what came', async () => {
  for (const [misbehave, why] of ANSWERS) assert.match(await failure(misbehave, own()), why)
  assert.deepEqual(elsewhere.seen, [], 'a redirect was followed')
})

test('an endpoint that says nothing is given up, its socket closed, and so is a secret that does not come', async () => {
  const { headers } = bench({ ...client, type: 'client_credentials' }, undefined, 200)
  const closed = Promise.withResolvers<void>()
  endpoint.next.push((response) => response.on('close', closed.resolve))
  await assert.rejects(headers(), {
    fault: 'unavailable',
    message: /^credentials of server `crm` did not come within/,
  })
  await closed.promise
  const readSecret = (): Promise<never> => new Promise(() => {})
  const config = { type: 'bearer', secret: 'exec:hangs' } as const
  const hangs = createCredentials(
    { crm: config },
    { readSecret, signInToken: noToken, gate: undefined, attemptMs: 50 },
  )
  const waiting = Promise.resolve(hangs.headersFor('crm', undefined, AbortSignal.timeout(10_000)))
  await assert.rejects(waiting, /did not come within 50 ms$/)
  await hangs.close()
})

test('an error that concerns one caller stops that caller; one that concerns the client stops everyone', async () => {
  const one = exchange()
  endpoint.next.push(said(400, { error: 'invalid_grant' }))
  await assert.rejects(one.headers(principal()), /invalid_grant/)
  await assert.rejects(one.headers(principal()), /`invalid_grant` \(HTTP 400\); tried again in 1 s$/)
  assert.equal((await one.headers(principal({ subject: 'bob' }))).length, 2)
  const all = exchange()
  endpoint.next.push(said(401, { error: 'invalid_client' }))
  await assert.rejects(all.headers(principal()), /invalid_client/)
  await assert.rejects(all.headers(principal({ subject: 'bob' })), /tried again in 1 s$/)
})

test('Retry-After is heeded, in seconds and as a date, up to five minutes', async () => {
  const soon = new Date(Date.now() + 120_000).toUTCString()
  for (const [value, waitS] of [
    ['40', 40],
    [soon, 118],
    ['999999999', 300],
    ['soon', 0.5],
  ] as const) {
    const { headers, pass } = own()
    endpoint.next.push((response) => answer(response, 429, {}, { 'retry-after': value }))
    await assert.rejects(headers(), /HTTP 429/)
    pass((waitS - 0.1) * 1_000)
    await assert.rejects(headers(), /tried again in/, value)
    pass(2_500)
    assert.equal((await headers()).length, 2, value)
  }
})

test('metadata must be of the issuer that was configured, and name an endpoint that a secret may go to', async () => {
  const config = {
    ...client,
    tokenUrl: undefined,
    issuer: endpoint.issuer,
    type: 'client_credentials',
  } as const
  const { tokenUrl: _, ...byIssuer } = config
  const discovery: readonly (readonly [Misbehaviour, RegExp])[] = [
    [
      said(200, { issuer: `${endpoint.issuer}/`, token_endpoint: elsewhere.url }),
      /name another issuer or no token/,
    ],
    [said(200, { issuer: endpoint.issuer }), /name another issuer or no token endpoint/],
    [said(200, { issuer: endpoint.issuer, token_endpoint: 'http://a.example/t' }), /must be an https URL/],
    [said(200, { issuer: endpoint.issuer, token_endpoint: 'https://169.254.169.254/' }), /is not in/],
    [said(500, {}), /cannot be read \(HTTP 500\)$/],
    [html, /are no JSON object$/],
    [redirect, /redirects are not followed/],
  ]
  for (const [misbehave, why] of discovery) assert.match(await failure(misbehave, bench(byIssuer)), why)
  assert.deepEqual(elsewhere.seen, [])
  // RFC 8414's place says 404: that of OpenID Connect is asked next.
  endpoint.next.push(said(404, {}), said(200, { issuer: endpoint.issuer, token_endpoint: endpoint.url }))
  assert.equal((await bench(byIssuer).headers()).length, 2)
  endpoint.next.push(said(404, {}), said(404, {}))
  await assert.rejects(
    bench(byIssuer).headers(),
    /publishes no metadata; configure `servers\.crm\.credentials\.tokenUrl`/,
  )
})

test('a name that resolves to an address outside its network is refused where it is resolved', async () => {
  const port = new URL(endpoint.url).port
  const tokenUrl = `http://localhost:${port}/tenant/token`
  const before = endpoint.seen.length
  const outside = bench({ ...client, type: 'client_credentials', tokenUrl, network: ['10.0.0.0/8'] })
  await assert.rejects(
    outside.headers(),
    /: `localhost` resolves to `[^`]+`, which is not in `servers\.crm\.credentials\.network`$/,
  )
  assert.equal(endpoint.seen.length, before)
  const inside = bench({ ...client, type: 'client_credentials', tokenUrl, network: [...NETWORK, '::1/128'] })
  assert.equal((await inside.headers()).length, 2)
})

test('whatever an endpoint answers, it is refused by its reason or gives one bearer header for at most an hour', () => {
  const odd = fc.jsonValue({ maxDepth: 1 })
  const mostly = (right: unknown): fc.Arbitrary<unknown> =>
    fc.oneof({ weight: 9, arbitrary: fc.constant(right) }, odd)
  const answers = fc.record(
    {
      access_token: fc.oneof(fc.string(), mostly('token')),
      token_type: mostly('bearer'),
      expires_in: fc.oneof(fc.integer(), fc.double(), mostly(60)),
      scope: fc.oneof(mostly('read'), fc.constantFrom('', ' read ', 'read write', 'READ')),
      issued_token_type: mostly('urn:ietf:params:oauth:token-type:jwt'),
      error: fc.oneof(fc.string(), odd),
    },
    { requiredKeys: [] },
  )
  const reply = fc.record({
    status: fc.oneof({ weight: 3, arbitrary: fc.constant(200) }, fc.integer({ min: 200, max: 599 })),
    body: answers,
  })
  let taken = 0
  const seed = Date.now() % 2 ** 31
  fc.assert(
    fc.property(reply, fc.boolean(), ({ status, body }, isExchange) => {
      const json: unknown = JSON.parse(JSON.stringify(body))
      assert.ok(isJsonObject(json))
      try {
        const asked = { scope: 'read', exchange: isExchange }
        const { headers, keepMs } = judgeTokenAnswer('crm', asked, { status, retryAfterMs: 0, body: json })
        taken++
        assert.equal(status, 200)
        assert.match(headers.join(': '), /^authorization: Bearer [\x21-\x7e]{1,8192}$/)
        assert.ok(keepMs >= 0 && keepMs <= 3_600_000)
        assert.ok(
          ['', ' read ', 'read', undefined].some((scope) => scope === json['scope']),
          'wider scope',
        )
      } catch (cause) {
        assert.ok(cause instanceof NotObtained, inspect(cause))
        assert.match(cause.message, /^token endpoint of server `crm` [\x20-\x7e]+$/)
      }
    }),
    { seed, numRuns: 700 },
  )
  assert.ok(taken > 10, `${taken} answers were taken with seed ${seed}`)
})
