// What passes beside calls is screened like them: lists, completion, log messages of streams that stay open (playbook Play 3).
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { TestGate } from './harness/gate.ts'
import { SayingServer } from './harness/saying-server.ts'

const CARD = '4012888888881881'
const EMAIL = 'ada@example.com'
const HIDDEN = '\u{e0069}\u{e0067}\u{e006e}'
const DLP =
  '{ arguments: { credit_card: deny, email: placeholder }, results: { credit_card: deny, email: placeholder } }'

const folder = mkdtempSync(join(tmpdir(), 'callgate-beside-'))
const server = new SayingServer({ read: {} })
let url = ''

before(async () => {
  url = await server.start()
})
after(() => {
  server.close()
  rmSync(folder, { recursive: true })
})

const start = (t: TestContext, dlp: string) =>
  TestGate.start(
    {
      folder: mkdtempSync(join(folder, 'g')),
      servers: `data: { url: "${url}", network: ["127.0.0.1/32"], approve: first-use }`,
      policy: ['tool', 'resource', 'prompt']
        .map((kind) => `- rule: ${kind}s\n  when: { ${kind}: "*" }\n  decision: allow\n`)
        .join(''),
      more: `listener: { port: 0 }\ndlp: ${dlp}`,
    },
    t,
  )

/** The result of a request to the one server. */
async function asked(gate: TestGate, method: string, params: object = {}): Promise<string> {
  return (await gate.rpc(method, params, { path: '/mcp/data' })).body
}

for (const mode of ['enforce', 'observe'] as const) {
  test(`lists pass without what may not be read, under ${mode}`, async (t) => {
    verifies('play3.redaction.beside-calls')
    const enforced = mode === 'enforce'
    const gate = await start(t, enforced ? DLP : DLP.replace('{', '{ mode: observe,'))
    server.lists = {
      'resources/list': {
        resources: [
          { uri: 'file:///one', name: 'one', description: `of ${EMAIL}${HIDDEN}` },
          { uri: 'file:///two', name: 'two', description: `card ${CARD}` },
          { uri: `file:///${EMAIL}`, name: 'three' },
          { uri: 'file:///four', name: 'four', description: 'card 4012888888881882' },
        ],
      },
      'resources/templates/list': { resourceTemplates: [{ uriTemplate: 'file:///{x}', name: EMAIL }] },
      'prompts/list': {
        prompts: [
          { name: 'greet', title: `Greets ${EMAIL}` },
          { name: EMAIL, title: 'Greets' },
        ],
      },
    }
    const uris = (text: string) =>
      [...text.matchAll(/"(?:uri|uriTemplate|name)":"(file:[^"]*|greet|ada@[^"]*)"/g)].map((m) => m[1])
    const resources = await asked(gate, 'resources/list')
    const templates = await asked(gate, 'resources/templates/list')
    const prompts = await asked(gate, 'prompts/list')
    const all = resources + templates + prompts
    assert.equal(all.includes(EMAIL), !enforced)
    assert.equal(all.includes(CARD), !enforced)
    assert.equal(all.includes(HIDDEN), !enforced)
    assert.ok(all.includes('card 4012888888881882'), 'no card: its check digit is another')
    if (!enforced) return
    // What cannot be called otherwise, because the server knows it by that name only, is left out.
    assert.deepEqual(uris(resources), ['file:///one', 'file:///four'])
    assert.match(resources, /"description":"of \[redacted:email\]"/)
    assert.deepEqual(uris(templates), ['file:///{x}'])
    assert.match(templates, /"name":"\[redacted:email\]"/)
    assert.deepEqual(uris(prompts), ['greet'])
    const aggregated = (await gate.rpc('resources/list', {})).body
    assert.doesNotMatch(aggregated, /ada@|4012888888881881/)
    assert.match(aggregated, /file:\/\/\/four/)
  })
}

test('a completion holds only values that may be read whole, and sends nothing that may not leave', async (t) => {
  verifies('play3.redaction.beside-calls')
  const gate = await start(t, DLP)
  server.lists = { ...server.lists, 'prompts/list': { prompts: [{ name: 'greet' }] } }
  server.says = { completion: { values: ['Ada', EMAIL, `card ${CARD}`, 'Alan'], total: 4, hasMore: false } }
  const complete = (value: string) =>
    asked(gate, 'completion/complete', {
      ref: { type: 'ref/prompt', name: 'greet' },
      argument: { name: 'who', value },
    })
  assert.match(await complete('A'), /"values":\["Ada","Alan"\]/)
  const before = server.seen.length
  assert.match(await complete(CARD), /CG_DLP_ARGUMENT/)
  assert.equal(server.seen.length, before)
  await complete(`to ${EMAIL}`)
  assert.match(server.seen.at(-1) ?? '', /"value":"to \[redacted:email\]"/)
})

test('log messages of a stream that stays open pass without what may not be read, also where it is cut in two', async (t) => {
  verifies('play3.redaction.beside-calls')
  const gate = await start(t, DLP)
  const { headers } = await gate.rpc(
    'initialize',
    { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
    { path: '/mcp/data' },
  )
  let heard = ''
  const stream = request(`${gate.url}/mcp/data`, {
    agent: false,
    headers: {
      authorization: `Bearer ${gate.mint({ path: '/mcp/data' })}`,
      accept: 'text/event-stream',
      'mcp-session-id': String(headers['mcp-session-id']),
    },
  })
  stream.on('response', (response) => response.on('data', (chunk: Buffer) => (heard += chunk.toString())))
  stream.on('error', () => undefined).end()
  t.after(() => stream.destroy())
  for (let i = 0; i < 500 && server.streams.size === 0; i++) await pause(10)
  const say = (data: string) => server.tell('notifications/message', { level: 'info', data })
  for (const data of ['plain', `of ${EMAIL}`, `card ${CARD}`, 'half 40128888', '88881881 half', 'last'])
    say(data)
  for (let i = 0; i < 500 && !heard.includes('last'); i++) await pause(10)
  const said = [...heard.matchAll(/"data":"([^"]*)"/g)].map((m) => m[1])
  assert.deepEqual(said, ['plain', 'of [redacted:email]', 'half 40128888', 'last'])
})
