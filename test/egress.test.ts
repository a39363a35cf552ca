// URLs in arguments, from outside: a real gate, a real name server on loopback, a server that tells what reached it.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { guardedLookup } from '../packages/gateway/src/adapters/upstream/guarded-lookup.ts'
import { corpusRows } from '../packages/gateway/src/testing/corpora.ts'
import { type DnsAnswer, DnsServer } from '../packages/gateway/src/testing/dns-server.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture } from './harness/fixtures.ts'
import { BIN, TestGate } from './harness/gate.ts'

const NAMES: Readonly<Record<string, DnsAnswer>> = {
  'public.example': ['93.184.215.14', '2606:2800::1'],
  'rebound.example': ['169.254.169.254'],
  'half.example': ['93.184.215.14', '127.0.0.1'],
  'mute.example': 'silence',
}
/** Names of the corpus are public ones. */
const answer = (name: string): DnsAnswer =>
  NAMES[name] ?? (name.startsWith('absent') ? [] : ['93.184.215.14'])

const inputSchema = { type: 'object', additionalProperties: true }
const fixture = new Fixture(
  ['fetch', 'listed', 'save'].map((name) => ({ name, description: `The tool ${name}`, inputSchema })),
)
let dns: DnsServer
let gate: TestGate

before(async () => {
  dns = await DnsServer.start(answer)
  gate = await TestGate.start({
    servers: [
      `${fixture.yaml('web')}\n  tools: { save: { urls: content } }`,
      `${fixture.yaml('own')}\n  egress: { allow: [public.example], schemes: [https], deny: [files.public.example] }`,
      `${fixture.yaml('seen')}\n  egress: { mode: observe, deny: [public.example] }`,
    ].join('\n'),
    more: `listener: { port: 0 }\negress: { resolvers: ["${dns.address}"], deny: [evil.example] }`,
  })
})
after(async () => {
  await gate.close()
  await dns.close()
  rmSync(fixture.folder, { recursive: true, force: true })
})

const sent = (): number => fixture.receivedOf('tools/call').length

/** The code of a refusal, or `answered`; a refused call never reaches the server, an answered one once. */
async function outcome(tool: string, args: object): Promise<string> {
  const before = sent()
  const { text, isError } = await gate.call(tool, args)
  assert.equal(sent() - before, isError ? 0 : 1)
  return isError ? text.slice(0, text.indexOf(':')) : 'answered'
}

test('no call whose URL leads to a private place reaches the server, whatever the name says; the near miss does', async () => {
  verifies('play3.ssrf.arguments')
  verifies('play7.ssrf')
  for (const [url, expected] of [
    ['https://public.example/', 'answered'],
    ['http://169.254.169.254/latest/meta-data/', 'CG_EGRESS_PRIVATE'],
    ['http://2852039166/', 'CG_EGRESS_PRIVATE'],
    ['http://[::ffff:a9fe:a9fe]/', 'CG_EGRESS_PRIVATE'],
    ['http://0127.0.0.1/', 'CG_EGRESS_PRIVATE'],
    ['https://rebound.example/', 'CG_EGRESS_PRIVATE'],
    ['https://half.example/', 'CG_EGRESS_PRIVATE'],
    ['https://absent.example/', 'CG_EGRESS_UNRESOLVED'],
    ['https://mute.example/', 'CG_EGRESS_UNRESOLVED'],
    ['https://evil.example/', 'CG_EGRESS_DENIED'],
    ['https://a.evil.example/', 'CG_EGRESS_DENIED'],
    ['https://notevil.example/', 'answered'],
    ['http://[::1', 'CG_EGRESS_UNREADABLE'],
    ['ftp://public.example/', 'CG_EGRESS_DENIED'],
  ] as const) {
    assert.equal(await outcome('web__fetch', { url }), expected, url)
  }
})

test('a refusal tells neither the place nor the rule, and the record holds the reason alone', async () => {
  const { text } = await gate.call('web__fetch', { url: 'https://rebound.example/canary-7f3a' })
  assert.match(
    text,
    /^CG_EGRESS_PRIVATE: a URL in the arguments leads to an address that tools may not reach/,
  )
  assert.doesNotMatch(text, /rebound|169\.254|canary/)
  const records = JSON.stringify(await gate.records())
  assert.match(records, /a URL in the arguments: metadata/)
  assert.doesNotMatch(records, /canary-7f3a|rebound\.example/)
})

test('a server’s own lists stand in place of the common ones, but for what is denied to all', async () => {
  for (const [url, expected] of [
    ['https://public.example/', 'answered'],
    ['https://api.public.example/', 'answered'],
    ['https://files.public.example/', 'CG_EGRESS_DENIED'],
    ['http://public.example/', 'CG_EGRESS_DENIED'],
    ['https://other.example/', 'CG_EGRESS_DENIED'],
    ['https://93.184.215.14/', 'CG_EGRESS_DENIED'],
  ] as const) {
    assert.equal(await outcome('own__fetch', { url }), expected, url)
  }
})

test('observe lets through what lists refuse and records it; private places are refused all the same', async () => {
  verifies('play3.decisions.observe')
  assert.equal(await outcome('seen__fetch', { url: 'https://public.example/' }), 'answered')
  const last = (await gate.records()).at(-1)?.record
  assert.ok(last?.kind === 'outcome')
  assert.deepEqual(last.decision?.observed, ['(egress: denied)'])
  assert.equal(await outcome('seen__fetch', { url: 'http://10.0.0.1/' }), 'CG_EGRESS_PRIVATE')
  assert.equal(await outcome('seen__fetch', { url: 'https://rebound.example/' }), 'CG_EGRESS_PRIVATE')
})

test('text that a tool only keeps may hold any URL where the operator says so, and not where he does not', async () => {
  const text = 'start it with `npm start`, then open http://localhost:8420/'
  assert.equal(await outcome('web__save', { text }), 'answered')
  assert.equal(await outcome('web__fetch', { text }), 'CG_EGRESS_PRIVATE')
})

test('every row of the corpus that must be refused is refused by the gate, every public one passes', async (t) => {
  const rows = ['deny-urls', 'ip-encodings', 'allow-urls'].map((file) => corpusRows(t, `ssrf/${file}.jsonl`))
  const [deny, encodings, allow] = rows
  if (deny === undefined || encodings === undefined || allow === undefined) return
  const wrong: string[] = []
  for (const row of [...deny, ...encodings, ...allow]) {
    const expected = String(row['expect'])
    const got = await outcome('web__fetch', { url: row['url'] })
    if (expected.startsWith('deny') && !expected.includes('resolves') && got === 'answered')
      wrong.push(String(row['id']))
    if (expected.startsWith('allow') && got !== 'answered') wrong.push(`${String(row['id'])} ${got}`)
  }
  assert.deepEqual(wrong, [])
})

test('1,000 names that change their mind lead no socket of the gate to the second answer', async (t) => {
  verifies('play3.ssrf.upstream')
  const reached = { '127.0.0.1': 0, '127.0.0.2': 0 }
  const listen = (host: keyof typeof reached, port: number) => {
    const server = createServer((socket) => {
      reached[host]++
      socket.end()
    })
    t.after(() => server.close())
    return new Promise<number>((resolve) =>
      server.listen(port, host, () => {
        const address = server.address()
        resolve(typeof address === 'object' && address !== null ? address.port : 0)
      }),
    )
  }
  const port = await listen('127.0.0.1', 0)
  await listen('127.0.0.2', port)
  let flips = 0
  const flipping = ((_: string, __: object, done: (error: null, found: object[]) => void) => {
    // First as it should be, then inside; a look that is judged and another that is used would meet both.
    const address = flips++ % 2 === 0 ? '127.0.0.1' : '127.0.0.2'
    done(null, [{ address, family: 4 }])
  }) as never
  const lookup = guardedLookup('web', ['127.0.0.1/32'], flipping)
  let refused = 0
  for (let i = 0; i < 1_000; i++) {
    await new Promise<void>((resolve) => {
      const socket = connect({ host: 'flips.example', port, lookup })
      socket.on('error', () => refused++)
      socket.on('close', () => resolve())
      socket.resume()
    })
  }
  assert.deepEqual(
    { flips, refused, ...reached },
    { flips: 1_000, refused: 500, '127.0.0.1': 500, '127.0.0.2': 0 },
  )
})

test('`callgate egress check` judges URLs and rows as the gate does', () => {
  const run = (args: readonly string[], input = '') => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, 'egress', 'check', ...args], {
      input,
      encoding: 'utf8',
      env: { ...process.env, CALLGATE_STATE: gate.state },
    })
    return { status, stdout, stderr }
  }
  assert.equal(run(['https://example.com']).status, 0)
  const denied = run(['https://example.com', 'http://169.254.169.254'])
  assert.equal(denied.status, 1)
  assert.match(denied.stdout, /^allow https:\/\/example\.com\n.+\ndeny http:\/\/169\.254\.169\.254\n/)
  const own = run([
    '--config',
    gate.config,
    '--server',
    'own',
    '--json',
    'https://public.example',
    'https://other.example',
  ])
  assert.deepEqual(
    own.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object),
    [
      { url: 'https://public.example', verdict: 'allow', reason: 'public_unresolved' },
      { url: 'https://other.example', verdict: 'deny', reason: 'not_allowed' },
    ],
  )
  const names = join(gate.folder, 'names.json')
  writeFileSync(names, JSON.stringify({ 'in.example': ['10.0.0.1'], 'out.example': ['93.184.215.14'] }))
  const rows = ['https://in.example', 'https://out.example', 'https://gone.example', 'http://[::1]/'].map(
    (url, id) => JSON.stringify({ id, url }),
  )
  const judged = run(['--jsonl', '--resolve', names], `${rows.join('\n')}\nno row\n`)
  assert.equal(judged.status, 1)
  assert.match(judged.stderr, /row 5 is no JSON object with `id` and a text `url`/)
  assert.deepEqual(
    judged.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object),
    [
      { id: 0, verdict: 'deny', reason: 'private' },
      { id: 1, verdict: 'allow', reason: 'public' },
      { id: 2, verdict: 'deny', reason: 'unresolved' },
      { id: 3, verdict: 'deny', reason: 'private' },
    ],
  )
  assert.equal(run([]).status, 2)
  assert.match(
    run(['--server', 'nobody', '--config', gate.config, 'https://a.example']).stderr,
    /no server `nobody`.+\nfix: name one of web, own, seen/,
  )
})
