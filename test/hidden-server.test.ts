import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { TestGate } from './harness/gate.ts'
import { RawHost } from './harness/principals.ts'

// A server of which policy gives a caller nothing: nothing of it may be seen, and nothing of the caller may reach it.
const strict = {
  inputSchema: {
    type: 'object',
    properties: { account_number: { enum: ['ACC-1'] } },
    required: ['account_number'],
  },
}
const shown = new Fixture([textTool('echo'), textTool('wire', strict)])
const hidden = new Fixture([textTool('echo'), textTool('wire', strict)])
const POLICY = `- { rule: tools, when: { tool: ["pub.echo", "pub.wire"] }, decision: allow }
- { rule: notes, when: { server: pub, resource: "note://open*" }, decision: allow }
- { rule: no-secret, when: { resource: "note://open/s*" }, decision: deny }
- { rule: prompts, when: { prompt: "pub.*" }, decision: allow }
`
let gate: TestGate

before(async () => {
  gate = await TestGate.start({ servers: `${shown.yaml('pub')}\n${hidden.yaml('hid')}`, policy: POLICY })
})
after(async () => {
  await gate.close()
  for (const { folder } of [shown, hidden]) rmSync(folder, { recursive: true, force: true })
})

test('nothing of a caller reaches a server that policy gives him nothing of', async (t) => {
  verifies('play3.allow-lists')
  const before = hidden.received.length
  const host = new RawHost({
    url: gate.url,
    path: '/mcp',
    era: 'legacy',
    token: () => gate.mint({ path: '/mcp', sid: 'one' }),
  })
  t.after(() => host.close())
  await host.initialize()
  const stop = new AbortController()
  const open = Promise.withResolvers<number>()
  const stream = host.stream(() => undefined, stop.signal, open.resolve).catch(() => undefined)
  assert.equal(await open.promise, 200)
  const cursor = Buffer.from(JSON.stringify({ hid: 'abc' })).toString('base64url')
  for (const [method, params] of [
    ['resources/list', {}],
    ['resources/list', { cursor }],
    ['resources/templates/list', {}],
    ['prompts/list', {}],
    ['logging/setLevel', { level: 'debug' }],
    ['tools/call', { name: 'hid__echo', arguments: { text: 'x' } }],
    ['tools/call', { name: 'pub__echo', arguments: { text: 'x' } }],
  ] as const) {
    assert.equal((await host.post({ id: 1, method, params })).status, 200, method)
  }
  for (const method of ['resources/list', 'prompts/list', 'logging/setLevel'])
    await gate.rpc(method, { level: 'debug' }, { path: '/mcp/hid' })
  await sleep(300)
  assert.equal(hidden.received.length, before)
  assert.ok(shown.receivedOf('resources/list').length > 0, 'the other server was asked')
  stop.abort()
  await stream
})

test('what such a server offers is not told either', async () => {
  const initialize = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 't', version: '1' },
  }
  const offered = async (path: string): Promise<string[]> => {
    const { result } = (await gate.rpc('initialize', initialize, { path })).json() as {
      result: { capabilities: object }
    }
    return Object.keys(result.capabilities)
  }
  assert.deepEqual(await offered('/mcp/hid'), ['tools'])
  assert.deepEqual(await offered('/mcp/pub'), ['tools', 'resources', 'prompts'])
})

test('refusals tell nothing of the schema of a hidden tool, and all of that of one that may be called', async () => {
  verifies('play3.allow-lists')
  for (const args of [{}, { account_number: 'x' }, { account_number: 'ACC-1' }]) {
    const refused = await gate.call('hid__wire', args)
    assert.ok(refused.isError)
    assert.doesNotMatch(refused.answer.body, /account_number|ACC-1|enum|required/)
    assert.match(refused.text, /CG_POLICY_NO_ALLOW|no rule/)
  }
  assert.match((await gate.call('pub__wire', {})).text, /account_number/)
  assert.ok(!(await gate.call('pub__wire', { account_number: 'ACC-1' })).isError)
})

test('a resource has one text: what a server would resolve to another one is refused', async () => {
  const read = async (uri: string): Promise<string> =>
    (await gate.rpc('resources/read', { uri }, { path: '/mcp/pub' })).body
  assert.match(await read('note://open/secret'), /CG_POLICY/)
  for (const uri of [
    'note://open/./secret',
    'note://open/%73ecret',
    'NOTE://open/secret',
    'note://open/se\tcret',
  ])
    assert.match(await read(uri), /normal form/, uri)
  for (const uri of ['note://open', 'note://open/a..b', 'note://open/%20x'])
    assert.match(await read(uri), /a note/, uri)
})

test('a completion carries what is completed and nothing else, and goes to no prompt that policy hides', async () => {
  verifies('play3.allow-lists')
  const complete = (params: object) => gate.rpc('completion/complete', params)
  const argument = { name: 'who', value: 'A' }
  const ref = { type: 'ref/prompt', name: 'pub__greet' }
  const sent = () =>
    shown.receivedOf('completion/complete').map(({ line }) => JSON.parse(line).params as object)
  await gate.rpc('prompts/list', {})
  await complete({
    ref: { ...ref, more: 'x' },
    argument: { ...argument, more: { deep: [1] } },
    context: { arguments: { town: 'Ulm' }, more: 'x' },
    more: 'x',
  })
  assert.deepEqual(sent(), [
    { ref: { type: 'ref/prompt', name: 'greet' }, argument, context: { arguments: { town: 'Ulm' } } },
  ])
  for (const params of [
    { ref },
    { ref, argument: { name: 'who' } },
    { ref, argument: { name: 'who', value: 7 } },
    { ref, argument: { name: 'who', value: 'x'.repeat(4_096) } },
    { ref, argument, context: { arguments: { town: {} } } },
  ])
    assert.match((await complete(params)).body, /-32602/, JSON.stringify(params).slice(0, 100))
  assert.equal(sent().length, 1)
  await gate.rpc('prompts/list', {}, { path: '/mcp/hid' })
  const refused = await gate.rpc(
    'completion/complete',
    { ref: { type: 'ref/prompt', name: 'greet' }, argument },
    { path: '/mcp/hid' },
  )
  assert.match(refused.body, /CG_POLICY_NO_ALLOW|no rule/)
  assert.equal(hidden.receivedOf('completion/complete').length, 0)
})
