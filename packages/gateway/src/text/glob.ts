/**
 * A matcher for a glob with `*` (any characters, also none) and `?` (one character). Linear in pattern times text,
 * without a regular expression: patterns and names come from files and from strangers.
 */
export function globMatcher(glob: string): (text: string) => boolean {
  if (!/[*?]/.test(glob)) return (text) => text === glob
  return (text) => {
    let g = 0
    let t = 0
    let star = -1
    let resume = 0
    while (t < text.length) {
      if (g < glob.length && (glob[g] === '?' || glob[g] === text[t]) && glob[g] !== '*') {
        g++
        t++
      } else if (glob[g] === '*') {
        star = g++
        resume = t
      } else if (star >= 0) {
        // The last star takes one character more; earlier stars need not be tried again.
        g = star + 1
        t = ++resume
      } else return false
    }
    while (glob[g] === '*') g++
    return g === glob.length
  }
}
