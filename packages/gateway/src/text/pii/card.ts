import type { Finding } from '../finding.ts'
import { type Group, isLuhn } from './digits.ts'

/** Prefixes of the networks with the lengths of their numbers. Source: ISO/IEC 7812 and what the networks publish. */
const NETWORKS: readonly (readonly [RegExp, readonly number[]])[] = [
  [/^4/, [13, 16, 19]],
  [/^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, [16]],
  [/^3[47]/, [15]],
  [/^(?:6011|64[4-9]|65)/, [16, 17, 18, 19]],
  [/^35/, [16, 17, 18, 19]],
  [/^(?:2131|1800)/, [15]],
  [/^3(?:0[0-59]|[689])/, [14, 16, 19]],
  [/^(?:62|81)/, [16, 17, 18, 19]],
  [/^(?:50|5[6-9]|6\d)/, [12, 13, 14, 15, 16, 17, 18, 19]],
  [/^(?:220[0-4]|9792|60|82|508|353|356)/, [16, 17, 18, 19]],
]

/** How numbers are written in groups. */
const GROUPINGS = new Set([
  '4,4,4,4',
  '4,6,5',
  '4,6,4',
  '4,4,4,4,3',
  '4,4,5',
  '4,4,4,1',
  '6,13',
  '8,8',
  '4,4,4',
  '4,4,4,3',
])

/** Short numbers of many kinds pass the check digit by chance: these need a word that says what they are. */
const SURE_LENGTH = 14
const WORD = /card|visa|master|amex|maestro|credit|debit|cc\b|pan\b|karte|carte|tarjeta|payment/i

/** The card number that begins with a group. */
export function cardFrom(text: string, groups: readonly Group[], first: number): Finding | undefined {
  const { start, end } = groups[first] ?? { start: 0, end: 0 }
  // In groups or as one: nothing else begins a card number, and most numbers in a text are something else.
  const size = end - start
  if (size !== 4 && size !== 6 && size !== 8 && size < 12) return undefined
  let digits = ''
  const sizes: number[] = []
  let separator: string | undefined
  let found: Finding | undefined
  for (let i = first; i < groups.length; i++) {
    const group = groups[i]
    if (group === undefined) break
    if (i > first) {
      if (group.gap !== ' ' && group.gap !== '-') break
      separator ??= group.gap
      if (group.gap !== separator) break
    }
    digits += text.slice(group.start, group.end)
    sizes.push(group.end - group.start)
    if (digits.length > 19) break
    const grouped = sizes.length === 1 || GROUPINGS.has(sizes.join())
    if (digits.length < 12 || !grouped || !isCard(digits)) continue
    if (sizes.length === 1 && isWithinHex(text, start, group.end)) continue
    const context = text.slice(Math.max(0, start - 60), start)
    if (digits.length < SURE_LENGTH && sizes.length === 1 && !WORD.test(context)) continue
    found = { class: 'credit_card', start, end: group.end, score: WORD.test(context) ? 1 : 0.9 }
  }
  return found
}

/** Least length of an id in hexadecimal digits; shorter words that have a number in their middle are judged by the number. */
const HEX_ID = 20

/**
 * Whether digits stand in an id of hexadecimal digits, where one run in a few thousand passes for a card. At an end of the id the
 * rest must look like one: letters and digits, and the word is over. Whoever pads a card number like that gets it through.
 */
function isWithinHex(text: string, start: number, end: number): boolean {
  const isHex = (at: number): boolean => /^[0-9a-f]$/i.test(text.charAt(at))
  let [from, to] = [start, end]
  while (start - from < HEX_ID && isHex(from - 1)) from--
  while (to - end < HEX_ID && isHex(to)) to++
  if (to - from < HEX_ID) return false
  if (from < start && to > end) return true
  const rest = text.slice(from, start) + text.slice(end, to)
  const around = text.charAt(from - 1) + text.charAt(to)
  return /\d/.test(rest) && /[a-f]/i.test(rest) && !/\w/.test(around)
}

function isCard(digits: string): boolean {
  return (
    isLuhn(digits) &&
    !/^(\d)\1+$/.test(digits) &&
    NETWORKS.some(([prefix, lengths]) => lengths.includes(digits.length) && prefix.test(digits))
  )
}
