import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OutcomeRecord } from '@callgate/evidence'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { KINDS, type Kind, type SomeClient, type Way, reach } from './harness/clients.ts'
import { ROOT, TestGate, serverProgram } from './harness/gate.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-clients-'))
const hello = join(folder, 'hello.txt')
/** What the gate has sent to the everything server, all its children together. */
const tap = join(folder, 'sent.jsonl')
const LONG = 'trigger-long-running-operation'
let gate: TestGate

before(async () => {
  writeFileSync(hello, 'hello from the disk')
  gate = await TestGate.start({
    servers: [
      `fs:`,
      `  command: [node, ${serverProgram('filesystem')}, ${folder}]`,
      `  approve: first-use`,
      `everything:`,
      `  command: [node, ${join(ROOT, 'test', 'harness', 'stdio-tap.ts')}, ${tap}, node, ${serverProgram('everything')}, stdio]`,
      `  approve: first-use`,
    ].join('\n'),
    policy: [
      `- rule: allow-reading`,
      `  when: { tool: ["fs.read_*", "everything.*"] }`,
      `  decision: allow`,
      `- rule: allow-resources-and-prompts`,
      `  when: { method: ["resources/read", "prompts/get"] }`,
      `  decision: allow`,
      `- rule: no-chicago`,
      `  when: { tool: everything.get-structured-content, cond: "args.location == 'Chicago'" }`,
      `  decision: deny`,
      '',
    ].join('\n'),
  })
})
after(async () => {
  await gate.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Runs a story with a connected client and closes it whatever happens. */
async function using(
  kind: Kind,
  way: Way,
  server: string | undefined,
  story: (client: SomeClient) => Promise<void>,
): Promise<void> {
  const client = await kind.connect(gate, way, server)
  try {
    assert.equal(client.era, kind.era)
    await story(client)
  } finally {
    await client.close()
  }
}

/** The outcome record of the newest call of a tool. */
async function lastOutcome(tool: string): Promise<OutcomeRecord | undefined> {
  const records = (await gate.records()).map(({ record }) => record)
  return records.findLast(
    (record): record is OutcomeRecord => record.kind === 'outcome' && record.call.tool === tool,
  )
}

/** Waits until something holds: what a cancel sets in motion ends after the client has gone on. */
async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (let waited = 0; waited < 10_000; waited += 25) {
    const found = await look()
    if (found !== undefined) return found
    await sleep(25)
  }
  return assert.fail(`${what} did not come`)
}

/** Messages that the everything server was sent. */
function sent(): { id?: unknown; method?: string; params?: { requestId?: unknown; name?: string } }[] {
  return existsSync(tap)
    ? readFileSync(tap, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line))
    : []
}

/** Lists, calls, and is denied: the denial is a result that no output schema makes the client throw on. */
async function listsAndCalls(client: SomeClient): Promise<void> {
  const tools = await client.tools()
  assert.ok(tools.includes('fs__read_text_file') && tools.includes('everything__get-structured-content'))
  assert.ok(!tools.includes('fs__write_file'), 'what no rule allows is hidden')

  const read = await client.call('fs__read_text_file', { path: hello })
  assert.deepEqual([read.isError, read.text], [false, 'hello from the disk'])

  const weather = await client.call('everything__get-structured-content', { location: 'New York' })
  assert.equal(weather.isError, false)
  assert.deepEqual(Object.keys(weather.structured ?? {}).sort(), ['conditions', 'humidity', 'temperature'])

  const denied = await client.call('everything__get-structured-content', { location: 'Chicago' })
  const record = await lastOutcome('get-structured-content')
  assert.deepEqual(
    [record?.outcome, record?.code, record?.decision?.rules, record?.call.era],
    ['refused', 'CG_POLICY_DENIED', ['no-chicago'], client.era],
  )
  assert.deepEqual([denied.isError, denied.structured], [true, undefined])
  assert.match(denied.text, new RegExp(`^CG_POLICY_DENIED: .*${record?.id}`))
}

/** Sees every step of a slow call, then cuts one short: by order, the server is told and the record says so. */
async function seesProgressAndCancels(client: SomeClient, transport: 'http' | 'stdio'): Promise<void> {
  const whole: number[] = []
  const slow = { duration: 0.3, steps: 3 }
  const done = await client.call(`everything__${LONG}`, slow, { onProgress: (n) => whole.push(n) })
  assert.equal(done.isError, false)
  // Both SDKs take an answer at once and a notification in a microtask: over stdio they drop the steps that came in one read
  // with the answer, with no gate involved too. test/connect.test.ts holds the lines themselves.
  assert.deepEqual(whole, [1, 2, 3].slice(0, transport === 'http' ? 3 : whole.length))

  const earlier = sent().length
  const cancel = new AbortController()
  const cut = client.call(
    `everything__${LONG}`,
    { duration: 30, steps: 300 },
    { signal: cancel.signal, onProgress: (n) => n === 2 && cancel.abort() },
  )
  await assert.rejects(cut)
  const told = await until('the cancel at the server', () => {
    const later = sent().slice(earlier)
    const cancelled = later.find(({ method }) => method === 'notifications/cancelled')
    return cancelled === undefined
      ? undefined
      : { cancelled, called: later.find(({ params }) => params?.name === LONG) }
  })
  assert.equal(told.cancelled.params?.requestId, told.called?.id ?? 'no call')
  const record = await until('the record', async () => {
    const last = await lastOutcome(LONG)
    return last?.outcome === 'cancelled' ? last : undefined
  })
  assert.equal(record.code, 'CG_CALL_CANCELLED')
}

/** On the endpoint of one server names are bare, and resources and prompts are served too. */
async function readsAndGets(client: SomeClient): Promise<void> {
  assert.ok((await client.tools()).includes('echo'))
  const [uri] = await client.resources()
  const [content] = await client.read(uri ?? assert.fail('no resource'))
  assert.ok(JSON.stringify(content).includes(JSON.stringify(uri)))
  assert.ok((await client.prompts()).includes('args-prompt'))
  const [message] = await client.prompt('args-prompt', { city: 'Oslo' })
  assert.match(JSON.stringify(message), /weather in Oslo/)
}

for (const kind of KINDS) {
  test(`${kind.name} lists and calls over HTTP, and reads a denial as a result also where the tool has an output schema`, async () => {
    verifies('spine.clients')
    verifies('mcp.modern')
    verifies('mcp.legacy')
    verifies('mcp.bridge-modern-legacy')
    verifies('wire.policy-denial')
    await using(kind, 'http', undefined, listsAndCalls)
  })

  test(`${kind.name} sees progress over HTTP, and its cancel reaches the server and the record`, async () => {
    verifies('call.cancel')
    verifies('mcp.bridge-modern-legacy')
    await using(kind, 'http', undefined, (client) => seesProgressAndCancels(client, 'http'))
  })

  test(`${kind.name} reads resources and gets prompts of one server under their bare names`, async () => {
    verifies('mcp.names')
    verifies('mcp.bridge-modern-legacy')
    await using(kind, 'http', 'everything', readsAndGets)
  })

  // One connection for both stories: each `connect` is a process of its own, and a probing client starts two.
  test(`${kind.name} lists, calls, sees progress and cancels over \`callgate connect\``, async () => {
    verifies('cli.connect')
    verifies('call.cancel')
    await using(kind, 'stdio', undefined, async (client) => {
      await listsAndCalls(client)
      await seesProgressAndCancels(client, 'stdio')
    })
  })
}

test('`callgate connect --server` reads resources and gets prompts of one server', async () => {
  verifies('cli.connect')
  const modern = KINDS.findLast(({ era }) => era === 'modern') ?? assert.fail('no modern client')
  await using(modern, 'stdio', 'everything', readsAndGets)
})

for (const way of ['http', 'stdio'] as const) {
  test(`the Inspector lists the tools over ${way}, calls one, and shows a denial as a result`, async () => {
    verifies('spine.clients')
    const listed = await inspect(way, '--method', 'tools/list')
    assert.equal(listed.code, 0)
    assert.match(listed.stdout, /"fs__read_text_file"/)
    assert.doesNotMatch(listed.stdout, /"fs__write_file"/, 'what no rule allows is hidden')
    const call = ['--method', 'tools/call', '--tool-name']
    const read = await inspect(way, ...call, 'fs__read_text_file', '--tool-arg', `path=${hello}`)
    assert.equal(read.code, 0)
    assert.match(read.stdout, /hello from the disk/)
    const weather = 'everything__get-structured-content'
    const denied = await inspect(way, ...call, weather, '--tool-arg', 'location=Chicago')
    assert.equal(denied.code, 5, 'its own code for a tool that says it failed')
    assert.match(denied.stdout, /"text": "CG_POLICY_DENIED: /)
    assert.match(denied.stdout, /"isError": true/)
  })
}

/** One run of the Inspector's command line. */
function inspect(way: Way, ...method: string[]): Promise<{ code: unknown; stdout: string }> {
  const clients = join(ROOT, 'node_modules', '@modelcontextprotocol', 'inspector', 'clients')
  const { url, command, args } = reach(gate, undefined)
  const target =
    way === 'http'
      ? [url.href, '--transport', 'http', '--header', `Authorization: Bearer ${gate.mint()}`]
      : [command, ...args]
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(clients, 'launcher', 'build', 'index.js'), '--cli', ...target, ...method],
      { timeout: 20_000 },
      (error, stdout) => resolve({ code: error === null ? 0 : error.code, stdout }),
    )
  })
}

test('the records of all these clients verify', async () => {
  const { ok, problems } = await gate.verify()
  assert.deepEqual({ ok, problems }, { ok: true, problems: [] })
})
