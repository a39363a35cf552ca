import { type Units, unitsOf } from './units.ts'

/** A stretch of a text. */
export interface Run {
  readonly start: number
  readonly end: number
}

/**
 * Runs of signs of a set, of a least length. Of a window of that length the last sign is looked at first: one that is not of the set
 * rules out all that hold it, so that of ordinary text a few signs are looked at.
 * @param text or its units
 * @param signs 1 for each sign of the set, by UTF-16 units below 128
 * @param most a longer run is cut into runs of this length
 */
export function runsIn(text: string | Units, signs: Uint8Array, least: number, most = Infinity): Run[] {
  const found: Run[] = []
  const { length, units } = typeof text === 'string' ? unitsOf(text) : text
  let base = 0
  for (let last = least - 1; last < length; last = base + least - 1) {
    let at = last
    while (at >= base && signs[units[at] ?? 0] === 1) at--
    if (at >= base) {
      base = at + 1
      continue
    }
    let end = last + 1
    while (end < length && end - base < most && signs[units[end] ?? 0] === 1) end++
    found.push({ start: base, end })
    base = end
  }
  return found
}
