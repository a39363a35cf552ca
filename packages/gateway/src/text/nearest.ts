/** Longest word that is compared; longer words have no nearest name. */
const MAX_LENGTH = 64

/**
 * The candidate that a mistyped word most likely meant: fewest edits (insert, delete, replace, swap of neighbours),
 * at most one edit per three letters; letter case is ignored. Ties go to the earlier candidate.
 * @returns undefined when nothing is near enough to be worth suggesting
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length === 0 || word.length > MAX_LENGTH) return undefined
  const folded = word.toLowerCase()
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    if (candidate.length === 0 || Math.abs(candidate.length - word.length) >= bestDistance) continue
    const distance = editDistance(folded, candidate.toLowerCase())
    // A word of which no letter is left is another word, however short both are.
    if (distance >= bestDistance || distance >= Math.max(word.length, candidate.length)) continue
    best = candidate
    bestDistance = distance
  }
  return best
}

/** Optimal string alignment distance in UTF-16 units: Levenshtein plus swaps of neighbours. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + (same ? 0 : 1))
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) cost = Math.min(cost, at(beforeLast, j - 2) + 1)
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return at(last, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
