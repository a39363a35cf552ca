import { globMatcher, globReaches } from '../../text/glob.ts'

/** Longest glob in UTF-16 units. */
export const MAX_GLOB_LENGTH = 256

/** One or several globs; matches when any does. */
export interface Glob {
  readonly patterns: readonly string[]
  readonly test: (text: string) => boolean
  /** Whether some text that begins so, and is longer, matches. */
  readonly reaches: (beginning: string) => boolean
  /** Whether every text that begins so matches. Only said of globs that end in `*`. */
  readonly covers: (beginning: string) => boolean
}

/** Compiles globs: `*` is any run of characters, `?` is one, everything else stands for itself. Letter case counts. */
export function compileGlob(patterns: readonly string[]): Glob {
  const tests = patterns.map(globMatcher)
  const [only] = tests
  const test =
    tests.length === 1 && only !== undefined ? only : (text: string) => tests.some((one) => one(text))
  return {
    patterns,
    test,
    reaches: (beginning) => patterns.some((pattern) => globReaches(pattern, beginning)),
    covers: (beginning) =>
      patterns.some((pattern, i) => pattern.endsWith('*') && tests[i]?.(beginning) === true),
  }
}

/** Whether a pattern has a wildcard; without one it is a name. */
export function isLiteral(pattern: string): boolean {
  return !pattern.includes('*') && !pattern.includes('?')
}
