import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { ROOT } from './gate.ts'

const BIN = join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs')

export interface Line {
  readonly id?: number | string | null
  readonly method?: string
  readonly params?: Readonly<Record<string, unknown>>
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly code: number; readonly message: string }
}

/** A host that speaks line by line to a `callgate` command, with no client library between. */
export class LineHost {
  readonly process: ChildProcess
  readonly lines: (Line | readonly Line[])[] = []
  stderr = ''
  readonly ended: Promise<number | NodeJS.Signals>

  /** @param args of `callgate`, such as `connect` */
  constructor(
    t: TestContext,
    args: readonly string[],
    options: { cwd?: string; env?: Record<string, string> } = {},
  ) {
    this.process = spawn(process.execPath, [BIN, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...process.env, ...options.env },
    })
    this.process.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()))
    // A command that ends early is what some tests are about.
    this.process.stdin?.on('error', () => undefined)
    this.ended = new Promise((resolve) =>
      this.process.once('close', (code, signal) => resolve(code ?? signal ?? 'SIGKILL')),
    )
    t.after(async () => {
      this.process.kill('SIGKILL')
      await this.ended
    })
  }

  /** Begins to read what the command writes. */
  read(): this {
    if (this.process.stdout !== null)
      createInterface({ input: this.process.stdout }).on('line', (line) => this.lines.push(JSON.parse(line)))
    return this
  }

  say(...messages: readonly object[]): void {
    for (const message of messages) this.process.stdin?.write(`${JSON.stringify(message)}\n`)
  }

  request(id: number | string, method: string, params: object = {}): void {
    this.say({ jsonrpc: '2.0', id, method, params })
  }

  /** The legacy handshake. */
  async initialize(capabilities: object = {}, protocolVersion = '2025-11-25'): Promise<Line> {
    const clientInfo = { name: 'line-host', version: '1' }
    this.request('init', 'initialize', { protocolVersion, capabilities, clientInfo })
    const answer = await this.answer('init')
    this.say({ jsonrpc: '2.0', method: 'notifications/initialized' })
    return answer
  }

  /** The answer to a request. */
  answer(id: number | string): Promise<Line> {
    return this.find((line) => line.id === id && line.method === undefined)
  }

  /** The first line that fits. */
  async find(fits: (line: Line) => boolean): Promise<Line> {
    for (let i = 0; i < 4_000; i++) {
      const found = this.lines.flat().find((line) => fits(line))
      if (found !== undefined) return found
      if (this.process.exitCode !== null) break
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    throw new Error(
      `no such line; exit ${this.process.exitCode}, ${JSON.stringify(this.lines).slice(0, 2_000)} ${this.stderr}`,
    )
  }

  /** Closes the host's end. @returns how the command ended */
  close(): Promise<number | NodeJS.Signals> {
    this.process.stdin?.end()
    return this.ended
  }
}

/** Text of the first content of a tool's answer. */
export function textOf({ result, error }: Line): string {
  const content: unknown = result?.['content']
  const first: unknown = Array.isArray(content) ? content[0] : undefined
  return typeof first === 'object' && first !== null && 'text' in first
    ? String(first.text)
    : `no text: ${JSON.stringify(error)}`
}
