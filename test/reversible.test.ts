// Reversible placeholders over real sockets: the model sees `<EMAIL_1>`, a tool that may have it gets the address, nobody else does.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture } from './harness/fixtures.ts'
import { TestGate } from './harness/gate.ts'
import { modern } from './harness/modern.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-reversible-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const ADA = 'ada@example.com'
const BOB = 'bob@example.org'
const PHONE = '(415) 555-0132'

const text = { type: 'string' }
const inputSchema = {
  type: 'object',
  properties: { text, to: { ...text, maxLength: 15 }, cc: { type: 'array', items: text } },
  additionalProperties: false,
}
const tool = (name: string): object => ({ name, description: `The tool ${name}`, inputSchema })

const SERVER = `approve: first-use
tools:
  read: { class: read }
  send: { restore: { /to: [email], "/cc/*": [email] } }`

/** The fixture answers with the arguments that it got. */
async function start(t: Parameters<typeof TestGate.start>[1], own = mkdtempSync(join(folder, 'g'))) {
  const fixture = new Fixture([tool('read'), tool('send'), tool('note')])
  const gate = await TestGate.start(
    {
      folder: own,
      servers: fixture.yaml('fix', { more: SERVER }),
      more: 'listener: { port: 0 }\ndlp: { results: { email: reversible, phone: reversible } }',
    },
    t,
  )
  const call = async (name: string, args: object, subject = 'ada') => {
    const before = fixture.receivedOf('tools/call').length
    const { text: told } = await gate.call(`fix__${name}`, args, { token: gate.mint({ subject }) })
    const line = fixture.receivedOf('tools/call')[before]?.line
    const sent = (JSON.parse(line ?? '{}') as { params?: { arguments?: object } }).params?.arguments
    return { told: told.replace(/^\d+ /, ''), sent }
  }
  return { gate, call, own }
}

test('the model reads placeholders, and a tool gets back what it may have, where it may have it', async (t) => {
  verifies('play3.redaction.reversible')
  const { gate, call } = await start(t)
  const read = await call('read', { text: `${ADA}, ${BOB}, ${ADA} or ${PHONE}` })
  assert.equal(read.told, '{"text":"<EMAIL_1>, <EMAIL_2>, <EMAIL_1> or <PHONE_1>"}')

  const sent = await call('send', { to: '<EMAIL_1>', cc: ['x', 'to <EMAIL_2>'] })
  assert.deepEqual(sent.sent, { to: ADA, cc: ['x', `to ${BOB}`] })
  assert.equal(
    sent.told,
    '{"to":"<EMAIL_1>","cc":["x","to <EMAIL_2>"]}',
    'the same value has the same placeholder',
  )
  const outcome = (await gate.records())
    .map(({ record }) => record)
    .findLast(({ kind }) => kind === 'outcome')
  assert.ok(outcome?.kind === 'outcome')
  assert.deepEqual(outcome.found, {
    arguments: { email: 2 },
    places: ['results /content/0/text email'],
    restored: { email: 2 },
    result: { email: 2 },
  })

  for (const [name, args] of [
    ['send', { text: 'for <EMAIL_1>' }],
    ['send', { to: '<PHONE_1>' }],
    ['send', { to: '<EMAIL_9>' }],
    ['note', { text: '<EMAIL_1>' }],
  ] as const) {
    const { told, sent: got } = await call(name, args)
    assert.match(told, /^CG_DLP_PLACEHOLDER/, JSON.stringify(args))
    assert.equal(got, undefined)
  }
  assert.deepEqual(
    (await call('read', { text: 'find <EMAIL_1>' })).sent,
    { text: 'find <EMAIL_1>' },
    'a read changes nothing',
  )
  assert.deepEqual((await call('note', { text: '<b> <EMAIL> <B_1>' })).sent, { text: '<b> <EMAIL> <B_1>' })

  await gate.stop()
  const kept = readdirSync(gate.state, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
  for (const value of [ADA, BOB, '555-0132'])
    assert.ok(!kept.some((each) => each.includes(value)) && !gate.stderr.includes(value), value)
})

test('a placeholder is worth nothing in another session, and nothing after a restart', async (t) => {
  verifies('play3.redaction.reversible')
  const { gate, call, own } = await start(t)
  await call('read', { text: ADA })
  const other = await call('send', { to: '<EMAIL_1>' }, 'eve')
  assert.match(other.told, /^CG_DLP_PLACEHOLDER/)
  await call('read', { text: BOB }, 'eve')
  assert.deepEqual((await call('send', { to: '<EMAIL_1>' }, 'eve')).sent, { to: BOB })
  assert.deepEqual((await call('send', { to: '<EMAIL_1>' })).sent, { to: ADA })
  await gate.stop()
  const again = await start(t, own)
  assert.match((await again.call('send', { to: '<EMAIL_1>' })).told, /^CG_DLP_PLACEHOLDER/)
})

test('what is put back is judged like any argument', async (t) => {
  verifies('play3.redaction.reversible')
  const { call } = await start(t)
  await call('read', { text: `${ADA} someone.long@example.com` })
  assert.match(
    (await call('send', { to: '<EMAIL_2>' })).told,
    /^CG_SCHEMA_VIOLATION/,
    'it is too long for its place',
  )
  assert.deepEqual((await call('send', { to: '<EMAIL_1>' })).sent, { to: ADA })
})

test('a modern host repeats what it wrote in its headers, and that is what they are compared with', async (t) => {
  verifies('play3.redaction.reversible')
  const addressed = { ...text, maxLength: 15, 'x-mcp-header': 'To' }
  const fixture = new Fixture([
    tool('read'),
    { ...tool('send'), inputSchema: { type: 'object', properties: { to: addressed } } },
  ])
  const gate = await TestGate.start(
    {
      folder: mkdtempSync(join(folder, 'g')),
      servers: fixture.yaml('fix', { more: SERVER }),
      more: 'listener: { port: 0 }\ndlp: { results: { email: reversible } }',
    },
    t,
  )
  const token = gate.mint({})
  await modern(gate, 'tools/call', { name: 'fix__read', arguments: { text: ADA } }, { token })
  const send = (header: string) =>
    modern(
      gate,
      'tools/call',
      { name: 'fix__send', arguments: { to: '<EMAIL_1>' } },
      { token, headers: { 'mcp-param-to': header } },
    )
  assert.doesNotMatch((await send('<EMAIL_1>')).body, /CG_/)
  const sent = () => fixture.receivedOf('tools/call').map(({ line }) => line)
  assert.match(sent().at(-1) ?? '', /ada@example\.com/)
  const before = sent().length
  for (const other of ['<EMAIL_2>', ADA, ''])
    assert.match((await send(other)).body, /CG_WIRE_HEADER_MISMATCH/, other)
  assert.equal(sent().length, before)
})
