/** One thing that is wrong with the configuration, and where. */
export interface Problem {
  /** File as it was named, or the environment variable that holds the value. */
  readonly file: string
  /** From 1; undefined when the problem lies in no line of the file. */
  readonly line: number | undefined
  /** From 1, in UTF-16 units. */
  readonly column: number | undefined
  /** What is wrong and how to fix it; lower case, no final period. Values of secrets never stand in it. */
  readonly message: string
}

/** Where a value stands in the declaration: map keys and list indexes. */
export type ConfigPath = readonly (string | number)[]

/** Writes a problem as `callgate.yaml:14:10 message`. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, message } = problem
  return line === undefined ? `${file} ${message}` : `${file}:${line}:${column ?? 1} ${message}`
}

/** Writes a path as `servers.files.command[0]`; keys that are no plain words stand in brackets. */
export function formatPath(path: ConfigPath): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else if (/^[A-Za-z0-9_-]+$/.test(part)) text += text === '' ? part : `.${part}`
    else text += `[${JSON.stringify(part)}]`
  }
  return text
}
