import { spawn, type ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { childEnvironment } from './environment.ts'

/** Bytes of stderr that are kept. */
const STDERR_BYTES = 8_192

/** What a child process tells. */
export interface ChildEvents {
  onStdout(chunk: Buffer): void
  /** Once, after its last byte of stdout; `why` names exit code, signal or the error of starting it. */
  onEnd(why: string): void
}

/** How a child is started. */
export interface ChildOptions {
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string | undefined
  readonly killMs: number
}

const living = new Set<Child>()
let guarded = false

/** A gate that ends, however it does, leaves no orphans: its children have process groups of their own. */
function guardExit(): void {
  if (guarded) return
  guarded = true
  process.on('exit', () => {
    for (const child of living) child.killNow()
  })
}

/** One child process with its descendants, from start to end. */
export class Child {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #killMs: number
  readonly #stderr: Buffer[] = []
  #stderrBytes = 0
  #exited = false
  readonly #ended: Promise<void>

  /** Starts the program; a failure to start is told by onEnd. No shell ever reads the arguments. */
  constructor(options: ChildOptions, events: ChildEvents) {
    const [program, ...args] = options.command
    if (program === undefined || program === '') throw new TypeError('`command` must name a program')
    this.#killMs = options.killMs
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: childEnvironment(process.env, options.env),
      stdio: ['pipe', 'pipe', 'pipe'],
      shell: false,
      // A session and process group of its own, so that close reaches what the server itself started.
      detached: true,
      windowsHide: true,
    })
    this.#process = child
    guardExit()
    living.add(this)
    let why = 'ended'
    child.stdout.on('data', (chunk: Buffer) => events.onStdout(chunk))
    child.stderr.on('data', (chunk: Buffer) => this.#keep(chunk))
    // EPIPE and the like: the end of the process tells the story.
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', () => {})
    child.on('error', (error) => {
      why = `could not be started: ${error.message}`
    })
    child.on('exit', (code, signal) => {
      this.#exited = true
      why = signal === null ? `exited with code ${code ?? 'unknown'}` : `was ended by ${signal}`
      // Descendants may hold the pipes; they belong to the same life.
      this.killNow()
      const stuck = setTimeout(() => {
        for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy()
      }, 250)
      child.once('close', () => clearTimeout(stuck))
    })
    this.#ended = new Promise((resolve) => {
      child.once('close', () => {
        this.#exited = true
        living.delete(this)
        events.onEnd(why)
        resolve()
      })
    })
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  /** Bytes that the child has not read yet. */
  get unwrittenBytes(): number {
    return this.#process.stdin.writableLength
  }

  /** Writes one line; `onWritten` tells whether its last byte reached the pipe. */
  write(line: Buffer, onWritten?: (ok: boolean) => void): void {
    const stdin = this.#process.stdin
    if (!stdin.writable) {
      onWritten?.(false)
      return
    }
    stdin.cork()
    stdin.write(line)
    stdin.write('\n', (error) => onWritten?.(error === null || error === undefined))
    stdin.uncork()
  }

  /** The last words on stderr, control characters escaped; at most 8 KiB, may hold what the server was told. */
  diagnosis(): string {
    return escapeControls(Buffer.concat(this.#stderr).subarray(-STDERR_BYTES).toString('utf8').trim())
  }

  /** Ends the process and its descendants: SIGTERM, then SIGKILL after killMs. */
  async close(): Promise<void> {
    if (!this.#exited) {
      this.#process.stdin.end()
      this.#signal('SIGTERM')
      const timer = setTimeout(() => this.killNow(), this.#killMs)
      await this.#ended
      clearTimeout(timer)
    }
    await this.#ended
  }

  /** SIGKILL to the whole group. */
  killNow(): void {
    this.#signal('SIGKILL')
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    const pid = this.#process.pid
    if (pid === undefined) return
    try {
      process.kill(-pid, signal)
    } catch {
      // ESRCH: the group is gone, which is what was wanted.
    }
  }

  #keep(chunk: Buffer): void {
    this.#stderr.push(Buffer.from(chunk.subarray(-STDERR_BYTES)))
    this.#stderrBytes += Math.min(chunk.length, STDERR_BYTES)
    while (this.#stderrBytes - (this.#stderr[0]?.length ?? 0) >= STDERR_BYTES) {
      this.#stderrBytes -= this.#stderr.shift()?.length ?? 0
    }
  }
}

/** Text in which no control character is left: it may be shown on a terminal (SECURITY.md 3.1 #2). */
export function escapeControls(words: string): string {
  return words.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (control) => `\\u{${(control.codePointAt(0) ?? 0).toString(16)}}`,
  )
}
