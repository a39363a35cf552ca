/** Longest glob in UTF-16 units. */
export const MAX_GLOB_LENGTH = 256

/** One or several globs; matches when any does. */
export interface Glob {
  readonly patterns: readonly string[]
  readonly test: (text: string) => boolean
}

/** Compiles globs: `*` is any run of characters, `?` is one, everything else stands for itself. Letter case counts. */
export function compileGlob(patterns: readonly string[]): Glob {
  const tests = patterns.map(compileOne)
  const [only] = tests
  const test =
    tests.length === 1 && only !== undefined ? only : (text: string) => tests.some((one) => one(text))
  return { patterns, test }
}

/** Whether a pattern has a wildcard; without one it is a name. */
export function isLiteral(pattern: string): boolean {
  return !pattern.includes('*') && !pattern.includes('?')
}

function compileOne(pattern: string): (text: string) => boolean {
  if (isLiteral(pattern)) return (text) => text === pattern
  if (pattern === '*') return () => true
  return (text) => matches(pattern, text)
}

/** Walks both once and returns only to the last star: at most pattern times text steps, no recursion. */
function matches(pattern: string, text: string): boolean {
  let p = 0
  let star = -1
  let mark = 0
  for (let t = 0; t < text.length;) {
    const want = pattern[p]
    if (want === '*') {
      star = p++
      mark = t
    } else if (want === '?' || (want !== undefined && want === text[t])) {
      p++
      t++
    } else if (star === -1) return false
    else {
      p = star + 1
      t = ++mark
    }
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}
