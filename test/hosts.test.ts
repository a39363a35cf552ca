import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type OutcomeRecord, readRecords, verifyLog } from '@callgate/evidence'
import type { Known } from '../packages/gateway/src/cli/host-profiles.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { connectThrough } from './harness/clients.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { ROOT, TestGate, serverProgram } from './harness/gate.ts'
import type { Said } from './harness/llm.ts'
import { claudeCode } from './hosts/claude-code.ts'
import { cline } from './hosts/cline.ts'
import { continueCli } from './hosts/continue.ts'
import { HOST_MODULES, isInstalled } from './hosts/host.ts'
import { hasOwnMounts, managed } from './hosts/managed.ts'
import { opening } from './hosts/opening.ts'
import { installed, settle } from './hosts/settle.ts'
import { assertAnswered, assertRecorded, gateOfBoth, story } from './hosts/story.ts'
import { openTap } from './hosts/tap.ts'

/** Set by `npm run hosts -- --minutes N`: how long the long session lasts, with the default token life. */
const MINUTES = Number(process.env['CALLGATE_HOSTS_MINUTES'] ?? 0)
const SHORT = { seconds: 26, pauseMs: 2_500, flags: ' --token-life 10', lifeS: 10 }
const LONG = { seconds: MINUTES * 60, pauseMs: 20_000, flags: '', lifeS: 300 }
const { seconds, pauseMs, flags, lifeS } = MINUTES > 0 ? LONG : SHORT

const BIN = join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs')
const FILES = join(ROOT, 'examples', 'quickstart', 'files')
const READ = claudeCode.toolName('fs__read_text_file')
const welcome = readFileSync(join(FILES, 'welcome.txt'), 'utf8').trim()

const folder = mkdtempSync(join(tmpdir(), 'callgate-hosts-'))
const homes = join(folder, 'homes')
const state = join(folder, 'state')
const lines: string[] = []
let gate: ChildProcess | undefined

before(async () => {
  spawnSync(process.execPath, [join(ROOT, 'scripts', 'hosts.mjs'), '--install'], { stdio: ['ignore', 2, 2] })
  if (!isInstalled(claudeCode)) return
  // What `npm start` runs, on a port and a state folder of its own.
  gate = spawn(
    process.execPath,
    [
      join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs'),
      'start',
      '--config',
      join('examples', 'quickstart', 'callgate.yaml'),
      '--quickstart',
    ],
    {
      cwd: ROOT,
      env: { ...process.env, CALLGATE_STATE: state, CALLGATE_PORT: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  if (gate.stdout === null) throw new TypeError('the gate has no stdout')
  for await (const line of createInterface({ input: gate.stdout })) {
    lines.push(line)
    if (line.startsWith('policy:')) break
  }
})

after(async () => {
  if (gate !== undefined && gate.exitCode === null) {
    const gone = new Promise((resolve) => gate?.once('exit', resolve))
    gate.kill('SIGTERM')
    await gone
  }
  rmSync(folder, { recursive: true, force: true })
})

/** The line that `npm start` prints for hosts, without its name. */
const hostLine = () =>
  lines.find((line) => line.startsWith('host:'))?.replace(/^host:\s+/, '') ?? assert.fail('no host line')

/** Outcome records of the client `connect`, oldest first, after those that were there before. */
async function outcomes(skip = 0): Promise<OutcomeRecord[]> {
  const found: OutcomeRecord[] = []
  for await (const { record } of readRecords(join(state, 'evidence', '0'))) {
    if (record.kind === 'outcome' && record.client === 'connect') found.push(record)
  }
  return found.slice(skip)
}

async function assertVerified(): Promise<void> {
  const log = join(state, 'evidence', '0')
  const { ok, problems } = await verifyLog(log, {
    verifierKey: readFileSync(join(log, 'vkey'), 'utf8').trim(),
  })
  assert.deepEqual({ ok, problems }, { ok: true, problems: [] })
}

test('the printed host line gives Claude Code the gate: an allowed call brings the file, a denied one an error, both are recorded', async (t) => {
  verifies('spine.host-line')
  verifies('mcp.modern')
  verifies('mcp.bridge-modern-legacy')
  if (!installed(t, claudeCode)) return
  const script: Said[] = [
    { tool: READ, input: { path: join(FILES, 'welcome.txt') } },
    { tool: READ, input: { path: join(FILES, '.secret') } },
    { text: 'that is all' },
  ]
  const { home, llm } = await settle(
    t,
    homes,
    claudeCode,
    ({ results }) => script[results.length] ?? assert.fail('asked too often'),
  )
  const added = await home.shell(hostLine())
  assert.equal(added.code, 0, added.stderr)
  const turn = await claudeCode.turn(home, 'read both files')
  assert.equal(turn.code, 0, turn.stderr)
  assert.match(turn.stdout, /that is all/)

  const { tools, results } = llm.asked.at(-1) ?? assert.fail('the model was never asked')
  assert.ok(tools.includes(READ), 'the tool is offered')
  assert.ok(!tools.includes('mcp__callgate__fs__write_file'), 'a tool that no rule allows is hidden')
  const [read, denied] = results
  assert.equal(read?.isError, false)
  assert.ok(read.text.includes(welcome.slice(0, 40)), read.text)
  assert.equal(denied?.isError, true)
  assert.match(denied.text, /^CG_POLICY_/)

  const records = await outcomes()
  assert.deepEqual(
    records.map(({ call, outcome, decision }) => [
      call.server,
      call.tool,
      call.era,
      outcome,
      decision?.rules.join(),
    ]),
    [
      ['fs', 'read_text_file', 'modern', 'answered', 'allow-reading'],
      ['fs', 'read_text_file', 'modern', 'refused', 'no-dotfiles'],
    ],
  )
  assert.ok(denied.text.includes(records[1]?.id ?? 'no id'), 'the refusal names its record')
  await assertVerified()
})

test('one Claude Code session calls on while its tokens expire and are renewed', async (t) => {
  verifies('spine.host-line')
  verifies('cli.connect')
  if (!installed(t, claudeCode)) return
  const earlier = (await outcomes()).length
  let until = 0
  const { home, llm } = await settle(t, homes, claudeCode, async () => {
    if (until === 0) until = Date.now() + seconds * 1_000
    else await sleep(pauseMs)
    return Date.now() < until
      ? { tool: READ, input: { path: join(FILES, 'welcome.txt') } }
      : { text: 'that is all' }
  })
  const added = await home.shell(hostLine() + flags)
  assert.equal(added.code, 0, added.stderr)
  const turn = await claudeCode.turn(home, 'read the file again and again')
  assert.equal(turn.code, 0, turn.stderr)
  assert.match(turn.stdout, /that is all/)

  const results = llm.asked.at(-1)?.results ?? []
  assert.deepEqual(
    results.filter(({ isError, text }) => isError || !text.includes(welcome.slice(0, 40))),
    [],
  )

  const records = await outcomes(earlier)
  assert.equal(records.length, results.length)
  assert.ok(records.every(({ outcome }) => outcome === 'answered'))
  assert.equal(new Set(records.map(({ session }) => session)).size, 1, 'one session, however many tokens')
  const tokens = new Set(records.map(({ token }) => token?.jti_hash))
  const spanS = (Date.parse(records.at(-1)?.time ?? '') - Date.parse(records[0]?.time ?? '')) / 1_000
  assert.ok(spanS > 2 * lifeS, `the calls span ${spanS} s, two tokens live ${2 * lifeS} s`)
  assert.ok(tokens.size >= 3, `${tokens.size} tokens`)
  await assertVerified()
  t.diagnostic(
    `${records.length} calls in ${Math.round(spanS)} s with ${tokens.size} tokens of ${lifeS} s, one session`,
  )
})

for (const host of [claudeCode, cline, continueCli]) {
  for (const transport of ['stdio', 'http'] as const) {
    test(`${host.name} over ${transport} calls a stdio server and an HTTP server, reads their denials as tool errors, and calls on`, async (t) => {
      verifies('hosts.real')
      verifies('hosts.profiles')
      if (!installed(t, host)) return
      const both = await gateOfBoth(t)
      const steps = story(both)
      const { home, llm } = await settle(t, homes, host, ({ results }) => {
        const step = steps[results.length]
        return step === undefined
          ? { text: 'that is all' }
          : { tool: host.toolName(step.tool), input: step.input }
      })
      const tap = await openTap(t, both.gate, transport, home.folder)
      await host.enter(home, tap.entry)
      let turn = await host.turn(home, 'call one tool after the other')
      for (let more = 2; more > 0 && tap.sent()[0]?.startsWith('Content-Length:'); more--) {
        // Cline gives a program 3 seconds to start and then speaks another framing. So busy a machine shows nothing.
        t.diagnostic(`${host.name} did not wait for the gate; once more`)
        turn = await host.turn(home, 'call one tool after the other')
      }
      assert.equal(turn.code, 0, turn.stderr)
      assert.match(turn.stdout, /that is all/)

      const { tools, results } = llm.asked.at(-1) ?? assert.fail('the model was never asked')
      assert.deepEqual(
        tools.filter((name) => /fs__|fix__/.test(name)).sort(),
        ['fix__look', 'fs__read_text_file'].map((tool) => host.toolName(tool)),
        'what rules allow is offered under the name that the profile tells, the rest is hidden',
      )
      const records = await assertRecorded(
        steps,
        host.protocol[transport] === '2026-07-28' ? 'modern' : 'legacy',
        both,
      )
      assert.equal(results.length, steps.length)
      for (const [index, step] of steps.entries()) {
        const result = results[index] ?? assert.fail(`no result ${index}`)
        assertAnswered(step, host.handed(result), records[index])
      }

      const told = opening(tap.sent()[0] ?? assert.fail('the host sent nothing'))
      assert.equal(told.protocol, host.protocol[transport])
      const { protocol, clientInfo, capabilities } = host.profile
      assert.ok(profiled(protocol).includes(String(told.protocol)), String(told.protocol))
      assert.ok(profiled(clientInfo).includes(String(told.client)), String(told.client))
      assert.deepEqual(told.capabilities, [...profiled(capabilities)].sort())
    })
  }
}

/** A value of a profile, which a real host must have. */
function profiled(known: Known<readonly string[]>): readonly string[] {
  return known.from === 'not found' ? assert.fail('the profile does not know it') : known.is
}

test('mcp-remote before the gate calls a stdio server and an HTTP server, passes their denials on as results, and calls on', async (t) => {
  verifies('hosts.mcp-remote')
  const program = join(HOST_MODULES, 'mcp-remote', 'dist', 'proxy.js')
  if (!existsSync(program)) {
    assert.notEqual(process.env['CI'], 'true', 'mcp-remote is not installed in test/hosts')
    return t.skip('hosts.mcp-remote: mcp-remote is not installed: `npm ci` in test/hosts failed')
  }
  const both = await gateOfBoth(t)
  const client = await connectThrough({
    command: process.execPath,
    args: [program, `${both.gate.url}/mcp`, '--header', 'Authorization:Bearer ${TOKEN}'],
    // Its folder of logins; the folder of whoever runs the test is none of ours.
    env: {
      MCP_REMOTE_CONFIG_DIR: join(folder, 'mcp-remote'),
      TOKEN: both.gate.mint({ sid: 'one-conversation' }),
    },
    stderr: 'ignore',
  })
  t.after(() => client.close())
  assert.deepEqual((await client.tools()).sort(), ['fix__look', 'fs__read_text_file'])
  const steps = story(both)
  const answers = []
  for (const { tool, input } of steps) answers.push(await client.call(tool, input))
  const records = await assertRecorded(steps, 'legacy', both)
  for (const [index, step] of steps.entries()) {
    assertAnswered(step, answers[index] ?? assert.fail(`no answer ${index}`), records[index])
  }
})

test('Cline that gave up on a slow first start gets its tools from the second, which it talks to in frames', async (t) => {
  verifies('cli.connect')
  if (!installed(t, cline)) return
  const fixture = new Fixture([textTool('echo')])
  t.after(() => rmSync(fixture.folder, { recursive: true, force: true }))
  const own = await TestGate.start({ servers: fixture.yaml('fix') }, t)
  const { home, llm } = await settle(t, homes, cline, ({ results }) =>
    results.length === 0
      ? { tool: cline.toolName('fix__echo'), input: { text: 'hello' } }
      : { text: 'that is all' },
  )
  // The first start answers nothing, as on a machine that is too busy.
  const started = join(folder, 'cline-started')
  const slow = `[ -e '${started}' ] || { : > '${started}'; exec sleep 30; }; exec "$@"`
  const connect = [process.execPath, BIN, 'connect', '--state', own.state]
  await cline.enter(home, { transport: 'stdio', command: '/bin/sh', args: ['-c', slow, 'sh', ...connect] })
  const turn = await cline.turn(home, 'call the tool once')
  assert.equal(turn.code, 0, turn.stderr)
  assert.ok(existsSync(started), 'the first start was the slow one')
  const { tools, results } = llm.asked.at(-1) ?? assert.fail('the model was never asked')
  assert.ok(tools.includes(cline.toolName('fix__echo')), `${tools.join()} ${turn.stderr}`)
  assert.match(results[0]?.text ?? '', /hello/)
})

test('Claude Code under the files of `hosts export` has the tools of the gate alone, whatever its user configured', async (t) => {
  verifies('hosts.managed')
  if (!installed(t, claudeCode)) return
  // Its files belong into /etc, which a test may only put its own over in a mount namespace.
  mkdirSync(join(folder, 'no-etc'), { recursive: true })
  if (!hasOwnMounts(join(folder, 'no-etc')))
    return t.skip('hosts.managed: this machine gives tests no mounts of their own')
  const { gate: own, fixture, papers } = await gateOfBoth(t)
  const files = exportedFor('claude-code', own)
  const line = (JSON.parse(files['managed-mcp.json'] ?? '') as { mcpServers: { callgate: object } })
    .mcpServers.callgate
  const { deniedMcpServers } = JSON.parse(files['managed-settings.json'] ?? '') as {
    deniedMcpServers: object[]
  }
  const program = serverProgram('filesystem')
  const users = {
    mine: line,
    url: {
      type: 'http',
      url: `${own.url}/mcp`,
      headers: { Authorization: `Bearer ${own.mint({ sid: 'by-url' })}` },
    },
    files: { type: 'stdio', command: 'node', args: [program, papers] },
    fixture: { type: 'http', url: fixture.url },
    // The same server by another command, which is on no list.
    other: { type: 'stdio', command: process.execPath, args: [program, papers] },
  }
  /** Servers whose tools the model is offered, under some of the files. */
  const offered = async (name: string, some: Readonly<Record<string, string>>): Promise<string[]> => {
    const host = managed(claudeCode, join(folder, 'managed', name), 'claude-code', some)
    const { home, llm } = await settle(t, homes, host, () => ({ text: 'that is all' }))
    writeFileSync(join(home.folder, '.claude.json'), JSON.stringify({ mcpServers: users }))
    const turn = await host.turn(home, 'say that this is all')
    assert.equal(turn.code, 0, turn.stderr)
    const { tools } = llm.asked.at(-1) ?? assert.fail('the model was never asked')
    return [...new Set(tools.flatMap((tool) => /^mcp__(\w+?)__/.exec(tool)?.[1] ?? []))].sort()
  }
  assert.deepEqual(await offered('nothing', {}), ['files', 'fixture', 'mine', 'other', 'url'])
  assert.deepEqual(
    await offered('denied', { 'managed-settings.json': JSON.stringify({ deniedMcpServers }) }),
    ['mine', 'other', 'url'],
    'what is denied by command or address does not run',
  )
  const { 'managed-settings.json': settings = '' } = files
  assert.deepEqual(await offered('listed', { 'managed-settings.json': settings }), ['mine', 'url'])
  assert.deepEqual(await offered('all', files), ['callgate'])
})

/** What `callgate hosts export` writes for a host, by name. */
function exportedFor(host: string, own: TestGate): Record<string, string> {
  const out = join(folder, `exported-${host}`)
  const env = { ...process.env, CALLGATE_STATE: own.state, CALLGATE_PORT: new URL(own.url).port }
  const args = ['hosts', 'export', '--host', host, '--config', own.config, '--out', out]
  const { status, stderr } = spawnSync(process.execPath, [BIN, ...args], { env, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return Object.fromEntries(readdirSync(out).map((name) => [name, readFileSync(join(out, name), 'utf8')]))
}
