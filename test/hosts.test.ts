import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type OutcomeRecord, readRecords, verifyLog } from '@callgate/evidence'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { ROOT } from './harness/gate.ts'
import { MockLlm, type Said } from './harness/llm.ts'
import { ClaudeCode, processesIn } from './hosts/claude-code.ts'

/** Set by `npm run hosts -- --minutes N`: how long the long session lasts, with the default token life. */
const MINUTES = Number(process.env['CALLGATE_HOSTS_MINUTES'] ?? 0)
const SHORT = { seconds: 26, pauseMs: 2_500, flags: ' --token-life 10', lifeS: 10 }
const LONG = { seconds: MINUTES * 60, pauseMs: 20_000, flags: '', lifeS: 300 }
const { seconds, pauseMs, flags, lifeS } = MINUTES > 0 ? LONG : SHORT

const FILES = join(ROOT, 'examples', 'quickstart', 'files')
const READ = 'mcp__callgate__fs__read_text_file'
const welcome = readFileSync(join(FILES, 'welcome.txt'), 'utf8').trim()

const folder = mkdtempSync(join(tmpdir(), 'callgate-hosts-'))
const homes = join(folder, 'homes')
const state = join(folder, 'state')
const lines: string[] = []
let gate: ChildProcess | undefined

before(async () => {
  spawnSync(process.execPath, [join(ROOT, 'scripts', 'hosts.mjs'), '--install'], { stdio: ['ignore', 2, 2] })
  if (!ClaudeCode.installed) return
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

/** A host in a new home. What it leaves running when the test ends is a failure, and is ended by its pid. */
async function claude(
  t: TestContext,
  say: (turn: number) => Said | Promise<Said>,
): Promise<{ host: ClaudeCode; llm: MockLlm }> {
  mkdirSync(homes, { recursive: true })
  const home = mkdtempSync(join(homes, 'home-'))
  let turn = 0
  const llm = await MockLlm.start(() => say(turn++))
  t.after(async () => {
    await llm.close()
    // A child that was told to end needs a moment.
    for (let waited = 0; processesIn(home).length > 0 && waited < 3_000; waited += 100) await sleep(100)
    const left = processesIn(home)
    for (const { pid } of left) process.kill(pid, 'SIGKILL')
    assert.deepEqual(left, [], 'the host left processes behind')
    assert.deepEqual(llm.strayed, [], 'the host reached for the network')
  })
  return { host: new ClaudeCode(home, llm.url), llm }
}

/** Without the program there is nothing to test; in CI that is a failure. */
function installed(t: TestContext): boolean {
  if (ClaudeCode.installed) return true
  assert.notEqual(process.env['CI'], 'true', 'Claude Code is not installed in test/hosts')
  t.skip('Claude Code is not installed: `npm ci` in test/hosts failed')
  return false
}

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
  if (!installed(t)) return
  const script: Said[] = [
    { tool: READ, input: { path: join(FILES, 'welcome.txt') } },
    { tool: READ, input: { path: join(FILES, '.secret') } },
    { text: 'that is all' },
  ]
  const { host, llm } = await claude(t, (turn) => script[turn] ?? assert.fail('asked too often'))
  const added = await host.shell(hostLine())
  assert.equal(added.code, 0, added.stderr)
  const turn = await host.turn('read both files')
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
  if (!installed(t)) return
  const earlier = (await outcomes()).length
  let until = 0
  const { host, llm } = await claude(t, async () => {
    if (until === 0) until = Date.now() + seconds * 1_000
    else await sleep(pauseMs)
    return Date.now() < until
      ? { tool: READ, input: { path: join(FILES, 'welcome.txt') } }
      : { text: 'that is all' }
  })
  const added = await host.shell(hostLine() + flags)
  assert.equal(added.code, 0, added.stderr)
  const turn = await host.turn('read the file again and again')
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
