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

/**
 * JSON whose text is safe on a terminal too: JSON itself escapes only the controls below U+0020, and U+009B begins a
 * terminal's command as ESC [ does. The value that a machine reads is the same.
 * @param indent spaces of one level; 0, the default: one line
 */
export function safeJson(value: unknown, indent = 0): string {
  // A line break that JSON left as it is comes from the indentation.
  return JSON.stringify(value, undefined, indent).replace(HIDDEN, (sign) =>
    sign === '\n'
      ? sign
      : Array.from(
          { length: sign.length },
          (_, i) => `\\u${sign.charCodeAt(i).toString(16).padStart(4, '0')}`,
        ).join(''),
  )
}

const HIDDEN = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

/** Text of strangers as it may stand on a terminal: no control or hidden character reaches it (SECURITY.md 3.1, threat 2). */
export function safeText(text: string): string {
  return text.replace(HIDDEN, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`)
}
