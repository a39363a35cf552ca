// Runs the commands of README.md in order and checks what comes of each. Two of them have a stand-in: the clone is a copy of
// this checkout, and `claude` is an MCP client that starts what the configuration of Claude Code names and makes the call
// that the model would make. The real Claude Code runs under `npm run hosts`.
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'

const HERE = dirname(fileURLToPath(import.meta.url))
const CHECKOUT = join(HERE, '..', '..')
/** Most commands that the first ten minutes may take. */
const MAX_COMMANDS = 8

const folder = mkdtempSync(join(tmpdir(), 'callgate-first-'))
const clone = join(folder, 'callgate')
const home = join(folder, 'home')
const env = {
  // The Node that runs this, as `node` of the user; everything else of his machine stays out.
  PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`,
  HOME: home,
  CALLGATE_PORT: '0',
  npm_config_update_notifier: 'false',
  npm_config_offline: 'true',
}
let gate: ChildProcess | undefined
/** Evidence id of the denied call, as the host was told it. */
let id = ''

interface Step {
  /** How the command begins in README.md: a story that is told otherwise is another story. */
  readonly begins: string
  readonly run: (command: string) => Promise<void>
}

const STEPS: readonly Step[] = [
  { begins: 'git clone <this repository> callgate && cd callgate', run: copyCheckout },
  { begins: 'npm start', run: start },
  {
    begins: 'npx callgate install --host claude-code',
    run: async (command) => assert.match(await shell(command), /^\+ {4}"callgate": \{$/m),
  },
  {
    begins: 'claude -p',
    run: async (command) => {
      const { isError, text } = await ask(command)
      assert.ok(isError, text)
      id = /^CG_POLICY_NO_ALLOW: .*\[evidence ([0-9A-Z]{26})\]$/.exec(text)?.[1] ?? assert.fail(text)
    },
  },
  {
    begins: 'npx callgate tail',
    run: async (command) =>
      assert.match(
        await shell(command),
        new RegExp(`${id} agent claude-code for you called fs\\.write_file: refused with CG_POLICY_NO_ALLOW`),
      ),
  },
  {
    begins: 'npx callgate explain ID',
    run: async (command) =>
      assert.match(await shell(command), /because no rule allows it, and the default is to deny/),
  },
  { begins: 'npx callgate policy new --from ID', run: writePolicy },
  {
    begins: 'claude -p',
    run: async (command) => {
      const { isError, text } = await ask(command)
      assert.equal(isError, false, text)
      assert.equal(readFileSync(join(files(), 'hello.txt'), 'utf8'), 'hello')
    },
  },
]

try {
  const commands = commandsOf(readFileSync(join(HERE, 'README.md'), 'utf8'))
  assert.ok(commands.length <= MAX_COMMANDS, `${commands.length} commands (at most ${MAX_COMMANDS})`)
  assert.equal(
    commands.length,
    STEPS.length,
    'every command of the README has a check, and every check its command',
  )
  for (const [index, { begins, run }] of STEPS.entries()) {
    const command = commands[index] ?? ''
    assert.ok(
      command.startsWith(begins),
      `command ${index + 1} is \`${command}\` (expected \`${begins}...\`)`,
    )
    process.stdout.write(`${index + 1}. ${command}\n`)
    await run(command.replaceAll(/\bID\b/g, id))
  }
  process.stdout.write(`${commands.length} commands, and every one of them did what the README says\n`)
} finally {
  await stop()
  rmSync(folder, { recursive: true, force: true })
}

/** Commands of a page, in order: every line of its `sh` blocks. */
function commandsOf(page: string): string[] {
  return [...page.matchAll(/^( *)```sh\n([^]*?)^\1```$/gm)].flatMap(([, , block = '']) =>
    block
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== ''),
  )
}

/** What a fresh clone holds of these, with the packages that `npm ci` would bring. */
async function copyCheckout(): Promise<void> {
  const isWorth = (path: string) => !['node_modules', '.cache', 'state'].includes(basename(path))
  for (const entry of ['package.json', 'package-lock.json', 'scripts', 'packages', 'examples'])
    cpSync(join(CHECKOUT, entry), join(clone, entry), { recursive: true, filter: isWorth })
  mkdirSync(home)
  // Ours come from the clone, all others from where they were installed.
  const ours = new Set(['.bin', '@callgate', 'callgate'])
  linkEach('node_modules', (entry) => !ours.has(entry))
  linkEach(join('packages', 'gateway', 'node_modules'), () => true)
  const modules = join(clone, 'node_modules')
  symlinkSync(join('..', 'packages', 'gateway'), join(modules, 'callgate'))
  for (const scope of ['@callgate', '.bin']) mkdirSync(join(modules, scope))
  symlinkSync(join('..', '..', 'packages', 'evidence'), join(modules, '@callgate', 'evidence'))
  symlinkSync(join('..', 'callgate', 'bin', 'callgate.mjs'), join(modules, '.bin', 'callgate'))
}

function linkEach(modules: string, isMeant: (entry: string) => boolean): void {
  const from = join(CHECKOUT, modules)
  mkdirSync(join(clone, modules))
  for (const entry of readdirSync(from).filter(isMeant))
    symlinkSync(join(from, entry), join(clone, modules, entry))
}

/** Runs the gate as the user's first terminal does, until it says that it is ready. */
async function start(command: string): Promise<void> {
  // A group of its own, because npm does not pass every signal on.
  gate = spawn('bash', ['-c', command], {
    cwd: clone,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const { stdout } = gate
  if (stdout === null) throw new TypeError('the gate has no stdout')
  for await (const line of createInterface({ input: stdout })) if (line.startsWith('policy:')) return
  assert.fail('npm start ended')
}

/** Ends everything that the first terminal started, and waits for it: the last to go still writes. */
async function stop(): Promise<void> {
  if (gate?.pid === undefined) return
  const group = -gate.pid
  for (let signal: NodeJS.Signals | 0 = 'SIGTERM'; isSent(group, signal); signal = 0) await sleep(20)
}

function isSent(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(group, signal)
  } catch {
    return false
  }
}

/** Types a command into the second terminal. */
async function shell(command: string): Promise<string> {
  return (await promisify(execFile)('bash', ['-c', command], { cwd: clone, env, timeout: 60_000 })).stdout
}

/** Makes the call that the prompt asks for, through what Claude Code would start. */
async function ask(command: string): Promise<{ isError: boolean; text: string }> {
  assert.match(command, /hello\.txt.* --allowedTools mcp__callgate$/)
  const configured: { mcpServers: { callgate: { command: string; args: string[] } } } = JSON.parse(
    readFileSync(join(home, '.claude.json'), 'utf8'),
  )
  const client = new Client({ name: 'claude-code', version: '1.0.0' })
  const { command: program, args } = configured.mcpServers.callgate
  await client.connect(new StdioClientTransport({ command: program, args, env }))
  try {
    const { tools } = await client.listTools()
    assert.ok(
      tools.some(({ name }) => name === 'fs__write_file'),
      'a tool that some call may use is shown',
    )
    const { content, isError } = await client.callTool({
      name: 'fs__write_file',
      arguments: { path: join(files(), 'hello.txt'), content: 'hello' },
    })
    const [first] = content
    return { isError: isError === true, text: first?.type === 'text' ? first.text : '' }
  } finally {
    await client.close()
  }
}

/** The rule is in force when the command ends, and the test that it names passes as it is printed. */
async function writePolicy(command: string): Promise<void> {
  const said = await shell(command)
  assert.match(said, /^\+- rule: allow-fs\.write_file-for-claude-code$/m)
  assert.match(said, /^in force: the gate has read it$/m)
  const test = /^test it: (callgate .*)$/m.exec(said)?.[1] ?? assert.fail(said)
  assert.match(await shell(`npx ${test}`), /\n5 passed, 0 failed\n$/)
}

function files(): string {
  return join(clone, 'examples', 'first-ten-minutes', 'files')
}
