import type { Finding } from '../finding.ts'
import type { Group } from './digits.ts'

/** Digits of a number with its country (ITU-T E.164), and of a national one. */
const MAX_DIGITS = 15
const MIN_DIGITS = 7
/** Most groups that one is written in. */
const MAX_GROUPS = 8

/** Words that say a telephone number follows, on the same line. */
const WORD =
  /\b(?:tel|phone|telephone|mobile|mob|cell|cellphone|fax|call(?: me)?|dial|whats ?app|sms|text|contact|reach|desk|office|hotline|helpline|ring|number is|telefon|handy|rufnummer|tel[eé]fono|m[oó]vil|t[eé]l[eé]phone|portable|telefone|celular|gsm|numaram)\b[^\n\d]{0,24}$/i

/** What is written like one and is none: dates, times, amounts, versions, addresses. */
const GAPS = /^(?: |-|\.|\/| \(|\(|\) |\)|\)-| - )$/

/** The telephone number that begins with a group. */
export function phoneFrom(text: string, groups: readonly Group[], first: number): Finding | undefined {
  const one = groups[first]
  if (one === undefined) return undefined
  const start = startOf(text, one.start)
  const isInternational = text[start] === '+' || text[start + 1] === '+'
  // A word that says so stands before the first group of a run alone: of most groups this is all that is looked at.
  if (first > 0 && !isInternational && !mayBegin(text, groups, first)) return undefined
  const before = text[start - 1] ?? ''
  if (/[A-Za-z0-9_$€£.#]/.test(before) && !/is$/i.test(text.slice(Math.max(0, start - 2), start)))
    return undefined
  let said: boolean | undefined
  const context = (): boolean => (said ??= WORD.test(text.slice(Math.max(0, start - 48), start)))
  let best: Finding | undefined
  let digits = ''
  const sizes: number[] = []
  for (let i = first; i < groups.length && i - first < MAX_GROUPS; i++) {
    const group = groups[i]
    if (group === undefined || (i > first && !GAPS.test(group.gap))) break
    digits += text.slice(group.start, group.end)
    sizes.push(group.end - group.start)
    if (digits.length > MAX_DIGITS) break
    if (
      digits.length < MIN_DIGITS ||
      (/[A-Za-z_]/.test(text[group.end] ?? '') && !/^ ?x\d/i.test(text.slice(group.end, group.end + 3)))
    )
      continue
    const sure = isInternational
      ? digits.length >= 8
      : isNorthAmerican(digits, sizes, text, group) || isTrunk(digits, sizes)
    if (!sure && !(looksNational(sizes, text.slice(one.start, group.end)) && context())) continue
    best = {
      class: 'phone',
      start,
      end: withExtension(text, group.end),
      score: sure || context() ? 0.9 : 0.7,
    }
  }
  return best
}

/** Whether a group has what North American numbers and those with a trunk zero begin with. */
function mayBegin(text: string, groups: readonly Group[], first: number): boolean {
  const size = (i: number): number => {
    const group = groups[i]
    return group === undefined ? 0 : group.end - group.start
  }
  const one = groups[first]?.start ?? 0
  if (text[one] === '0' && text[one + 1] !== '0') return true
  const last = size(first) === 3 && size(first + 2) === 4 ? first + 2 : first + 3
  return size(last) === 4 && size(last - 1) === 3 && size(last - 2) === 3
}

/** With the plus and the bracket before it. */
function startOf(text: string, at: number): number {
  let start = at
  if (text[start - 1] === '(') start--
  if (text[start - 1] === '+') start--
  if (start > 0 && text[start] === '+' && text[start - 1] === '(') start--
  return start
}

/** Three, three and four, with or without the country's one. */
function isNorthAmerican(digits: string, sizes: readonly number[], text: string, last: Group): boolean {
  const shape = sizes.join()
  if (!/^(?:(?:1|3),)?3,3,4$/.test(shape)) return false
  const national = digits.slice(-10)
  if (sizes.length === 4 && !/^0{0,2}1/.test(digits)) return false
  return /^[1-9]/.test(national) && !/\d/.test(text[last.end] ?? '')
}

/** National with its trunk zero, in three groups and more: `0494 92 82 32`. A date has a year in it. */
function isTrunk(digits: string, sizes: readonly number[]): boolean {
  if (!/^0[1-9]/.test(digits) || sizes.length < 3 || digits.length < 9 || digits.length > 12) return false
  return (sizes[0] ?? 0) >= 2 && sizes.every((size) => size >= 2 && size <= 5)
}

function looksNational(sizes: readonly number[], written: string): boolean {
  const total = sizes.reduce((sum, size) => sum + size, 0)
  if (/^\d{1,4}[./-]\d{1,2}[./-]\d{2,4}$/.test(written) && total <= 8) return false
  return sizes.length === 1 ? total >= 7 && total <= 12 : sizes.every((size) => size >= 1 && size <= 8)
}

function withExtension(text: string, end: number): number {
  const [found] = /^ ?(?:x|ext\.? ?)\d{1,6}/i.exec(text.slice(end, end + 12)) ?? []
  return end + (found?.length ?? 0)
}
