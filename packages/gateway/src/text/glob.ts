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

/** Whether some text that begins so, and is longer, matches a glob. At most as many steps as pattern times text. */
export function globReaches(glob: string, beginning: string): boolean {
  /** Places in the glob at which the rest of the text may go on. */
  let places = behindStars(glob, [0])
  for (const char of beginning.split('')) {
    const next = [...places].flatMap((place) => {
      if (glob[place] === '*') return [place]
      return glob[place] === '?' || glob[place] === char ? [place + 1] : []
    })
    places = behindStars(glob, next)
  }
  return [...places].some((place) => place < glob.length)
}

/** A star may stand for nothing. */
function behindStars(glob: string, from: readonly number[]): Set<number> {
  const places = new Set(from)
  for (const place of places) if (glob[place] === '*') places.add(place + 1)
  return places
}
