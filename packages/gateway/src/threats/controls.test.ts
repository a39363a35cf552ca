import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { formatProblem } from '../config/problem.ts'
import { loadConfig } from '../config/load.ts'
import { verifies } from '../testing/verifies.ts'
import type { ControlState, RuleFacts } from './control.ts'
import { CONTROLS } from './controls.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-controls-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const SERVERS = 'servers: { a: { command: [a] }, b: { command: [b] } }'
const ISSUERS = 'issuers: [{ issuer: "https://i.example", jwks: keys.json }]'
const RULE: RuleFacts = {
  decision: 'deny',
  mode: 'enforce',
  reads: new Set(),
  readsLabels: false,
  readsTicket: false,
}

/** What a control says of a configuration: of a plain one with two servers where nothing else is given. */
function stateOf(
  id: string,
  given: {
    identity?: string
    policy?: string
    servers?: string
    more?: string
    rules?: readonly RuleFacts[]
  } = {},
): ControlState {
  const path = join(folder, 'callgate.yaml')
  const { identity = '', policy = '', servers = SERVERS, more = '', rules = [] } = given
  writeFileSync(
    path,
    `identity: { ${ISSUERS}${identity} }\n${servers}\npolicy: { files: [p.yaml]${policy} }\n${more}\n`,
  )
  const { config, problems = [] } = loadConfig(path, { env: {} })
  assert.ok(config !== undefined, problems.map(formatProblem).join('\n'))
  const control = CONTROLS[id]
  assert.ok(control !== undefined, id)
  return control.judge({ config, rules })
}

const APPROVALS = 'approvals: { roles: { dba: ["cli:grace"] } }'
const OWNED =
  'servers: { a: { command: [a], tools: { t: { owned: [{ at: /id, type: order }] } } }, b: { command: [b] } }'
const OWNERSHIP = (mode: string): string =>
  `ownership: { mode: ${mode}, types: { order: { source: claims, equals: [subject] } } }`
const TICKETS = 'tickets: { type: file, path: tickets.yaml }'

/** Each control that can be switched: what switches it on, or off, and what the page says then. */
const SWITCHED: readonly (readonly [
  id: string,
  given: Parameters<typeof stateOf>[1],
  state: ControlState['state'],
  note?: RegExp,
])[] = [
  ['identity.tokens', {}, 'enforce'],
  ['identity.replay', {}, 'enforce'],
  ['identity.replay', { identity: ', replay: once' }, 'enforce'],
  ['identity.replay', { identity: ', replay: session' }, 'partly', /thief of a token/],
  ['identity.client-certificates', {}, 'off', /listener.tls.clientCa/],
  [
    'identity.client-certificates',
    { more: 'listener: { tls: { key: k.pem, cert: c.pem, clientCa: ca.pem, crl: crl.pem } }' },
    'enforce',
  ],
  [
    'identity.client-certificates',
    {
      more: 'listener: { tls: { key: k.pem, cert: c.pem, clientCa: ca.pem, crl: crl.pem, clientCertificates: optional } }',
    },
    'partly',
    /let in/,
  ],
  ['identity.message-signatures', {}, 'off', /messageSignatures: required/],
  ['identity.message-signatures', { identity: ', messageSignatures: required' }, 'enforce'],
  ['identity.grants', {}, 'partly', /identity.clients/],
  ['identity.grants', { identity: ', clients: { c: { grants: [read] } }' }, 'enforce'],
  ['identity.scope', {}, 'partly', /at a, b/],
  [
    'identity.scope',
    { servers: 'servers: { a: { command: [a], tools: { t: { scopes: [read] } } }, b: { command: [b] } }' },
    'partly',
    /at b$/,
  ],
  [
    'identity.scope',
    { servers: 'servers: { a: { command: [a], tools: { t: { scopes: [read] } } } }' },
    'enforce',
  ],
  ['upstream.isolation', {}, 'enforce'],
  [
    'upstream.isolation',
    { servers: 'servers: { a: { command: [a], shared: true }, b: { command: [b] } }' },
    'partly',
    /^off for a; /,
  ],
  ['upstream.isolation', { servers: 'servers: { a: { command: [a], shared: true } }' }, 'off'],
  ['upstream.caller-assertion', {}, 'off'],
  [
    'upstream.caller-assertion',
    { servers: 'servers: { a: { command: [a], assertCaller: true } }' },
    'enforce',
  ],
  ['upstream.questions', {}, 'enforce'],
  [
    'upstream.questions',
    { servers: 'servers: { a: { command: [a], clientCapabilities: [sampling] } }' },
    'enforce',
    /may ask: a/,
  ],
  ['catalog.pins', {}, 'enforce'],
  [
    'catalog.pins',
    { servers: 'servers: { a: { command: [a], approve: first-use } }' },
    'partly',
    /first-use/,
  ],
  ['policy.default-deny', { rules: [RULE] }, 'enforce'],
  [
    'policy.default-deny',
    { rules: [{ ...RULE, mode: 'observe' }] },
    'partly',
    /1 rule that restricts is on trial/,
  ],
  ['policy.default-deny', { rules: [{ ...RULE, mode: 'observe', decision: 'allow' }] }, 'enforce'],
  ['policy.bundle', {}, 'off', /files of this machine/],
  ['policy.bundle', { policy: ', bundle: { file: b.json, keys: [k.pem] }' }, 'enforce'],
  [
    'policy.bundle',
    { policy: ', bundle: { file: b.json, keys: [k.pem], whenTooOld: keep }' },
    'partly',
    /however old/,
  ],
  ['policy.windows', { rules: [RULE] }, 'off'],
  ['policy.windows', { rules: [{ ...RULE, reads: new Set(['window']) }] }, 'enforce'],
  ['policy.windows', { rules: [{ ...RULE, reads: new Set(['window']), mode: 'observe' }] }, 'observe'],
  ['policy.injection-label', { rules: [RULE] }, 'off'],
  ['policy.injection-label', { rules: [{ ...RULE, readsLabels: true }] }, 'enforce'],
  ['policy.tickets', { rules: [{ ...RULE, decision: 'require_ticket' }] }, 'off', /set `tickets`/],
  ['policy.tickets', { more: TICKETS, rules: [RULE] }, 'off', /no rule/],
  ['policy.tickets', { more: TICKETS, rules: [{ ...RULE, readsTicket: true }] }, 'enforce'],
  ['policy.approvals', { rules: [{ ...RULE, decision: 'require_approval' }] }, 'off', /set `approvals`/],
  ['policy.approvals', { more: APPROVALS, rules: [RULE] }, 'off', /no rule/],
  ['policy.approvals', { more: APPROVALS, rules: [{ ...RULE, decision: 'require_approval' }] }, 'enforce'],
  ['policy.defer', { rules: [RULE] }, 'off', /no rule/],
  ['policy.defer', { rules: [{ ...RULE, decision: 'defer' }] }, 'enforce'],
  ['policy.redact', { rules: [RULE] }, 'off', /no rule/],
  ['policy.redact', { rules: [{ ...RULE, decision: 'redact', mode: 'observe' }] }, 'observe'],
  ['ownership.ids', {}, 'off', /`owned`/],
  ['ownership.ids', { servers: OWNED, more: OWNERSHIP('enforce') }, 'partly', /^off for b; /],
  [
    'ownership.ids',
    { servers: OWNED.replace(', b:', ', c:'), more: OWNERSHIP('observe') },
    'partly',
    /observe for a/,
  ],
  ['dlp.arguments', {}, 'off', /dlp.arguments/],
  ['dlp.arguments', { more: 'dlp: { arguments: { email: mask } }' }, 'enforce'],
  ['dlp.arguments', { more: 'dlp: { mode: observe, arguments: { email: mask } }' }, 'observe'],
  [
    'dlp.arguments',
    { servers: 'servers: { a: { command: [a], dlp: { arguments: { email: deny } } }, b: { command: [b] } }' },
    'partly',
    /^off for b; /,
  ],
  [
    'dlp.arguments',
    {
      servers: 'servers: { a: { command: [a], dlp: { mode: observe } }, b: { command: [b] } }',
      more: 'dlp: { arguments: { email: mask } }',
    },
    'partly',
    /^observe for a; /,
  ],
  ['dlp.results', {}, 'enforce'],
  ['dlp.results', { more: 'dlp: { results: { secret: count, credit_card: count } }' }, 'off'],
  ['dlp.results', { more: 'dlp: { mode: observe }' }, 'observe'],
  ['dlp.hidden-text', {}, 'enforce'],
  ['dlp.hidden-text', { more: 'dlp: { results: { hidden_text: count } }' }, 'off'],
  ['dlp.canaries', {}, 'off'],
  ['dlp.canaries', { more: 'dlp: { canaries: { file: c.txt } }' }, 'enforce'],
  ['dlp.canaries', { more: 'dlp: { mode: observe, canaries: { file: c.txt } }' }, 'observe'],
  ['dlp.fail-closed', {}, 'enforce'],
  ['dlp.fail-closed', { more: 'dlp: { detector: { url: "https://d.example", onFailure: pass } }' }, 'partly'],
  ['egress.private', {}, 'enforce'],
  ['egress.private', { more: 'egress: { mode: observe }' }, 'enforce'],
  ['egress.private', { more: 'egress: { resolve: false }' }, 'partly', /by their text alone/],
  [
    'egress.private',
    { servers: 'servers: { a: { command: [a], tools: { t: { urls: content } } } }' },
    'partly',
    /content.*: a$/,
  ],
  ['egress.lists', {}, 'off', /egress.allow/],
  ['egress.lists', { more: 'egress: { allow: [example.com] }' }, 'enforce'],
  ['egress.lists', { more: 'egress: { mode: observe, allow: [example.com] }' }, 'observe'],
  [
    'egress.lists',
    { servers: 'servers: { a: { command: [a], egress: { allow: [example.com] } }, b: { command: [b] } }' },
    'partly',
    /^off for b; /,
  ],
  ['idempotency.once', {}, 'enforce'],
  [
    'idempotency.once',
    { servers: 'servers: { a: { command: [a], tools: { t: { idempotency: off } } } }' },
    'partly',
    /tools of a$/,
  ],
]

test('each control says whether it is on, and what switches it on', () => {
  verifies('play1.live.state')
  for (const [id, given, state, note] of SWITCHED) {
    const judged = stateOf(id, given)
    assert.equal(judged.state, state, `${id} with ${JSON.stringify(given)}`)
    if (note !== undefined) assert.match(judged.note ?? '', note, id)
    if (state !== 'enforce')
      assert.ok((judged.note ?? '') !== '' || id === 'dlp.canaries', `${id} says nothing of ${state}`)
  }
})

test('what a configuration cannot switch off is on in every one', () => {
  const switched = new Set(SWITCHED.map(([id]) => id))
  for (const id of Object.keys(CONTROLS).filter((name) => !switched.has(name)))
    assert.deepEqual(stateOf(id), { state: 'enforce' }, id)
})

test('an exception of an issuer is named', () => {
  const identity = `identity: { issuers: [{ issuer: "https://i.example", jwks: keys.json, exception: { until: 2999-01-01, without: [nbf] } }] }`
  const path = join(folder, 'excepted.yaml')
  writeFileSync(path, `${identity}\n${SERVERS}\npolicy: { files: [p.yaml] }\n`)
  const { config } = loadConfig(path, { env: {} })
  assert.ok(config !== undefined)
  const judged = CONTROLS['identity.tokens']?.judge({ config, rules: [] })
  assert.deepEqual(judged, { state: 'partly', note: 'tokens of https://i.example pass under an exception' })
})

test('without servers a control says what would hold of one, and of many at most five are named', () => {
  assert.deepEqual(stateOf('dlp.results', { servers: '' }), { state: 'enforce' })
  assert.equal(stateOf('dlp.arguments', { servers: '' }).state, 'off')
  const many = Array.from({ length: 7 }, (_, i) => `s${i}: { command: [s], approve: first-use }`).join(', ')
  assert.match(
    stateOf('upstream.caller-assertion', {
      servers: `servers: { x: { command: [x], assertCaller: true }, ${many} }`,
    }).note ?? '',
    /off for s0, s1, s2, s3, s4 and 2 more; /,
  )
})
