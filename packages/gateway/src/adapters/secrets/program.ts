import { spawn } from 'node:child_process'
import { SecretUnavailable } from '../../ports/secrets.ts'
import { childEnvironment } from '../upstream/environment.ts'

/** One run of a program. */
export interface ProgramRun {
  /** What messages call it. */
  readonly label: string
  readonly program: string
  readonly args: readonly string[]
  readonly folder: string
  /** The gate's environment, of which the child sees four variables. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What the child sees beside them. */
  readonly own?: Readonly<Record<string, string>>
  /** What it reads from stdin; default nothing. */
  readonly input?: Uint8Array
  readonly deadlineMs: number
  /** Most bytes of stdout. */
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/** How a program ended, within its deadline and its bounds. */
export interface ProgramEnd {
  /** undefined when a signal ended it. */
  readonly code: number | undefined
  readonly signal: string | undefined
  readonly stdout: Buffer
  /** First 4 KiB, to recognise known complaints by; never to be quoted, it may hold what the program was told. */
  readonly stderr: string
}

const MAX_STDERR = 4_096

/**
 * Runs a program to its end; no shell reads the arguments, and stdin ends with the input.
 * The child leads a process group of its own: after the deadline, the bound or close() nothing of it lives on.
 * @throws SecretUnavailable when it cannot be started, lasts too long or says too much
 */
export function runProgram(run: ProgramRun): Promise<ProgramEnd> {
  return new Promise((done, fail) => {
    const { label, deadlineMs, maxBytes } = run
    const child = spawn(run.program, run.args, {
      cwd: run.folder,
      env: childEnvironment(run.environment, run.own ?? {}),
      stdio: ['pipe', 'pipe', 'pipe'],
      shell: false,
      detached: true,
      windowsHide: true,
    })
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // ESRCH: the whole group is gone already.
      }
    }
    let settled = false
    const settle = (act: () => void): void => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      process.off('exit', kill)
      run.signal.removeEventListener('abort', onAbort)
      kill()
      child.stdout.destroy()
      child.stderr.destroy()
      act()
    }
    const stop = (message: string): void =>
      settle(() => fail(new SecretUnavailable('down', `\`${label}\` ${message}`)))
    const onAbort = (): void => stop('was stopped, the gate closes')
    const timer = setTimeout(() => stop(`took longer than ${deadlineMs} ms`), deadlineMs)
    process.on('exit', kill)
    run.signal.addEventListener('abort', onAbort)
    if (run.signal.aborted) onAbort()

    const out: Buffer[] = []
    let outBytes = 0
    child.stdout.on('data', (chunk: Buffer) => {
      outBytes += chunk.length
      if (outBytes > maxBytes) stop(`wrote more than ${maxBytes} bytes`)
      else out.push(chunk)
    })
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => {
      if (stderr.length < MAX_STDERR) stderr = (stderr + chunk.toString('latin1')).slice(0, MAX_STDERR)
    })
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', () => undefined)
    child.stdin.end(run.input ?? '')
    // The error of spawn holds all arguments, and an argument may be a secret: only its code is told.
    child.on('error', (error) => {
      const code = 'code' in error ? String(error.code) : 'unknown error'
      stop(`could not be started: ${code}; name a program that the user of the gate may run`)
    })
    child.on('close', (code, signal) =>
      settle(() =>
        done({ code: code ?? undefined, signal: signal ?? undefined, stdout: Buffer.concat(out), stderr }),
      ),
    )
  })
}
