import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type JSONWebKeySet, createLocalJWKSet, jwtVerify } from 'jose'
import {
  TestTokenEndpoint,
  keyPair,
} from '../packages/gateway/src/adapters/credentials/testing/token-endpoint.ts'
import { openDevIssuer } from '../packages/gateway/src/adapters/keys/dev-issuer.ts'
import { loadSigningKey } from '../packages/gateway/src/adapters/file/signing-key.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { TestGate } from './harness/gate.ts'
import { oneTool } from './harness/one-tool.ts'

const BEARER = 'canary-bearer-0a1b2c3d'
const API_KEY = 'canary-api-key-4e5f6071'
const CLIENT_SECRET = 'canary-client-secret-8293a4b5'
const NETWORK = '["127.0.0.1/32"]'

/** A tool server that takes nobody without credentials, answers with those that it was shown, and keeps all that came in. */
class SpyServer {
  readonly seen: string[] = []
  /** Credentials that it refuses from now on. */
  readonly refused = new Set<string>()
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      this.seen.push(`${request.method} ${request.url} ${request.rawHeaders.join(' ')} ${body}`)
      const shown = String(request.headers.authorization ?? request.headers['x-api-key'] ?? '')
      if (shown === '' || this.refused.has(shown)) return void response.writeHead(401).end()
      const { status, json } = oneTool('shown', shown, body)
      response.writeHead(status, { 'content-type': 'application/json' }).end(json)
    })
  })

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/mcp`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

const folder = mkdtempSync(join(tmpdir(), 'callgate-own-'))
const spy = new SpyServer()
let issuer: TestTokenEndpoint
let gate: TestGate
let url = ''

const server = (id: string, credentials: string, more = ''): string => {
  const own = (credentials === '' ? '' : `, credentials: { ${credentials} }`) + more
  return `${id}: { url: "${url}", network: ${NETWORK}, approve: first-use${own} }`
}

before(async () => {
  writeFileSync(join(folder, 'bearer'), `${BEARER}\n`, { mode: 0o600 })
  writeFileSync(join(folder, 'client'), `${CLIENT_SECRET}\n`, { mode: 0o600 })
  const { publicKey } = await loadSigningKey(join(folder, 'gate', 'state', 'keys', 'assertion.key'))
  issuer = await new TestTokenEndpoint({
    clientId: 'callgate',
    secret: CLIENT_SECRET,
    clientKey: keyPair().publicKey,
    gateIssuer: 'urn:callgate',
    gateKey: publicKey,
    scopes: ['tools'],
    resources: [],
  }).start()
  url = await spy.start()
  writeFileSync(join(folder, 'told'), 'eyJhbGciOiJub25lIn0.eyJub3QiOiJhIn0.token\n', { mode: 0o600 })
  writeFileSync(
    join(folder, 'leak'),
    `${openDevIssuer(join(folder, 'leaky', 'state')).mint({ audience: 'x', subject: 's', clientId: 'c', scope: '', lifetimeS: 60 }).token}\n`,
    { mode: 0o600 },
  )
  const client = `tokenUrl: "${issuer.url}", clientId: callgate, auth: { method: client_secret_basic, secret: "file:../client" }, scope: tools, network: ${NETWORK}`
  gate = await TestGate.start({
    folder: join(folder, 'gate'),
    servers: [
      server('bearer', 'type: bearer, secret: "file:../bearer"'),
      server(
        'header',
        `type: header, name: X-Api-Key, secret: 'exec:["${process.execPath}", "-p", "\\"${API_KEY}\\""]'`,
      ),
      server('client', `type: client_credentials, ${client}`),
      server('exchange', `type: token_exchange, ${client}`),
      server('bare', ''),
      server('told', 'type: bearer, secret: "file:../bearer"', ', assertCaller: true'),
    ].join('\n'),
  })
})
after(async () => {
  await gate.close()
  await issuer.close()
  spy.close()
  rmSync(folder, { recursive: true, force: true })
})

test('every gate under test ends when a caller’s token leaves it', async (t) => {
  verifies('play2.no-passthrough')
  const leaky = await TestGate.start(
    {
      folder: join(folder, 'leaky'),
      servers:
        server('told', 'type: bearer, secret: "file:../told"', ', assertCaller: true') +
        '\n' +
        server('leak', 'type: bearer, secret: "file:../leak"'),
      env: { NODE_OPTIONS: '' },
      identity: 'issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }]\nreplay: session',
    },
    t,
  ).catch((error: unknown) => String(error))
  assert.match(
    typeof leaky === 'string' ? leaky : 'it runs',
    /the gate ended with 86: .*a caller's token left the gate/s,
  )
})

const shownTo = async (server: string, token?: string): Promise<string> =>
  (await gate.call(`${server}__shown`, {}, token === undefined ? {} : { token })).text

test('each server is shown the credentials that are configured for it, and a server without any is shown none', async () => {
  verifies('play2.no-passthrough.own-credentials')
  assert.equal(await shownTo('bearer'), `Bearer ${BEARER}`)
  assert.equal(await shownTo('header'), API_KEY)
  assert.match(await shownTo('client'), /^Bearer \S+$/)
  const listed = (await gate.rpc('tools/list', {})).json()['result'] as { tools: { name: string }[] }
  assert.deepEqual(listed.tools.map(({ name }) => name).toSorted(), [
    'bearer__shown',
    'client__shown',
    'exchange__shown',
    'header__shown',
    'told__shown',
  ])
})

test('a token is exchanged for each caller and kept for the next call of the same caller', async () => {
  verifies('play2.no-passthrough.own-credentials')
  const [alice, bob] = [gate.mint({ subject: 'alice' }), gate.mint({ subject: 'bob' })]
  const first = await shownTo('exchange', alice)
  assert.equal(await shownTo('exchange', alice), first)
  const other = await shownTo('exchange', bob)
  assert.notEqual(other, first)
  const subjects = issuer.granted.flatMap(({ subject }) => (subject === undefined ? [] : [subject['sub']]))
  assert.deepEqual(subjects, ['alice', 'bob'])
  const narrow = gate.mint({ subject: 'alice', scope: 'tools' })
  assert.notEqual(
    await shownTo('exchange', narrow),
    first,
    'other grants of one session have a token of their own',
  )
})

test('a token that the server refuses before its time is replaced, once, within the call', async () => {
  verifies('play2.no-passthrough.own-credentials')
  const old = await shownTo('client')
  assert.equal(await shownTo('client'), old, 'one token serves all calls')
  const before = issuer.granted.length
  spy.refused.add(old)
  const next = await shownTo('client')
  assert.match(next, /^Bearer \S+$/)
  assert.notEqual(next, old)
  assert.equal(issuer.granted.length, before + 1)
})

test('nothing of the caller ever reaches a server: not the token, no part of it, no claim', async () => {
  verifies('play2.no-passthrough')
  const token = gate.mint({ subject: 'canary-subject', clientId: 'canary-client', sid: 'canary-sid' })
  for (const server of ['bearer', 'header', 'client', 'exchange']) await shownTo(server, token)
  const sent = spy.seen.join('\n')
  const { jti } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
    jti: string
  }
  for (const canary of [token, ...token.split('.'), jti, 'canary-subject', 'canary-client', 'canary-sid'])
    assert.equal(sent.includes(canary), false, canary)
  const asked = issuer.seen.join('\n')
  for (const part of [token, token.split('.')[1] ?? token, token.split('.')[2] ?? token, jti])
    assert.equal(asked.includes(part), false)
})

test('a server that is told of its callers gets an assertion for itself, this tool and these arguments; others get none', async () => {
  verifies('identity.caller-assertion')
  const jwks = JSON.parse(
    readFileSync(join(folder, 'gate', 'state', 'keys', 'assertion.jwks.json'), 'utf8'),
  ) as JSONWebKeySet
  const token = gate.mint({ subject: 'canary-owner' })
  const asserted = async (id: string): Promise<string | undefined> => {
    await gate.call(`${id}__shown`, { order: 17 }, { token })
    return /"callgate\/caller":"([^"]+)"/.exec(spy.seen.findLast((text) => text.includes('order')) ?? '')?.[1]
  }
  const { payload } = await jwtVerify((await asserted('told')) ?? '', createLocalJWKSet(jwks), {
    issuer: 'urn:callgate',
    audience: 'told',
    typ: 'callgate-caller+jwt',
  })
  assert.deepEqual(
    [payload.sub, payload['tool'], payload['args_sha256']],
    ['canary-owner', 'shown', hash('sha256', '{"order":17}', 'base64url')],
  )
  assert.equal(await asserted('bearer'), undefined)
})

test('secrets and tokens of the gate stand in no record, no message and no output', async () => {
  verifies('play7.logging.tokens')
  const own = [BEARER, API_KEY, CLIENT_SECRET, ...issuer.granted.map(({ token }) => token)]
  const told = JSON.stringify(await gate.records()) + gate.stderr
  for (const secret of own) assert.equal(told.includes(secret), false)
  assert.ok(own.length > 4)
})

test('a secret that is taken away ends the calls that need it, and no others; what the record says names its reference', async (t) => {
  writeFileSync(join(folder, 'gone'), 'canary-gone', { mode: 0o600 })
  const down = await TestGate.start(
    {
      folder: join(folder, 'down'),
      servers: [
        server('gone', 'type: bearer, secret: "file:../gone"'),
        server('kept', 'type: bearer, secret: "file:../bearer"'),
      ].join('\n'),
      more: 'listener: { port: 0 }\nsecrets: { ttlS: 0 }',
    },
    t,
  )
  assert.equal((await down.call('gone__shown', {})).text, 'Bearer canary-gone')
  rmSync(join(folder, 'gone'))
  spy.refused.add('Bearer canary-gone')
  const { isError, text } = await down.call('gone__shown', {})
  assert.ok(isError)
  assert.match(text, /^CG_UPSTREAM_UNAVAILABLE/)
  assert.doesNotMatch(text, /gone\b.*file|canary/)
  assert.equal((await down.call('kept__shown', {})).text, `Bearer ${BEARER}`)
  const last = (await down.records()).map(({ record }) => JSON.stringify(record)).join('\n')
  assert.match(last, /file:\.\.\/gone/)
})
