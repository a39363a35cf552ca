import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

/** The native program. It is run as npm unpacked it, because install scripts do not run here. */
const PROGRAM = join(
  import.meta.dirname,
  'node_modules',
  '@anthropic-ai',
  `claude-code-${process.platform}-${process.arch}`,
  'claude',
)

/** How a run of the host ended. */
export interface HostRun {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * Claude Code in a home of its own: no setting, login or variable of this machine reaches it, and its model and its
 * proxy are the mock.
 */
export class ClaudeCode {
  readonly #home: string
  readonly #env: Record<string, string>

  /** @param home a new folder; @param llm URL of the mock model */
  constructor(home: string, llm: string) {
    this.#home = home
    const bin = join(home, 'bin')
    const tmp = join(home, 'tmp')
    for (const folder of [bin, tmp]) mkdirSync(folder, { recursive: true })
    symlinkSync(PROGRAM, join(bin, 'claude'))
    this.#env = {
      HOME: home,
      TMPDIR: tmp,
      PATH: [bin, dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter),
      ANTHROPIC_BASE_URL: llm,
      ANTHROPIC_API_KEY: 'none',
      // Loopback is all there is: any other address goes to the mock, which refuses and counts it.
      HTTP_PROXY: llm,
      HTTPS_PROXY: llm,
      NO_PROXY: '127.0.0.1,localhost',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      // Without it the model is offered a search instead of the tools, and nobody could see which ones the host took.
      ENABLE_TOOL_SEARCH: 'false',
    }
  }

  static get installed(): boolean {
    return existsSync(PROGRAM)
  }

  /** Runs one line in a shell, as a person pastes it. `claude` is found by PATH. */
  shell(line: string): Promise<HostRun> {
    return this.#run('/bin/sh', ['-c', line])
  }

  /** One turn without a screen; every tool of the gate may be used unasked. */
  turn(prompt: string): Promise<HostRun> {
    return this.#run(join(this.#home, 'bin', 'claude'), ['-p', prompt, '--allowedTools', 'mcp__callgate'])
  }

  #run(command: string, args: readonly string[]): Promise<HostRun> {
    return new Promise((resolve, reject) => {
      const child = spawn(command, args, {
        cwd: this.#home,
        env: this.#env,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let stdout = ''
      let stderr = ''
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
      child.once('error', reject)
      child.once('close', (code) => resolve({ code, stdout, stderr }))
    })
  }
}

/** Processes whose command line or environment names a folder: what a host that lived there has left behind. Linux only. */
export function processesIn(folder: string): { pid: number; command: string }[] {
  if (!existsSync('/proc/self/environ')) return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => proc(pid, 'cmdline').includes(folder) || proc(pid, 'environ').includes(folder))
    .map((pid) => ({ pid: Number(pid), command: proc(pid, 'cmdline').replaceAll('\0', ' ') }))
}

/** A file of one process; empty when it is gone meanwhile, or another user's. */
function proc(pid: string, file: string): string {
  try {
    return readFileSync(join('/proc', pid, file), 'utf8')
  } catch {
    return ''
  }
}
