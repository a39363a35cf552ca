import { safeJson } from '../text/safe-text.ts'

/** A command that cannot do what was asked: what, and how to fix it. Exit code 1 unless said otherwise. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
  readonly exitCode: number

  constructor(message: string, options: { fix?: string; exitCode?: number; cause?: unknown } = {}) {
    super(options.fix === undefined ? message : `${message}\nfix: ${options.fix}`, { cause: options.cause })
    this.exitCode = options.exitCode ?? 1
  }
}

// A reader that has seen enough (`callgate tail | head`) is no fault of anyone, and a gate goes on without it.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

/** Writes one line to standard output. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Writes a value as JSON on one line: what `--json` prints. */
export function printJson(value: unknown): void {
  print(safeJson(value))
}
