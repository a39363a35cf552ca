import { nearest } from '../../text/nearest.ts'

/** Something wrong with a policy file, at the place where a person will fix it. */
export interface Problem {
  readonly file: string
  /** From 1; undefined when the whole file is meant. */
  readonly line: number | undefined
  readonly column: number | undefined
  /** What is wrong, what was expected, and the nearest name where there is one. One line. */
  readonly message: string
}

/** A place in a file, from 1. */
export interface Place {
  readonly line: number
  readonly column: number
}

/** `file:line:column message`, as editors and people read it. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, message } = problem
  return line === undefined ? `${file} ${message}` : `${file}:${line}:${column ?? 1} ${message}`
}

/** The tail of a message about a mistyped name; empty when nothing is near. */
export function didYouMean(name: string | undefined): string {
  return name === undefined ? '' : `; did you mean \`${name}\``
}

/** The name that was meant: the nearest by letters, else one that the word abbreviates (`cnt` for `count`). */
export function nearestName(word: string, names: readonly string[]): string | undefined {
  return nearest(word, names) ?? names.find((name) => abbreviates(word, name))
}

/** Same first letter, at least two letters, and the others follow in order. */
function abbreviates(word: string, name: string): boolean {
  if (word.length < 2 || word.length > 64 || word[0] !== name[0]) return false
  let at = 0
  for (const char of word) {
    at = name.indexOf(char, at) + 1
    if (at === 0) return false
  }
  return true
}

/** A text as it may stand in a message: one line, cut to 80 characters, controls shown as `?`. */
export function quoted(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 79)}…` : text
  // oxlint-disable-next-line no-control-regex
  return `\`${short.replaceAll(/[\0-\x1f\x7f-\x9f\u2028\u2029`]/g, '?')}\``
}
