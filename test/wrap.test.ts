import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type EvidenceRecord, type OutcomeRecord, readRecords, verifyLog } from '@callgate/evidence'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { connectThrough } from './harness/clients.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { ROOT, serverProgram } from './harness/gate.ts'
import { LineHost, textOf } from './harness/line-host.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-wrap-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const BIN = join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs')
const EVERYTHING = ['node', serverProgram('everything'), 'stdio']
const RELAY = ['node', join(ROOT, 'test', 'harness', 'relay-server.ts')]
const LONG = 'trigger-long-running-operation'

let states = 0
/** A state folder of its own. */
const newState = (): string => join(folder, `state-${states++}`)
/** Arguments of `callgate` for one wrapped server. */
const wrapArgs = (state: string, command: readonly string[], ...options: readonly string[]): string[] => [
  'wrap',
  '--state',
  state,
  '--name',
  'wrapped',
  ...options,
  '--',
  ...command,
]
/** Folder of the gate's state. */
const gateOf = (state: string): string => join(state, 'wrap', 'wrapped')

function policy(text: string): string {
  const file = join(folder, `policy-${states++}.yaml`)
  writeFileSync(file, text)
  return file
}

async function recordsOf(state: string, node = 0): Promise<EvidenceRecord[]> {
  const all: EvidenceRecord[] = []
  for await (const { record } of readRecords(join(gateOf(state), 'evidence', String(node)))) all.push(record)
  return all
}

async function outcomesOf(state: string, node = 0): Promise<OutcomeRecord[]> {
  return (await recordsOf(state, node)).filter((record): record is OutcomeRecord => record.kind === 'outcome')
}

/** Verifies the log from outside. */
async function verified(state: string, node = 0): Promise<boolean> {
  const log = join(gateOf(state), 'evidence', String(node))
  const verifierKey = readFileSync(join(log, 'vkey'), 'utf8').trim()
  const { ok, problems } = await verifyLog(log, { verifierKey })
  assert.deepEqual(problems, [])
  return ok
}

async function connectV2(
  command: string,
  args: string[],
): Promise<{ client: Client; close: () => Promise<void> }> {
  const client = new Client({ name: 'v2', version: '1' }, { versionNegotiation: { mode: 'auto' } })
  await client.connect(new StdioClientTransport({ command, args }))
  return { client, close: () => client.close() }
}

test('SDK v1 lists, calls, sees progress and cancels through `wrap`; nobody is denied without a policy, and all is recorded', async (t) => {
  verifies('cli.wrap')
  const state = newState()
  const client = await connectThrough({
    command: process.execPath,
    args: [BIN, ...wrapArgs(state, EVERYTHING, '--client', 'claude-code')],
    stderr: 'ignore',
  })
  t.after(() => client.close())
  assert.ok((await client.tools()).includes('echo'), 'names are the bare ones of the server')
  assert.equal((await client.call('echo', { message: 'hi' })).text, 'Echo: hi')
  assert.ok((await client.resources()).length > 0)
  const seen: number[] = []
  const cancel = new AbortController()
  const cut = client.call(
    LONG,
    { duration: 30, steps: 300 },
    { signal: cancel.signal, onProgress: (n) => seen.push(n) === 2 && cancel.abort() },
  )
  await assert.rejects(cut)
  assert.deepEqual(seen.slice(0, 2), [1, 2])
  await client.close()
  const outcomes = await ended(state)
  assert.deepEqual(
    outcomes.map(({ call, outcome }) => [call.tool, outcome]),
    [
      ['echo', 'answered'],
      [LONG, 'cancelled'],
    ],
  )
  assert.deepEqual(outcomes[0]?.decision?.rules, ['wrap-observed'])
  assert.deepEqual(
    [outcomes[0]?.actor, outcomes[0]?.subject],
    [{ id: 'claude-code', type: 'agent' }, userInfo().username],
  )
  assert.equal(await verified(state), true)
})

test('SDK v2 finds the modern era through `wrap`, and a policy denies what it does not allow', async (t) => {
  verifies('cli.wrap')
  const state = newState()
  const rules = policy(
    [
      '- rule: sums',
      '  when: { tool: wrapped.get-sum }',
      '  decision: allow',
      '- rule: open-echo',
      `  when: { tool: wrapped.echo, cond: "args.message != 'secret'" }`,
      '  decision: allow',
    ].join('\n'),
  )
  const { client, close } = await connectV2(process.execPath, [
    BIN,
    ...wrapArgs(state, EVERYTHING, '--policy', rules, '--read', 'echo'),
  ])
  t.after(close)
  assert.equal(client.getNegotiatedProtocolVersion(), '2026-07-28')
  const { tools } = await client.listTools()
  assert.deepEqual(tools.map(({ name }) => name).sort(), ['echo', 'get-sum'])
  assert.equal((await client.callTool({ name: 'echo', arguments: { message: 'open' } })).isError, undefined)
  const denied = await client.callTool({ name: 'echo', arguments: { message: 'secret' } })
  assert.equal(denied.isError, true)
  await close()
  const [open, secret] = await ended(state)
  assert.deepEqual([open?.outcome, open?.actor?.id], ['answered', userInfo().username])
  assert.deepEqual(
    [secret?.outcome, secret?.code, secret?.call.era],
    ['refused', 'CG_POLICY_NO_ALLOW', 'modern'],
  )
  assert.match(JSON.stringify(denied.content), new RegExp(secret?.id ?? 'no record'))
  assert.equal(await verified(state), true)
})

/** Outcomes once the process has ended: the client does not wait for that. */
async function ended(state: string): Promise<OutcomeRecord[]> {
  for (let i = 0; i < 1_000; i++) {
    const records = existsSync(join(gateOf(state), 'evidence', '0'))
      ? await recordsOf(state).catch(() => [])
      : []
    if (records.some((record) => record.kind === 'gate' && record.event === 'gate.stopped'))
      return outcomesOf(state)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return assert.fail('the gate did not stop')
}

test('it has no port: none of its sockets is one of a network, and its notes go to standard error alone', async (t) => {
  verifies('cli.wrap')
  const host = new LineHost(t, wrapArgs(newState(), RELAY)).read()
  await host.initialize()
  assert.deepEqual(networkSockets(host.process.pid), [])
  // The near miss: a process that does listen is found out.
  const listening = createServer()
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  t.after(() => listening.close())
  assert.notDeepEqual(networkSockets(process.pid), [])
  assert.equal(host.lines.length, 1, 'standard output is the protocol alone')
  assert.match(host.stderr, /no --policy, so every call is allowed and recorded/)
  assert.equal(await host.close(), 0)
})

/** Inodes of the TCP and UDP sockets of a process, the listening ones too. */
function networkSockets(pid: number | undefined): string[] {
  const network = ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((family) =>
    readFileSync(`/proc/${pid}/net/${family}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/)[9]),
  )
  return readdirSync(`/proc/${pid}/fd`)
    .flatMap((fd) => /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${fd}`))?.[1] ?? [])
    .filter((inode) => network.includes(inode))
}

const link = (path: string): string => {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

test('the server sees no variable of the gate but the few harmless ones and those that --env names', async (t) => {
  verifies('cli.wrap')
  const host = new LineHost(t, wrapArgs(newState(), RELAY, '--env', 'WANTED'), {
    env: { WANTED: 'yes', SECRET: 'no' },
  }).read()
  await host.initialize()
  host.request(1, 'tools/call', { name: 'whoami', arguments: {} })
  const env: unknown = JSON.parse(textOf(await host.answer(1)))
  // Node itself hands NODE_V8_COVERAGE to the children of a process whose coverage is taken.
  const harmless = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'NODE_V8_COVERAGE']
  assert.deepEqual(
    Object.keys(Object(env)).filter((name) => !harmless.includes(name)),
    ['WANTED'],
  )
})

test('a server may ask its host only what --ask grants', async (t) => {
  verifies('cli.wrap')
  verifies('bridge.capability-rule')
  for (const ask of [[], ['--ask', 'elicitation.form']]) {
    const host = new LineHost(t, wrapArgs(newState(), RELAY, ...ask)).read()
    await host.initialize({ elicitation: {} })
    host.request(1, 'tools/call', { name: 'ask', arguments: {} })
    if (ask.length > 0) {
      const question = await host.find(({ method }) => method === 'elicitation/create')
      host.say({ jsonrpc: '2.0', id: question.id, result: { action: 'accept', content: { name: 'Ada' } } })
    }
    assert.equal(textOf(await host.answer(1)), ask.length > 0 ? 'you are Ada' : 'you are undefined')
  }
})

test('tools are approved at first sight and never again: a change is withheld at the next start, and said', async (t) => {
  verifies('cli.wrap')
  const fixture = new Fixture([textTool('one')])
  t.after(() => rmSync(fixture.folder, { recursive: true, force: true }))
  const command = ['node', join(ROOT, 'test', 'harness', 'fixture-server.ts'), fixture.folder]
  const state = newState()
  const listed = async (): Promise<{ names: unknown; stderr: string }> => {
    const host = new LineHost(t, wrapArgs(state, command)).read()
    await host.initialize()
    host.request(1, 'tools/list')
    const tools = (await host.answer(1)).result?.['tools']
    assert.equal(await host.close(), 0)
    return {
      names: Array.isArray(tools) ? tools.map((tool) => Object(tool).name) : tools,
      stderr: host.stderr,
    }
  }
  assert.deepEqual((await listed()).names, ['one'])
  fixture.list([textTool('one'), textTool('two')])
  const second = await listed()
  assert.deepEqual(second.names, ['one'])
  assert.match(second.stderr, /catalog\.waiting.*two/)
})

test('two at once on one state folder write a log each, and both verify', async (t) => {
  verifies('cli.wrap')
  const state = newState()
  const hosts = [1, 2].map(() => new LineHost(t, wrapArgs(state, RELAY)).read())
  await Promise.all(hosts.map((host) => host.initialize()))
  for (const host of hosts) {
    host.request(1, 'tools/call', { name: 'whoami', arguments: {} })
    await host.answer(1)
  }
  assert.deepEqual(await Promise.all(hosts.map((host) => host.close())), [0, 0])
  for (const node of [0, 1]) {
    assert.equal((await outcomesOf(state, node)).length, 1)
    assert.equal(await verified(state, node), true)
  }
})

test('a server that cannot be started ends it with code 1 and the reason; other names than ids are refused', async (t) => {
  verifies('cli.wrap')
  for (const [args, code, why] of [
    [wrapArgs(newState(), ['node', '-e', 'process.exit(3)']), 1, /exited with code 3/],
    [wrapArgs(newState(), ['no-such-program']), 1, /could not be started/],
    [['wrap', '--name', 'Wrong!', '--', 'node'], 2, /--name is `Wrong!`/],
    [['wrap', '--env', 'NOT_SET_HERE', '--', 'node'], 2, /--env names `NOT_SET_HERE`/],
    [['wrap', '--ask', 'everything', '--', 'node'], 2, /clientCapabilities/],
    [['wrap', '--state', newState(), '--policy', 'missing.yaml', '--', ...RELAY], 1, /missing\.yaml/],
  ] as const) {
    const host = new LineHost(t, args, { cwd: folder })
    assert.equal(await host.ended, code, host.stderr)
    assert.match(host.stderr, why)
  }
})

test('a signal ends it in order, and the record of a call in flight says that nobody knows its fate', async (t) => {
  verifies('cli.wrap')
  const state = newState()
  const host = new LineHost(t, wrapArgs(state, RELAY)).read()
  await host.initialize()
  host.request(1, 'tools/call', { name: 'never', arguments: {} })
  await children(host.process.pid, 1)
  await intent(state)
  host.process.kill('SIGTERM')
  assert.equal(await host.ended, 0)
  const [outcome] = await outcomesOf(state)
  assert.deepEqual([outcome?.call.tool, outcome?.code], ['never', 'CG_UPSTREAM_UNKNOWN_FATE'])
})

test('a host that is killed leaves nobody behind: neither the gate nor its server, with a call in flight', async (t) => {
  verifies('cli.wrap')
  const state = newState()
  // The host is a process of its own, so that it can die without closing anything.
  const initialize = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'h', version: '1' },
  }
  const lines = [
    { jsonrpc: '2.0', id: 0, method: 'initialize', params: initialize },
    { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'never', arguments: {} } },
  ]
  const program = `
    const { spawn } = require('node:child_process')
    const child = spawn(process.execPath, ${JSON.stringify([BIN, ...wrapArgs(state, RELAY)])}, { stdio: ['pipe', 'pipe', 'ignore'] })
    child.stdin.write(${JSON.stringify(`${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)})
    child.stdout.resume()
    console.log(child.pid)`
  const host = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => host.kill('SIGKILL'))
  const pid = await new Promise<number>((resolve) => {
    host.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk.toString())))
  })
  await intent(state)
  const servers = await children(pid, 1)
  host.kill('SIGKILL')
  for (let i = 0; i < 1_500 && [pid, ...servers].some(alive); i++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  assert.deepEqual([pid, ...servers].filter(alive), [])
  assert.equal((await outcomesOf(state)).length, 1, 'the call has its outcome')
  assert.equal(await verified(state), true)
})

/** Waits until a call is about to reach the server. */
async function intent(state: string): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    const records = await recordsOf(state).catch(() => [])
    if (records.some(({ kind }) => kind === 'intent')) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  assert.fail('no call came')
}

/** Children of a process, at least so many. */
async function children(pid: number | undefined, least: number): Promise<number[]> {
  for (let i = 0; i < 1_000; i++) {
    const found = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean)
    if (found.length >= least) return found.map(Number)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return assert.fail(`${pid} has fewer than ${least} children`)
}

/** A zombie is gone too: only who started it has not looked yet. */
function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
