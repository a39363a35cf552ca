/** A command that cannot do what was asked: what, and how to fix it. Exit code 1 unless said otherwise. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
  readonly exitCode: number

  constructor(message: string, options: { fix?: string; exitCode?: number; cause?: unknown } = {}) {
    super(options.fix === undefined ? message : `${message}\nfix: ${options.fix}`, { cause: options.cause })
    this.exitCode = options.exitCode ?? 1
  }
}

/** Writes one line to standard output. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Writes a value as JSON on one line: what `--json` prints. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value))
}

/** Text of strangers as it may stand on a terminal: no control or hidden character reaches it (SECURITY.md 3.1, threat 2). */
export function safeText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`)
}
