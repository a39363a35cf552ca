import { signs } from '../signs.ts'

/** A run of digits in a text, and what stands between it and the run before. */
export interface Group {
  readonly start: number
  readonly end: number
  /** Text between the group before and this one; empty for the first. */
  readonly gap: string
}

/** Signs that may stand between the groups of one number. */
const GAP = signs(' ./()+x:,-')
/** Longest gap between groups of one number, and most groups that are looked at together. */
const MAX_GAP = 3
const MAX_GROUPS = 64

const isDigit = (code: number): boolean => code >= 48 && code <= 57

/** The groups from a digit on, as long as the gaps are those of a number. */
export function groupsFrom(text: string, start: number): Group[] {
  const groups: Group[] = []
  let at = start
  let gap = ''
  while (groups.length < MAX_GROUPS) {
    const from = at
    while (isDigit(text.charCodeAt(at))) at++
    groups.push({ start: from, end: at, gap })
    const gapAt = at
    while (at - gapAt <= MAX_GAP && GAP[text.charCodeAt(at)] === 1) at++
    if (at - gapAt > MAX_GAP || !isDigit(text.charCodeAt(at))) break
    gap = text.slice(gapAt, at)
  }
  return groups
}

/** Check digit of ISO/IEC 7812: cards, and some national numbers. */
export function isLuhn(digits: string): boolean {
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 48
    sum += i % 2 === 0 ? digit : digit > 4 ? digit * 2 - 9 : digit * 2
  }
  return sum % 10 === 0
}
