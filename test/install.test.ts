import assert from 'node:assert/strict'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { readRecords } from '@callgate/evidence'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { ROOT, serverProgram } from './harness/gate.ts'

const LAUNCHER = join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs')

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A person with a home folder, and Claude Code in it with one server and settings of its own. */
class Person {
  readonly folder = mkdtempSync(join(tmpdir(), 'callgate-person-'))
  readonly home = join(this.folder, 'home')
  readonly gate = join(this.folder, 'gate', 'callgate.yaml')
  readonly host = join(this.home, '.claude.json')
  readonly notes = join(this.folder, 'notes')
  readonly before: string
  /** Ends what was started, in the order of starting. */
  readonly #endings: (() => Promise<unknown>)[] = []

  constructor(t: TestContext) {
    t.after(async () => {
      for (const end of this.#endings.toReversed()) await end()
      rmSync(this.folder, { recursive: true, force: true })
    })
    mkdirSync(this.home)
    mkdirSync(this.notes)
    writeFileSync(join(this.notes, 'a.txt'), 'remembered')
    const notes = { type: 'stdio', command: 'node', args: [serverProgram('filesystem'), this.notes] }
    this.before = `${JSON.stringify({ numStartups: 7, mcpServers: { 'My Notes': notes }, oauthAccount: { token: 'SECRET' } }, null, 2)}\n`
    writeFileSync(this.host, this.before)
  }

  /** Runs `callgate` as this person, with nobody at the keyboard. */
  callgate(...args: readonly string[]): Promise<Ended> {
    return this.callgateWith({}, ...args)
  }

  /** The same with more in its environment. */
  callgateWith(env: Record<string, string>, ...args: readonly string[]): Promise<Ended> {
    return new Promise((resolve) => {
      const options = { cwd: this.folder, env: { ...this.#env(), ...env } }
      const child = execFile(process.execPath, [LAUNCHER, ...args], options, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
      )
      child.stdin?.end()
    })
  }

  /** Starts the gate that `install` wrote, until it is ready. */
  async start(): Promise<void> {
    const child: ChildProcess = spawn(
      process.execPath,
      [LAUNCHER, 'start', '--config', this.gate, '--json'],
      {
        cwd: this.folder,
        env: { ...this.#env(), CALLGATE_PORT: '0' },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    this.#endings.push(() => {
      child.kill('SIGTERM')
      return gone
    })
    if (child.stdout === null) throw new Error('no stdout')
    for await (const line of createInterface({ input: child.stdout })) if (line.includes('gate.ready')) return
    throw new Error('the gate ended before it was ready')
  }

  /** Runs the command line that stands in the host's file, as the host would. */
  async connect(): Promise<Client> {
    const { mcpServers } = JSON.parse(readFileSync(this.host, 'utf8')) as {
      mcpServers: Record<string, { command: string; args: string[] }>
    }
    assert.deepEqual(Object.keys(mcpServers), ['callgate'])
    const { command = '', args = [] } = mcpServers['callgate'] ?? {}
    const client = new Client({ name: 'claude-code', version: '1' })
    await client.connect(new StdioClientTransport({ command, args, cwd: this.home }))
    this.#endings.push(() => client.close())
    return client
  }

  #env(): Record<string, string> {
    return { PATH: process.env['PATH'] ?? '', HOME: this.home }
  }
}

const read = (folder: string) => ({
  name: 'my-notes__read_text_file',
  arguments: { path: join(folder, 'a.txt') },
})
const write = (folder: string) => ({
  name: 'my-notes__write_file',
  arguments: { path: join(folder, 'b.txt'), content: 'x' },
})

test('an installed host lists and calls through the gate: reading passes once approved, writing is denied', async (t) => {
  verifies('cli.install')
  verifies('cli.install-undo')
  const person = new Person(t)
  const installed = await person.callgate('install', '--host', 'claude-code', '--gate', person.gate, '--yes')
  assert.equal(installed.code, 0, installed.stderr)
  assert.doesNotMatch(installed.stdout, /SECRET/)
  assert.match(installed.stdout, /what this does not protect:\n {2}- servers on stdio run as you/)
  const checked = await person.callgate('check', '--config', person.gate)
  assert.equal(checked.code, 0, checked.stdout)

  await person.start()
  const client = await person.connect()
  assert.deepEqual((await client.listTools()).tools, [], 'nothing is served before somebody approves it')
  const next = /CALLGATE_STATE=(\S+) callgate (servers approve my-notes) /.exec(installed.stdout)
  const approved = await person.callgateWith(
    { CALLGATE_STATE: next?.[1] ?? '' },
    ...(next?.[2] ?? '').split(' '),
  )
  assert.equal(approved.code, 0, approved.stderr)
  let names: string[] = []
  while (!names.includes('my-notes__read_text_file')) {
    names = (await client.listTools()).tools.map(({ name }) => name)
    await sleep(50)
  }
  assert.ok(!names.includes('my-notes__write_file'), 'what no rule allows is not shown')

  const answered = await client.callTool(read(person.notes))
  assert.match(JSON.stringify(answered.content), /remembered/)
  const denied = await client.callTool(write(person.notes))
  assert.equal(denied.isError, true)
  assert.match(JSON.stringify(denied.content), /CG_POLICY_NO_ALLOW/)
  assert.ok(!existsSync(join(person.notes, 'b.txt')))

  const undone = await person.callgate('install', '--host', 'claude-code', '--undo', '--yes')
  assert.equal(undone.code, 0, undone.stderr)
  assert.match(undone.stdout, /restored byte for byte/)
  assert.equal(readFileSync(person.host, 'utf8'), person.before)
})

test('an observed host goes on as before, and what the policy would deny is in the record', async (t) => {
  verifies('cli.install-policy')
  const person = new Person(t)
  const installed = await person.callgate(
    'install',
    '--all',
    '--observe',
    '--gate',
    person.gate,
    '--yes',
    '--json',
  )
  assert.equal(installed.code, 0, installed.stderr)
  const told: unknown = JSON.parse(installed.stdout)
  assert.ok(typeof told === 'object' && told !== null && 'written' in told && 'gate' in told)
  assert.equal(told.written, true)
  await person.start()
  const client = await person.connect()
  assert.notEqual((await client.callTool(write(person.notes))).isError, true)
  assert.equal(readFileSync(join(person.notes, 'b.txt'), 'utf8'), 'x')
  const observed: unknown[] = []
  for await (const { record } of readRecords(join(person.folder, 'gate', 'state', 'evidence', '0')))
    if (record.kind === 'outcome' && record.call.tool === 'write_file')
      observed.push([record.actor?.id, record.decision?.rules, record.decision?.observed])
  assert.deepEqual(observed, [['claude-code', ['claude-code-observed'], ['claude-code-would-deny']]])
})

test('nothing is written without an answer, by --dry-run, or for a command line that is not clear', async (t) => {
  verifies('cli.install')
  const person = new Person(t)
  const asked = await person.callgate('install', '--host', 'claude-code', '--gate', person.gate)
  assert.equal(asked.code, 1)
  assert.match(asked.stdout, /^\+ {4}"callgate": \{$/m, 'the diff is shown')
  assert.match(asked.stderr, /nothing was changed: there is nobody to ask\nfix: say --yes/)
  const dry = await person.callgate(
    'install',
    '--host',
    'claude-code',
    '--gate',
    person.gate,
    '--dry-run',
    '--json',
  )
  assert.equal(dry.code, 0)
  assert.match(dry.stdout, /"written":false/)
  const rows: readonly [readonly string[], number, RegExp][] = [
    [['--host', 'emacs'], 2, /--host is `emacs` \(expected claude-code, .*continue\)/],
    [[], 2, /exactly one of --host HOST and --all/],
    [['--host', 'cursor', '--all'], 2, /exactly one of/],
    [['--all', '--config', 'x'], 2, /--config names the file of one host/],
    [['--host', 'claude-code'], 1, /no callgate\.yaml found\nfix: name one with --gate FILE/],
    [['--host', 'claude-code', '--undo'], 1, /nothing to undo/],
  ]
  for (const [args, code, message] of rows) {
    const ended = await person.callgate('install', ...args)
    assert.equal(ended.code, code, ended.stderr)
    assert.match(ended.stderr, message)
  }
  assert.equal(readFileSync(person.host, 'utf8'), person.before)
  assert.ok(!existsSync(person.gate))
})
