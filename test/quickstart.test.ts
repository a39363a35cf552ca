import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { ROOT } from './harness/gate.ts'

const run = promisify(execFile)
const state = mkdtempSync(join(tmpdir(), 'callgate-quickstart-'))
const env = { ...process.env, CALLGATE_STATE: state, CALLGATE_PORT: '0' }
const LAUNCHER = join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs')
const lines: string[] = []
let gate: ChildProcess

before(async () => {
  gate = spawn(process.execPath, [join(ROOT, 'scripts', 'start.mjs')], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise<void>((resolve, reject) => {
    gate.once('exit', (code) => reject(new Error(`npm start ended with ${code}`)))
    if (gate.stdout === null) throw new Error('no stdout')
    createInterface({ input: gate.stdout }).on('line', (line) => {
      lines.push(line)
      if (line.startsWith('policy:')) resolve()
    })
  })
})

after(async () => {
  gate.removeAllListeners('exit')
  const gone = new Promise((resolve) => gate.once('exit', resolve))
  gate.kill()
  await gone
  rmSync(state, { recursive: true, force: true })
})

/** Runs `callgate` as a user does, on the state folder of the quickstart. */
async function callgate(...args: string[]): Promise<string> {
  return (await run(process.execPath, [LAUNCHER, ...args], { cwd: ROOT, env })).stdout
}

/** Pastes a printed line into a shell. */
async function paste(
  name: string,
): Promise<{ result: { content: { text: string }[]; isError?: boolean; tools: { name: string }[] } }> {
  const line = lines.find((each) => each.startsWith(`${name}:`)) ?? assert.fail(`no line \`${name}\``)
  const { stdout } = await run('bash', ['-c', line.slice(line.indexOf('curl'))])
  return JSON.parse(stdout)
}

test('npm start says in at most 8 lines how to go on', () => {
  verifies('cli.start')
  assert.ok(lines.length <= 8, `${lines.length} lines`)
  for (const name of ['list', 'allowed', 'denied', 'host', 'records']) {
    assert.equal(lines.filter((line) => line.startsWith(`${name}:`)).length, 1, name)
  }
})

test('the printed calls list the tools, read a file and are denied a write, as they are', async () => {
  verifies('spine.first-run')
  const { result: list } = await paste('list')
  assert.ok(list.tools.some((tool) => tool.name === 'fs__read_text_file'))
  assert.ok(!list.tools.some((tool) => tool.name === 'fs__write_file'), 'what no rule allows is hidden')
  const welcome = readFileSync(join(ROOT, 'examples', 'quickstart', 'files', 'welcome.txt'), 'utf8')
  const { result: read } = await paste('allowed')
  assert.equal(read.content[0]?.text, welcome)
  const { result: denied } = await paste('denied')
  assert.equal(denied.isError, true)
  assert.match(denied.content[0]?.text ?? '', /^CG_POLICY_NO_ALLOW: .*\[evidence [0-9A-Z]{26}\]$/)
  assert.equal(readFileSync(join(ROOT, 'examples', 'quickstart', 'files', 'welcome.txt'), 'utf8'), welcome)
})

test('tail, explain and evidence verify tell what happened, with the evidence id of the refusal', async () => {
  verifies('cli.tail')
  verifies('cli.explain')
  verifies('cli.evidence')
  const { result } = await paste('denied')
  const id = /\[evidence ([0-9A-Z]{26})\]/.exec(result.content[0]?.text ?? '')?.[1] ?? ''
  assert.match(
    await callgate('tail', '--no-follow'),
    new RegExp(`${id} agent curl for you called fs.write_file: refused with CG_POLICY_NO_ALLOW`),
  )
  const said = await callgate('explain', id)
  for (const part of [
    'agent curl for you called fs.write_file (class destructive)',
    'because no rule allows it',
    'What to do:',
  ]) {
    assert.ok(said.includes(part), `${part} in ${said}`)
  }
  const verified = JSON.parse(await callgate('evidence', 'verify', '--json')) as { ok: boolean; size: number }
  assert.equal(verified.ok, true)
  const shown = (await callgate('evidence', 'show', id, '--json'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    shown.map((stored) => [stored.record.id, stored.record.kind]),
    [[id, 'outcome']],
  )
})

test('token mint --json prints token and expires_at; a token minted --once opens one call', async () => {
  verifies('cli.token-mint')
  const minted = JSON.parse(await callgate('token', 'mint', '--json')) as Record<string, string>
  assert.deepEqual(Object.keys(minted), ['token', 'expires_at'])
  assert.ok(Date.parse(minted['expires_at'] ?? '') > Date.now())
  const once = (await callgate('token', 'mint', '--once')).trim()
  const { url } = JSON.parse(readFileSync(join(state, 'run.json'), 'utf8')) as { url: string }
  const list = () =>
    fetch(`${url}/mcp`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${once}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }),
    })
  assert.equal((await list()).status, 200)
  const second = await list()
  assert.equal(second.status, 401)
  assert.equal(((await second.json()) as { code: string }).code, 'CG_IDENTITY_REPLAYED')
})

test('state is readable by its owner alone', () => {
  assert.equal(statSync(join(state, 'keys')).mode & 0o077, 0)
  for (const file of ['dev-issuer.jwk', 'evidence.key', 'evidence-mac.key']) {
    assert.equal(statSync(join(state, 'keys', file)).mode & 0o077, 0, file)
  }
})

test('--strict refuses the quickstart and names the dev issuer and first-use approval with their lines', async () => {
  verifies('spine.safe-defaults')
  const failed = await callgate(
    'check',
    '--strict',
    '--config',
    join('examples', 'quickstart', 'callgate.yaml'),
  ).catch((error: { stdout: string; code: number }) => error)
  assert.ok(typeof failed === 'object' && failed.code === 1)
  assert.match(failed.stdout, /callgate\.yaml:\d+:\d+ .*dev/)
  assert.match(failed.stdout, /callgate\.yaml:\d+:\d+ .*first-use/)
})

test('no package of the tree needs an install script: everything works with --ignore-scripts', () => {
  verifies('spine.ignore-scripts')
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { hasInstallScript?: boolean }>
  }
  // The Inspector, a test client, has one; its tests run without it.
  const scripted = Object.entries(lock.packages).filter(([, entry]) => entry.hasInstallScript === true)
  assert.deepEqual(
    scripted.map(([path]) => path),
    // A test client, whose tests run without its script.
    ['node_modules/@modelcontextprotocol/inspector'],
  )
  // The commands of the README install in no other way, so every run of them shows it.
  assert.match(readFileSync(join(ROOT, 'scripts', 'install.mjs'), 'utf8'), /'ci',\s*'--ignore-scripts'/)
})

test('every tool of the quickstart servers has a schema that compiles, and none waits or is withheld', async () => {
  verifies('play3.strict-schema')
  const servers = JSON.parse(await callgate('servers', '--json')) as Record<
    string,
    { pins: Record<string, object>; waiting: Record<string, object> }
  >
  assert.deepEqual(Object.keys(servers).sort(), ['everything', 'fs', 'memory'])
  for (const [id, { pins, waiting }] of Object.entries(servers)) {
    assert.ok(Object.keys(pins).length >= 9, `${id} has ${Object.keys(pins).length} tools`)
    assert.deepEqual(waiting, {}, id)
  }
})
