// The page on which approvers decide, from outside: browsers, an OpenID provider, and the call that waits (playbook Play 3).
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Browser, type Page } from './harness/browser.ts'
import { BIN } from './harness/gate.ts'
import { OpenIdIssuer } from './harness/openid-issuer.ts'
import { account, folder, freePort, startPage } from './harness/page-gate.ts'
import { makeCa, makeCertificate } from './harness/pki.ts'

const idOf = (link: string): string => link.slice(-32)
const isSignedIn = (browser: Browser, origin: string): boolean =>
  [...(browser.cookies.get(origin)?.keys() ?? [])].some((name) => name.endsWith('callgate-session'))
const hasForm = ({ html }: Page): boolean => html.includes('<form')

test('from the link, signed in, one click approves; the call runs once, and the record names who said so', async (t) => {
  verifies('play3.approval.page')
  const { gate, issuer, call, sent, held, browser, decisions, publicUrl } = await startPage(t)
  const args = { table: 'orders"><script>alert(1)</script>\u202e', note: 'mail anna@corp.example' }
  const link = await held('drop', args)
  const grace = browser('grace')
  const page = await grace.open(link)
  assert.equal(page.status, 200, page.html)
  assert.equal(page.url, link, 'signing in leads back to the request')
  for (const shown of [
    /test-agent wants to call fix\.drop/,
    /<dt>For whom<\/dt><dd>ada<\/dd>/,
    /drops-need-a-dba: a dropped table is &#60;b&#62;gone/,
    /destructive: deletes or overwrites/,
    /&#60;script&#62;/,
    /\[redacted:hidden_text\]/,
    /oidc:grace@corp\.example/,
  ])
    assert.match(page.html, shown)
  assert.doesNotMatch(page.html, /<script|anna@corp|<b>|\u202e/u, 'no markup of strangers, no personal data')
  assert.equal(page.html.match(/<form/g)?.length, 1)
  const style = /<style>([^<]*)<\/style>/.exec(page.html)?.[1] ?? ''
  assert.equal(
    page.headers['content-security-policy'],
    `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  )
  assert.equal(page.headers['cache-control'], 'no-store')
  assert.equal(page.headers['x-content-type-options'], 'nosniff')
  const [asked] = issuer.asked
  assert.equal(asked?.get('scope'), 'openid email')
  assert.equal(sent().length, 0)

  const done = await grace.click(page, 'approve', { comment: 'agreed with Tom' })
  assert.equal(done.url, link)
  assert.match(done.html, /This request is approved: the call can be made once/)
  assert.match(done.html, /oidc:grace@corp\.example approved at .*: agreed with Tom/)
  assert.equal(hasForm(done), false)
  const runs = await Promise.all([1, 2, 3].map(() => call('callgate__resume', { id: idOf(link) })))
  assert.equal(runs.filter((text) => !text.includes('CG_')).length, 1, runs.join('\n'))
  assert.equal(sent().length, 1)
  assert.match((await grace.open(link)).html, /was approved, and the call has run/)

  await gate.stop()
  const [said, ...more] = await decisions()
  assert.equal(more.length, 0)
  assert.equal(said?.['by'], 'oidc:grace@corp.example')
  assert.equal(said['comment'], 'agreed with Tom')
  const kept = JSON.stringify(await gate.records()) + gate.stderr
  for (const secret of [issuer.secret, ...issuer.given]) assert.equal(kept.includes(secret), false)
  assert.equal((await gate.verify()).ok, true)
  assert.equal(new URL(publicUrl).port === new URL(gate.url).port, false)
})

test('two clicks are one decision, at the same time or one after the other, also when they differ', async (t) => {
  verifies('play3.approval.page')
  const { call, sent, held, browser, decisions } = await startPage(t)
  const link = await held('drop', { table: 'a' })
  const grace = browser('grace')
  const page = await grace.open(link)
  const verdicts = ['approve', 'approve', 'deny', 'approve', 'deny', 'approve']
  const clicks = await Promise.all(verdicts.map((verdict) => grace.post(page, verdict)))
  for (const { status, headers, html } of clicks) {
    assert.equal(status, 303, html)
    assert.equal(headers.location, new URL(link).pathname)
  }
  assert.match(
    (await grace.click(page, 'deny')).html,
    /is approved/,
    'a late click shows what came of the first',
  )
  assert.equal((await decisions()).length, 1)
  const runs = await Promise.all([1, 2].map(() => call('drop', { table: 'a' })))
  assert.equal(runs.filter((text) => !text.includes('CG_')).length, 1, runs.join('\n'))
  assert.equal(sent().length, 1)

  const denied = await held('drop', { table: 'b' })
  const no = await grace.click(await grace.open(denied), 'deny')
  assert.match(no.html, /is denied: the caller is told so/)
  assert.match(await call('callgate__resume', { id: idOf(denied) }), /CG_STEPUP_DENIED/)
})

test('what was decided outlives a crash, the session too, and the call runs once', async (t) => {
  verifies('play3.approval.page')
  const first = await startPage(t)
  const [link, other] = [await first.held('drop', { table: 'a' }), await first.held('drop', { table: 'b' })]
  const grace = first.browser('grace')
  const open = await grace.open(other)
  assert.match((await grace.click(await grace.open(link), 'approve')).html, /is approved/)
  await first.gate.stop('SIGKILL')
  const { own, issuer, port } = first
  const again = await startPage(t, { own, issuer, port })
  const before = issuer.asked.length
  assert.match((await grace.click(open, 'approve')).html, /is approved/)
  assert.equal(issuer.asked.length, before, 'nobody has to sign in again')
  for (const id of [idOf(link), idOf(other)]) {
    assert.doesNotMatch(await again.call('callgate__resume', { id }), /CG_/)
    assert.match(await again.call('callgate__resume', { id }), /CG_STEPUP_RE/)
  }
  assert.equal(again.sent().length, 2)
})

test('a sign-in that does not hold signs nobody in', async (t) => {
  verifies('play3.approval.page')
  const { issuer, held, browser, publicUrl } = await startPage(t)
  const link = await held('drop', { table: 'a' })
  const soon = Math.floor(Date.now() / 1_000)
  const refused = async (what: string, change: () => void, who = 'grace') => {
    change()
    const person = browser(who)
    const page = await person.open(link)
    assert.ok([400, 403].includes(page.status), `${what}: ${page.status} ${page.html}`)
    assert.equal(isSignedIn(person, publicUrl), false, what)
    assert.equal(hasForm(page), false, what)
    assert.doesNotMatch(page.html, /fix\.drop/, what)
    Object.assign(issuer, { twist: undefined, says: {}, userInfo: undefined })
    assert.equal((await browser('grace').open(link)).status, 200, `the near miss of: ${what}`)
  }
  const claims = (what: string, claims: Record<string, unknown>) =>
    refused(what, () => (issuer.twist = { claims }))
  await claims('wrong nonce', { nonce: 'x'.repeat(43) })
  await claims('no nonce', { nonce: undefined })
  await claims('foreign audience', { aud: 'another' })
  await claims('for others too, not given to us', { aud: ['gate', 'another'] })
  await claims('given to another', { aud: ['gate', 'another'], azp: 'another' })
  await claims('another issuer', { iss: 'https://issuer.example' })
  await claims('expired', { exp: soon - 60 })
  await claims('no end', { exp: undefined })
  await claims('old', { iat: soon - 3_600 })
  await claims('of the future', { iat: soon + 3_600 })
  await claims('not yet', { nbf: soon + 3_600 })
  await claims('nobody', { sub: '' })
  await refused('alg none', () => (issuer.twist = { signature: 'none' }))
  await refused('HMAC with the public key', () => (issuer.twist = { signature: 'hs256' }))
  await refused('a key of a stranger', () => (issuer.twist = { signature: 'stranger' }))
  await refused('a key that it brings along', () => (issuer.twist = { header: { jwk: {} } }))
  await refused('an unknown key', () => (issuer.twist = { header: { kid: 'k9' } }))
  await refused('no key named', () => (issuer.twist = { header: { kid: undefined } }))
  await refused('an access token', () => (issuer.twist = { header: { typ: 'at+jwt' } }))
  await refused('state of another sign-in', () => (issuer.says = { state: 'x'.repeat(43) }))
  await refused('no state', () => (issuer.says = { state: null }))
  await refused('a code of another issuer', () => (issuer.says = { iss: 'https://issuer.example' }))
  await refused('no issuer though it says that it names it', () => (issuer.says = { iss: null }))
  await refused('a made-up code', () => (issuer.says = { code: 'made-up' }))
  await refused('no code', () => (issuer.says = { code: null, error: 'access_denied' }))
  await refused('user info of another', () => (issuer.userInfo = account('grace', { sub: 'sub-other' })))
  await refused('unverified e-mail', () => undefined, 'eve')
  await refused('verified in words', () => (issuer.userInfo = account('grace', { email_verified: 'true' })))
  await refused(
    'an e-mail address with a space',
    () => (issuer.userInfo = account('grace', { email: 'a b@c' })),
  )
  await refused('nobody who has an account', () => undefined, 'nobody')
  const claimed = { email: 'grace@corp.example', email_verified: true }
  await refused('a verified mark beside the address of the user info', () => {
    issuer.twist = { claims: { email_verified: true } }
    issuer.userInfo = account('grace', { email_verified: false })
  })
  issuer.twist = { claims: { ...claimed, aud: ['gate', 'another'], azp: 'gate' } }
  assert.equal((await browser('grace').open(link)).status, 200, 'claims may stand in the id_token')
})

test('an answer counts once, and only in the browser that asked for it', async (t) => {
  verifies('play3.approval.page')
  const { issuer, held, browser, publicUrl } = await startPage(t)
  const link = await held('drop', { table: 'a' })
  const grace = browser('grace')
  const stopped = await grace.open(link, (to) => to.startsWith(`${publicUrl}/callback`))
  const answer = stopped.headers.location ?? assert.fail('no answer')
  const cookies = new Map(grace.cookies.get(publicUrl))
  assert.equal(cookies.size, 1)
  // Login CSRF: the attacker's own answer in the victim's browser.
  const victim = browser('sam')
  assert.equal((await victim.open(answer)).status, 400)
  assert.equal(isSignedIn(victim, publicUrl), false)
  // A second sign-in in another tab does not end the first.
  await grace.open(link, (to) => to.startsWith(`${publicUrl}/callback`))
  for (const [name, value] of [
    ['code', 'x'],
    ['state', 'x'.repeat(43)],
    ['iss', 'https://issuer.example'],
  ] as const)
    assert.equal((await grace.open(`${answer}&${name}=${value}`)).status, 400, `two of ${name}`)
  assert.equal((await grace.open(answer)).status, 200, 'the near miss')

  const link2 = await held('drop', { table: 'b' })
  const sam = browser('grace')
  const back = await sam.open(link2, (to) => to.startsWith(`${publicUrl}/callback`))
  const url = back.headers.location ?? assert.fail('no answer')
  const before = new Map(sam.cookies.get(publicUrl))
  assert.equal((await sam.open(url)).status, 200)
  // Who copied everything from the browser before, and sends it again.
  const thief = browser('grace')
  for (const [name, value] of before) thief.setCookie(publicUrl, name, value)
  const replayed = await thief.open(url)
  assert.equal(replayed.status, 400)
  assert.equal(isSignedIn(thief, publicUrl), false)
  assert.equal(issuer.reused, 0, 'the code is not even shown to the provider again')
})

test('nothing but a click on the page of this request decides', async (t) => {
  verifies('play3.approval.page')
  const { held, browser, decisions, publicUrl } = await startPage(t)
  const [link, other] = [await held('wipe', { table: 'a' }), await held('wipe', { table: 'b' })]
  const [grace, sam] = [browser('grace'), browser('sam')]
  const [page, others, ofSam] = [await grace.open(link), await grace.open(other), await sam.open(link)]
  const clickIn = ({ html }: Page): string => /name="click" value="([^"]+)"/.exec(html)?.[1] ?? ''
  const rejected = async (what: string, sending: Promise<Page>, status: number) => {
    const answer = await sending
    assert.equal(answer.status, status, `${what}: ${answer.html}`)
    assert.equal((await decisions()).length, 0, what)
  }
  const post = (form: Record<string, string>, headers = {}) => grace.post(page, 'approve', form, headers)
  await rejected('no token', post({ click: '' }), 409)
  await rejected('token of another request', post({ click: clickIn(others) }), 409)
  await rejected('token of another session', post({ click: clickIn(ofSam) }), 409)
  const session = [...(grace.cookies.get(publicUrl) ?? [])].find(([name]) => name.endsWith('session'))?.[1]
  await rejected('the session itself as token', post({ click: session ?? '' }), 409)
  await rejected('another verdict', post({ verdict: 'perhaps' }), 400)
  await rejected('hidden characters', post({ comment: 'fine\u202e' }), 400)
  await rejected('a long comment', post({ comment: 'x'.repeat(501) }), 400)
  await rejected('a form without bounds', post({ comment: 'x'.repeat(20_000) }), 413)
  for (const origin of [
    'https://evil.example',
    'null',
    undefined,
    publicUrl.replace('127.0.0.1', 'localhost'),
  ])
    await rejected(`from ${origin}`, post({}, { origin }), 403)
  await rejected('from another site', post({}, { 'sec-fetch-site': 'cross-site' }), 403)
  await rejected('from a sibling', post({}, { 'sec-fetch-site': 'same-site' }), 403)
  await rejected('JSON', post({}, { 'content-type': 'application/json' }), 415)
  await rejected('without session', post({}, { cookie: undefined }), 401)
  await rejected(
    'two sessions',
    post({}, { cookie: `callgate-session=${session}; callgate-session=${session}` }),
    401,
  )
  await rejected(
    'a session that was changed',
    post({}, { cookie: `callgate-session=${session?.slice(0, -2)}AA` }),
    401,
  )
  await rejected('by a link', grace.send(`${link}?verdict=approve&click=${clickIn(page)}`), 200)
  await rejected('DNS rebinding', grace.send(link, { headers: { host: 'evil.example' } }), 421)
  await rejected('a made-up method', grace.send(link, { method: 'PUT' }), 405)

  assert.match((await sam.click(ofSam, 'approve')).html, /waits for approval/, 'the near miss counts')
  assert.match((await grace.post(page, 'approve')).html, /not as you saw it/)
  assert.equal((await decisions()).length, 1, 'what was said since has to be seen first')
  const now = await grace.open(link)
  assert.match(now.html, /oidc:sam@corp\.example approved at/)
  assert.match((await grace.click(now, 'approve')).html, /is approved/)
})

test('who may not decide is told why, and sees no more than he may', async (t) => {
  verifies('play3.approval.page')
  const { held, browser, publicUrl, gate, own, issuer, port } = await startPage(t)
  const link = await held('drop', { table: 'customers' })
  const told = async (who: string, at: string, what: RegExp, status: number) => {
    const page = await browser(who).open(at)
    assert.equal(page.status, status, page.html)
    assert.match(page.html, what)
    assert.equal(hasForm(page), false)
    assert.doesNotMatch(page.html, /customers/)
  }
  await told('mallory', link, /oidc:mallory@corp\.example has none of the roles.*dba/, 403)
  await told('sam', link, /has none of the roles/, 403)
  // The caller's token says `ada`: his preferred_username; another says `sub-bob`, and one an e-mail address.
  await told('ada', link, /nobody approves a call of his own/, 403)
  await told(
    'bob',
    await held('drop', { table: 'customers' }, 'sub-bob'),
    /nobody approves a call of his own/,
    403,
  )
  await told('bob', await held('drop', { table: 'customers' }, 'BOB@corp.example'), /nobody approves/, 403)
  assert.equal((await browser('bob').open(link)).status, 200, 'the near miss sees it')
  const unknown = `${publicUrl}/approvals/${'0'.repeat(32)}`
  await told('grace', unknown, /There is no such request/, 404)
  await told('grace', `${publicUrl}/approvals/x`, /There is nothing here/, 404)
  await told('grace', `${publicUrl}/mcp`, /There is nothing here/, 404)
  assert.equal(
    (await gate.http('GET', `/approvals/${idOf(link)}`, {})).status,
    404,
    'hosts have another listener',
  )

  // Somebody else decides meanwhile, in the terminal; then it lapses.
  const decided = await held('drop', { table: 'decided' })
  const cli = spawnSync(process.execPath, [
    BIN,
    'approvals',
    'approve',
    idOf(decided),
    '--as',
    'tom',
    '--state',
    gate.state,
  ])
  assert.equal(cli.status, 0, String(cli.stderr))
  const seen = await browser('grace').open(decided)
  assert.match(seen.html, /is approved: the call can be made once/)
  assert.equal(hasForm(seen), false)
  const grace = browser('grace')
  const page = await grace.open(link)
  await gate.stop()
  const path = join(own, 'state', 'call-approvals', `${idOf(link)}.json`)
  const kept = JSON.parse(readFileSync(path, 'utf8')) as { endsAt: number }
  writeFileSync(path, JSON.stringify({ ...kept, endsAt: kept.endsAt - 960_000 }), { mode: 0o600 })
  const again = await startPage(t, { own, issuer, port })
  assert.equal((await grace.post(page, 'approve')).status, 409)
  const over = await grace.open(link)
  assert.match(over.html, /is over: nobody decided in time/)
  assert.equal(hasForm(over), false)
  assert.equal((await again.decisions()).length, 1)
})

test('a request of another tenant reads like none', async (t) => {
  verifies('play3.approval.page')
  const { issuer, held, browser, publicUrl } = await startPage(t, { oidc: ', tenantClaim: tenant' })
  issuer.accounts.set('grace', account('grace', { tenant: 'default' }))
  issuer.accounts.set('bob', account('bob', { tenant: 'other' }))
  const link = await held('drop', { table: 'a' })
  assert.equal((await browser('grace').open(link)).status, 200)
  const [foreign, none] = [
    await browser('bob').open(link),
    await browser('bob').open(`${publicUrl}/approvals/${'0'.repeat(32)}`),
  ]
  assert.equal(foreign.status, 404)
  assert.equal(foreign.html, none.html)
  assert.equal((await browser('sam').open(link)).status, 403, 'who has no tenant is not signed in')
})

test('with `maxAgeS` only those decide who proved a moment ago who they are; a public client has no secret', async (t) => {
  verifies('play3.approval.page')
  const issuer = await new OpenIdIssuer().start()
  t.after(() => issuer.close())
  issuer.isPublic = true
  issuer.accounts.set('grace', account('grace'))
  issuer.signedInS = 3_600
  const { held, browser, publicUrl } = await startPage(t, { issuer, oidc: ', maxAgeS: 300' })
  const link = await held('drop', { table: 'a' })
  assert.equal((await browser('grace').open(link)).status, 200)
  assert.equal(issuer.asked.at(-1)?.get('max_age'), '300')
  const soon = Math.floor(Date.now() / 1_000)
  for (const authTime of [undefined, soon - 400, soon + 400, 'now']) {
    issuer.twist = { claims: { auth_time: authTime } }
    assert.equal((await browser('grace').open(link)).status, 403, String(authTime))
  }
  // A session ends with the proof.
  issuer.twist = { claims: { auth_time: soon - 299 } }
  const grace = browser('grace')
  const page = await grace.open(link, (to) => !to.includes('callback') && to.startsWith(publicUrl))
  assert.match(String(page.headers['set-cookie']), /callgate-session=[^;]+; Path=\/; Max-Age=[01];/)
})

test('over TLS cookies are of this host alone, and somebody else can sign in', async (t) => {
  verifies('play3.approval.page')
  const own = mkdtempSync(join(folder, 'tls'))
  const ca = makeCa()
  const leaf = makeCertificate({
    issuer: ca,
    subject: 'page',
    usages: ['serverAuth'],
    names: [{ ip: '127.0.0.1' }],
  })
  writeFileSync(join(own, 'key.pem'), leaf.keyPem, { mode: 0o600 })
  writeFileSync(join(own, 'cert.pem'), leaf.pem)
  const port = await freePort()
  const { issuer, held, publicUrl } = await startPage(t, {
    own,
    port,
    publicUrl: `https://127.0.0.1:${port}`,
    listen: ', tls: { key: key.pem, cert: cert.pem }',
  })
  const link = await held('drop', { table: 'a' })
  const grace = new Browser({ ca: ca.pem }).setCookie(issuer.origin, 'account', 'grace')
  const page = await grace.open(link)
  assert.equal(page.status, 200)
  assert.equal(page.headers['strict-transport-security'], 'max-age=31536000')
  const { cookies } = grace
  assert.deepEqual([...(cookies.get(publicUrl)?.keys() ?? [])], ['__Host-callgate-session'])
  const anew = await grace.open(`${link}/sign-in`, (to) => to.startsWith(`${publicUrl}/callback`))
  assert.match(String(anew.headers.location), /code=/)
  assert.equal(issuer.asked.at(-1)?.get('prompt'), 'login')
  assert.match((await grace.click(page, 'approve')).html, /is approved/)
})

test('a provider that is not the one that was configured, or not there, signs nobody in', async (t) => {
  verifies('play3.approval.page')
  const { issuer, held, browser, gate } = await startPage(t)
  const link = await held('drop', { table: 'a' })
  const bad: readonly Readonly<Record<string, unknown>>[] = [
    { issuer: 'https://issuer.example' },
    { token_endpoint: 'http://issuer.example/token' },
    { token_endpoint: 'https://169.254.169.254/token' },
    { authorization_endpoint: 'javascript:alert(1)' },
    { jwks_uri: undefined },
    { code_challenge_methods_supported: ['plain'] },
  ]
  for (const metadata of bad) {
    issuer.metadata = metadata
    const page = await browser('grace').open(link)
    assert.equal(page.status, 502, JSON.stringify(metadata))
    assert.match(page.html, /decide by `callgate approvals`/)
    // A provider that failed is left alone for a second.
    await sleep(1_050)
  }
  issuer.metadata = {}
  assert.equal((await browser('grace').open(link)).status, 200, 'the near miss')
  await gate.stop()
  const said = JSON.stringify(await gate.records())
  assert.match(said, /approval\.problem/)
  assert.match(said, /name another issuer; write it exactly as the provider names itself/)
})

test('a page whose port is taken stops the start with what to change, and leaves nothing listening', async (t) => {
  verifies('play3.approval.page')
  const { gate, own, port } = await startPage(t)
  const state = join(own, 'second')
  const env = { ...process.env, CALLGATE_STATE: state, CALLGATE_PORT: '' }
  const args = [BIN, 'start', '--config', gate.config]
  const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8', timeout: 30_000 })
  assert.equal(status, 1, stderr)
  assert.ok(stderr.includes(`port \`${port}\` on \`127.0.0.1\` is taken`), stderr)
  assert.match(stderr, /fix: .*`approvals\.page\.listen\.port`/)
  assert.equal(existsSync(join(state, 'control.sock')), false)
})
