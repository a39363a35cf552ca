// Servers that act in a person's name, by tokens that the person consented to (RFC 6749 section 4.1, RFC 8252, RFC 9700).
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as fc from 'fast-check'
import { rotateSealKeys } from '../packages/gateway/src/adapters/file/seal-keys.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { ConsentIssuer } from './harness/consent-issuer.ts'
import { control } from './harness/enrolment.ts'
import { BIN, TestGate } from './harness/gate.ts'
import { oneTool } from './harness/one-tool.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-consent-'))
const POLICY = [
  '- { rule: all, when: { tool: "*" }, decision: allow }',
  '- { rule: not-him, when: { server: [crm], actor: barred }, decision: deny }',
].join('\n')
const NETWORK = 'network: ["127.0.0.1/32"]'

/** A server that says whose account its token is of; whether it lists its tools to anybody is for the test to say. */
class AccountServer {
  readonly seen: string[] = []
  open = true
  readonly #issuer: ConsentIssuer
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      this.seen.push(`${request.url} ${request.rawHeaders.join(' ')} ${body}`)
      const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1]
      const account = token === undefined ? undefined : this.#issuer.accountOf(token)
      const anybody = this.open && token === undefined && !body.includes('tools/call')
      if (account === undefined && !anybody) return void response.writeHead(401).end()
      const { status, json } = oneTool('whose', `account of ${account}`, body)
      response.writeHead(status, { 'content-type': 'application/json' }).end(json)
    })
  })

  constructor(issuer: ConsentIssuer) {
    this.#issuer = issuer
  }

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

let issuer: ConsentIssuer
let crm: AccountServer
let servers = ''
let gate: TestGate

const start = (t?: TestContext, own = join(folder, 'gate'), which = servers) =>
  TestGate.start({ folder: own, servers: which, policy: POLICY }, t)

before(async () => {
  issuer = await new ConsentIssuer().start()
  crm = new AccountServer(issuer)
  const url = await crm.start()
  writeFileSync(join(folder, 'client'), `${issuer.secret}\n`, { mode: 0o600 })
  const credentials = `type: authorization_code, issuer: "${issuer.issuer}", clientId: ${issuer.clientId}, auth: { method: client_secret_basic, secret: "file:../client" }, scope: accounts, ${NETWORK}`
  servers = [
    `crm: { url: "${url}", ${NETWORK}, approve: first-use, credentials: { ${credentials} } }`,
    `plain: { url: "${url}", ${NETWORK}, approve: first-use }`,
  ].join('\n')
  gate = await start()
})
after(async () => {
  await gate?.close()
  issuer.close()
  crm.close()
  rmSync(folder, { recursive: true, force: true })
})

const argsOf = (subject: string, client: string): string[] => ['--client', client, '--subject', subject]

/** `callgate consent give`, up to the link. */
async function begin(t: TestContext, args: readonly string[], of = gate) {
  const child = spawn(process.execPath, [BIN, 'consent', 'give', ...args, '--state', of.state], {
    env: { ...process.env, CALLGATE_STATE: '' },
  })
  t.after(() => child.kill())
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const link = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('http://127.0.0.1')) resolve(line)
    })
    void ended.then((code) => reject(new Error(`ended with ${code}: ${text}`)))
  })
  return { link, ended: async () => ({ code: await ended, text }) }
}

/** The whole way: the person opens the link on the same machine, as an account of the server. */
async function give(t: TestContext, subject: string, account: string, client = 'agent', of = gate) {
  const begun = await begin(t, ['crm', ...argsOf(subject, client)], of)
  const page = await fetch(issuer.visit(begun.link, account))
  const ended = await begun.ended()
  return { ...ended, page: { status: page.status, text: await page.text() } }
}

const whose = async (subject: string, client = 'agent', of = gate): Promise<string> =>
  (await of.call('crm__whose', {}, { token: of.mint({ subject, clientId: client }) })).text

function callgate(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { ...process.env, CALLGATE_STATE: '' }
  return new Promise((resolve) => {
    execFile(process.execPath, [BIN, ...args], { env }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    )
  })
}

/** POST /consent by hand. */
async function post(subject: string, body: object | string, client = 'agent') {
  const answer = await gate.http(
    'POST',
    '/consent',
    {
      authorization: `Bearer ${gate.mint({ subject, clientId: client })}`,
      'content-type': 'application/json',
    },
    typeof body === 'string' ? body : JSON.stringify(body),
  )
  const json = answer.json()
  return { status: answer.status, code: json['code'], json }
}

const CONSENT = /^CG_UPSTREAM_CONSENT: .*`callgate consent give crm`/

test('without consent a call is refused and says what to do; with it the server sees the account that consented', async (t) => {
  verifies('identity.user-consent')
  const before = crm.seen.length
  assert.match(await whose('ada'), CONSENT)
  assert.equal(crm.seen.slice(before).filter((seen) => seen.includes('tools/call')).length, 0)
  const { code, text, page } = await give(t, 'ada', 'ada@crm')
  assert.deepEqual([code, page.status], [0, 200], text)
  assert.match(text, /crm may now be called in your name by this caller \(accounts\)/)
  assert.equal(await whose('ada'), 'account of ada@crm')
})

test('a consent is for one person by one agent: others of either have none', async (t) => {
  verifies('identity.user-consent')
  await give(t, 'bea', 'bea@crm')
  assert.equal(await whose('bea'), 'account of bea@crm')
  assert.match(await whose('bea', 'other-agent'), CONSENT)
  assert.match(await whose('not-bea'), CONSENT)
  // Callers without consent say nothing of the server: they hold up nobody who has one.
  await Promise.all(Array.from({ length: 12 }, (_, i) => whose(`stranger-${i}`)))
  const sid = gate.mint({ subject: 'bea', clientId: 'agent', scope: 'other rights', sid: 's' })
  assert.equal((await gate.call('crm__whose', {}, { token: sid })).text, 'account of bea@crm')
})

test('who is made to open the link of another gives him nothing: code and state count for who began alone, and once', async () => {
  verifies('identity.user-consent.phishing')
  const redirect = 'http://127.0.0.1:9/callback'
  const begun = await post('mallory', { do: 'begin', server: 'crm', redirect_uri: redirect })
  const back = new URL(issuer.visit(String(begun.json['authorize_url']), 'victim@crm')).searchParams
  const brought = {
    do: 'finish',
    server: 'crm',
    state: back.get('state'),
    code: back.get('code'),
    iss: back.get('iss'),
  }
  // The browser of the victim came back to the victim's own machine, which can only hand it over as the victim.
  const victim = await post('victim', brought)
  assert.deepEqual([victim.status, victim.code], [400, 'CG_CONSENT_STATE'])
  assert.match(await whose('mallory'), CONSENT)
  assert.match(await whose('victim'), CONSENT)
  // The near miss: who began it may finish it, and once.
  assert.equal((await post('mallory', brought)).status, 200)
  assert.equal((await post('mallory', brought)).code, 'CG_CONSENT_STATE')
  assert.equal(issuer.reused, 0)
})

test('a code of another issuer, a code without one, and an answer of the issuer that is none grant nothing', async (t) => {
  verifies('identity.user-consent')
  issuer.says = 'https://other.example'
  t.after(() => (issuer.says = undefined))
  const mixed = await give(t, 'cy', 'cy@crm')
  assert.equal(mixed.code, 1)
  assert.match(mixed.text, /did not grant .*CG_CONSENT_REFUSED/)
  issuer.says = undefined
  const begun = await post('cy', { do: 'begin', server: 'crm', redirect_uri: 'http://127.0.0.1:9/callback' })
  const back = new URL(issuer.visit(String(begun.json['authorize_url']), 'cy@crm')).searchParams
  const silent = { do: 'finish', server: 'crm', state: back.get('state'), code: back.get('code') }
  assert.equal((await post('cy', silent)).code, 'CG_CONSENT_REFUSED')
  for (const [odd, code] of [
    [{ access_token: 'x', token_type: 'DPoP' }, 'CG_CONSENT_REFUSED'],
    [{ access_token: 'two words', token_type: 'Bearer' }, 'CG_CONSENT_REFUSED'],
    [{ access_token: 'x', token_type: 'Bearer', scope: 'accounts admin' }, 'CG_CONSENT_REFUSED'],
    [{ access_token: 'x', token_type: 'Bearer', refresh_token: 'two words' }, 'CG_CONSENT_REFUSED'],
    [[], 'CG_CONSENT_UNAVAILABLE'],
  ] as const) {
    issuer.next.push((response) => response.writeHead(200).end(JSON.stringify(odd)))
    const { text } = await give(t, 'cy', 'cy@crm')
    assert.match(text, new RegExp(code), JSON.stringify(odd))
  }
  const no = await begin(t, ['crm', ...argsOf('cy', 'agent')])
  await fetch(issuer.visit(no.link, undefined))
  const { code, text } = await no.ended()
  assert.equal(code, 1)
  assert.match(text, /nothing was granted: the issuer says `access_denied`/)
  assert.match(await whose('cy'), CONSENT)
})

test('what else comes to the callback is turned away, and the right browser still counts', async (t) => {
  verifies('identity.user-consent.phishing')
  const begun = await begin(t, ['crm', ...argsOf('dan', 'agent')])
  const right = issuer.visit(begun.link, 'dan@crm')
  const wrong = new URL(right)
  wrong.searchParams.set('state', 'x'.repeat(43))
  assert.equal((await fetch(wrong)).status, 400)
  assert.equal((await fetch(`${right}&code=second`)).status, 400)
  assert.equal((await fetch(new URL('/', right))).status, 404)
  assert.equal((await fetch(right, { method: 'POST' })).status, 404)
  const page = await fetch(right)
  assert.equal(page.status, 200)
  assert.equal(page.headers.get('cache-control'), 'no-store')
  assert.equal((await begun.ended()).code, 0)
  assert.equal(await whose('dan'), 'account of dan@crm')
})

test('access tokens are renewed by a refresh token that changes each time, once for all who wait, also after a restart', async (t) => {
  verifies('identity.user-consent')
  const own = await start(t, join(folder, 'renewing'))
  // A tenth of a life, at least 5 seconds, is left: of 6 seconds one is used.
  issuer.lifeS = 6
  t.after(() => (issuer.lifeS = 600))
  await give(t, 'eve', 'eve@crm', 'agent', own)
  const from = issuer.renewals
  const all = await Promise.all(Array.from({ length: 20 }, () => whose('eve', 'agent', own)))
  assert.deepEqual(new Set(all), new Set(['account of eve@crm']))
  assert.equal(issuer.renewals, from + 1)
  await sleep(1_200)
  assert.equal(await whose('eve', 'agent', own), 'account of eve@crm')
  assert.equal(issuer.renewals, from + 2)
  await own.stop('SIGKILL')
  const again = await start(t, own.folder)
  assert.equal(await whose('eve', 'agent', again), 'account of eve@crm')
  assert.equal(issuer.reused, 0)
  await again.close()
})

test('what the person or the issuer takes back is gone with the next token, and the person is asked again', async (t) => {
  verifies('identity.user-consent')
  await give(t, 'fay', 'fay@crm')
  assert.equal(await whose('fay'), 'account of fay@crm')
  issuer.takeBack('fay@crm')
  assert.match(await whose('fay'), CONSENT)
  await give(t, 'fay', 'fay@crm')
  assert.equal(await whose('fay'), 'account of fay@crm')
})

test('a token that nothing renews counts until the server refuses it, and then the person is asked again', async (t) => {
  verifies('identity.user-consent')
  issuer.refreshing = false
  t.after(() => (issuer.refreshing = true))
  await give(t, 'gus', 'gus@crm')
  assert.equal(await whose('gus'), 'account of gus@crm')
  issuer.expire()
  assert.match(await whose('gus'), CONSENT)
})

test('another account takes the place of the first at once, on a connection of its own', async (t) => {
  verifies('identity.user-consent')
  await give(t, 'hal', 'hal-1@crm')
  assert.equal(await whose('hal'), 'account of hal-1@crm')
  await give(t, 'hal', 'hal-2@crm')
  assert.equal(await whose('hal'), 'account of hal-2@crm')
  const consents = readdirSync(join(gate.state, 'consents')).length
  const { body } = await control(gate.state, 'GET', '/v1/consents')
  assert.equal((body['consents'] as object[]).length, consents)
})

test('its giver and the operator end a consent; the issuer is told, and the log says who', async (t) => {
  verifies('identity.user-consent')
  for (const [subject, end] of [
    ['ina', () => callgate('consent', 'end', 'crm', ...argsOf('ina', 'agent'), '--state', gate.state)],
    [
      'joe',
      async () => {
        const { out } = await callgate('consent', 'list', '--json', '--state', gate.state)
        const rows = JSON.parse(out) as {
          id: string
          subject: string
        }[]
        const id = rows.find((row) => row.subject === 'joe')?.id ?? ''
        return callgate('consent', 'revoke', id, '--state', gate.state)
      },
    ],
  ] as const) {
    await give(t, subject, `${subject}@crm`)
    assert.equal(await whose(subject), `account of ${subject}@crm`)
    const told = issuer.seen.filter((seen) => seen.startsWith('/tenant/revoke')).length
    const { code, err } = await end()
    assert.equal(code, 0, err)
    assert.equal(issuer.seen.filter((seen) => seen.startsWith('/tenant/revoke')).length, told + 1)
    assert.match(await whose(subject), CONSENT)
  }
  const events = (await gate.records()).flatMap(({ record }) => (record.kind === 'gate' ? [record] : []))
  const of = (event: string, subject: string) =>
    events.filter((record) => record.event === event && record.detail['subject'] === subject)
  for (const subject of ['ina', 'joe']) {
    assert.equal(of('consent.given', subject).length, 1)
    assert.equal(of('consent.ended', subject).length, 1)
  }
  const nothing = await callgate('consent', 'end', 'crm', ...argsOf('ina', 'agent'), '--state', gate.state)
  assert.deepEqual([nothing.code, nothing.out.trim()], [0, 'there was no consent to crm'])
})

test('the gate lists a server that lists to nobody by a consent of its own, which no caller can use', async (t) => {
  verifies('identity.user-consent')
  crm.open = false
  t.after(() => (crm.open = true))
  const own = await start(t, join(folder, 'closed'))
  const names = async (): Promise<string[]> =>
    ((await own.rpc('tools/list', {})).json()['result'] as { tools: { name: string }[] }).tools.map(
      ({ name }) => name,
    )
  assert.deepEqual(await names(), [])
  const begun = await begin(t, ['crm', '--own'], own)
  await fetch(issuer.visit(begun.link, 'gate@crm'))
  assert.equal((await begun.ended()).code, 0)
  for (let tries = 0; !(await names()).includes('crm__whose') && tries < 100; tries++) await sleep(200)
  assert.deepEqual(await names(), ['crm__whose'])
  assert.match(await whose('kim', 'agent', own), CONSENT)
  await own.close()
})

test('no token, code or secret is in any file, record or output; the caller’s token reaches neither issuer nor server', async (t) => {
  verifies('identity.user-consent.sealed')
  const { text } = await give(t, 'lea', 'lea@crm')
  assert.equal(await whose('lea'), 'account of lea@crm')
  const canaries = [...issuer.given, issuer.secret]
  assert.ok(canaries.length > 20)
  const kept = readdirSync(gate.state, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
  for (const canary of canaries) {
    assert.ok(!kept.some((content) => content.includes(canary)), canary)
    assert.ok(!text.includes(canary) && !gate.stderr.includes(canary), canary)
  }
  const token = gate.mint({ subject: 'lea', clientId: 'agent' })
  await gate.call('crm__whose', {}, { token })
  const [, payload = ''] = token.split('.')
  for (const seen of [...crm.seen, ...issuer.seen])
    assert.ok(!seen.includes(payload) && !seen.includes('eyJ'))
  const folderOf = join(gate.state, 'consents')
  assert.equal(statSync(folderOf).mode & 0o777, 0o700)
  for (const name of readdirSync(folderOf)) assert.equal(statSync(join(folderOf, name)).mode & 0o777, 0o600)
})

test('a file under another name, of another person or for another client opens for nobody', async (t) => {
  verifies('identity.user-consent.sealed')
  const own = await start(t, join(folder, 'swapped'))
  await give(t, 'moe', 'moe@crm', 'agent', own)
  await own.stop()
  const consents = join(own.state, 'consents')
  const [name = ''] = readdirSync(consents)
  const kept = JSON.parse(readFileSync(join(consents, name), 'utf8')) as Record<string, unknown>
  const by = kept['by'] as Record<string, unknown>
  writeFileSync(join(consents, name), JSON.stringify({ ...kept, by: { ...by, subject: 'nat' } }))
  const other = await start(t, own.folder)
  assert.match(await whose('nat', 'agent', other), CONSENT)
  assert.equal(existsSync(join(consents, name)), false)
  await other.stop()
  // The same issuer under another client is somebody else, and is shown nothing; back again, it counts.
  writeFileSync(join(consents, name), JSON.stringify(kept), { mode: 0o600 })
  const reconfigured = await start(t, own.folder, servers.replace(/clientId: \w+/, 'clientId: another'))
  assert.match(await whose('moe', 'agent', reconfigured), CONSENT)
  await reconfigured.stop()
  const back = await start(t, own.folder)
  assert.equal(await whose('moe', 'agent', back), 'account of moe@crm')
  await back.close()
})

test('consents outlive a rotation of the keys, and end with `keys rotate --revoke`', async (t) => {
  verifies('identity.user-consent.sealed')
  const own = await start(t, join(folder, 'rotated'))
  await give(t, 'ola', 'ola@crm', 'agent', own)
  const consents = join(own.state, 'consents')
  const [name = ''] = readdirSync(consents)
  const kid = (): string =>
    /^[0-9a-f]{16}/.exec(
      (JSON.parse(readFileSync(join(consents, name), 'utf8')) as { sealed: string }).sealed,
    )?.[0] ?? ''
  const before = kid()
  await rotateSealKeys(join(own.state, 'keys'), Date.now(), false)
  for (let tries = 0; kid() === before && tries < 50; tries++) await sleep(100)
  assert.notEqual(kid(), before)
  const copy = join(folder, 'copy')
  await own.stop()
  cpSync(own.folder, copy, { recursive: true })
  const again = await start(t, own.folder)
  assert.equal(await whose('ola', 'agent', again), 'account of ola@crm')
  await again.close()
  await rotateSealKeys(join(copy, 'state', 'keys'), Date.now(), true)
  const revoked = await start(t, copy)
  assert.match(await whose('ola', 'agent', revoked), CONSENT)
  await revoked.close()
})

test('a server that policy bars, one that asks for no consent and one that is not there are answered alike', async () => {
  verifies('identity.user-consent')
  const asked = (server: string) => ({ do: 'begin', server, redirect_uri: 'http://127.0.0.1:9/callback' })
  const answers = [
    await post('pia', asked('crm'), 'barred'),
    await post('pia', asked('plain')),
    await post('pia', asked('nothing')),
  ]
  for (const { status, code, json } of answers) {
    assert.deepEqual([status, code], [404, 'CG_CONSENT_SERVER'])
    assert.deepEqual(json, answers[0]?.json)
  }
  assert.equal((await post('pia', asked('crm'))).status, 200)
  assert.equal(
    (await gate.http('POST', '/consent', { 'content-type': 'application/json' }, '{}')).status,
    401,
  )
  assert.equal((await gate.http('GET', '/consent', {})).status, 405)
})

test('no redirect but to this machine is taken, and no body makes the gate fail', async () => {
  verifies('identity.user-consent.phishing')
  for (const redirect_uri of [
    'https://evil.example/callback',
    'http://127.0.0.1.evil.example:80/callback',
    'http://127.0.0.1:80@evil.example/callback',
    'http://localhost:80/callback',
    'http://127.0.0.1/callback',
    'http://127.0.0.1:80/callback?x',
    'http://127.0.0.1:80/callback#x',
    'http://127.0.0.1:80/other',
    'custom:/callback',
  ])
    assert.equal((await post('quin', { do: 'begin', server: 'crm', redirect_uri })).code, 'CG_WIRE_PARAMS')
  const names = fc.constantFrom('do', 'server', 'redirect_uri', 'state', 'code', 'iss', 'x')
  const values = fc.oneof(
    fc.constantFrom('begin', 'finish', 'end', 'crm', 'http://127.0.0.1:1/callback'),
    fc.string(),
    fc.jsonValue(),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc
          .array(fc.tuple(names, values), { maxLength: 6 })
          .map((pairs) => JSON.stringify(Object.fromEntries(pairs))),
        fc.string({ unit: 'binary', maxLength: 200 }),
      ),
      async (body) => {
        const { status } = await post('quin', body)
        assert.ok(status < 500, `${status} for ${body}`)
      },
    ),
    { numRuns: 150 },
  )
})
