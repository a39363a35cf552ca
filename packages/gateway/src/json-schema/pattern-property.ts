import { escaped } from './pattern-classes.ts'

/** General categories by their ECMA-262 long names (table 68); short names are RE2's own. */
const CATEGORIES: ReadonlyMap<string, string> = new Map([
  ['Letter', 'L'],
  ['Cased_Letter', 'LC'],
  ['Uppercase_Letter', 'Lu'],
  ['Lowercase_Letter', 'Ll'],
  ['Titlecase_Letter', 'Lt'],
  ['Modifier_Letter', 'Lm'],
  ['Other_Letter', 'Lo'],
  ['Mark', 'M'],
  ['Combining_Mark', 'M'],
  ['Nonspacing_Mark', 'Mn'],
  ['Spacing_Mark', 'Mc'],
  ['Enclosing_Mark', 'Me'],
  ['Number', 'N'],
  ['Decimal_Number', 'Nd'],
  ['digit', 'Nd'],
  ['Letter_Number', 'Nl'],
  ['Other_Number', 'No'],
  ['Punctuation', 'P'],
  ['punct', 'P'],
  ['Connector_Punctuation', 'Pc'],
  ['Dash_Punctuation', 'Pd'],
  ['Open_Punctuation', 'Ps'],
  ['Close_Punctuation', 'Pe'],
  ['Initial_Punctuation', 'Pi'],
  ['Final_Punctuation', 'Pf'],
  ['Other_Punctuation', 'Po'],
  ['Symbol', 'S'],
  ['Math_Symbol', 'Sm'],
  ['Currency_Symbol', 'Sc'],
  ['Modifier_Symbol', 'Sk'],
  ['Other_Symbol', 'So'],
  ['Separator', 'Z'],
  ['Space_Separator', 'Zs'],
  ['Line_Separator', 'Zl'],
  ['Paragraph_Separator', 'Zp'],
  ['Control', 'Cc'],
  ['cntrl', 'Cc'],
  ['Format', 'Cf'],
  ['Surrogate', 'Cs'],
  ['Private_Use', 'Co'],
])
/** Emoji properties by their ECMA-262 names (table 67, UTS 51), which RE2 does not know. */
const EMOJI = new Set([
  'Emoji',
  'Emoji_Component',
  'Emoji_Modifier',
  'Emoji_Modifier_Base',
  'Emoji_Presentation',
  'Extended_Pictographic',
  'Regional_Indicator',
])
const emojiClasses = new Map<string, string>()
const SHORT = new Set(CATEGORIES.values())

/** No emoji is outside, nor a part of one (a test looks at every code point of the native edition). */
const EMOJI_BLOCKS = [
  [0, 0x3300],
  [0xfe00, 0xff00],
  [0x1f000, 0x20000],
  [0xe0000, 0xe1000],
] as const

/**
 * RE2 class for the inside of `\p{...}`, undefined when there is none of equal meaning.
 * `C` and `Cn` are left out: what is unassigned differs between the Unicode editions of engine and tool.
 */
export function re2Property(property: string, negated: boolean): string | undefined {
  const escape = negated ? '\\P' : '\\p'
  if (property === 'ASCII') return negated ? '\\x{80}-\\x{10FFFF}' : '\\x{0}-\\x{7F}'
  if (property === 'Any') return negated ? undefined : '\\x{0}-\\x{10FFFF}'
  if (EMOJI.has(property)) return emojiClass(property, negated)
  const [name = '', value] = property.split('=')
  if (value === undefined) return categoryClass(name, escape)
  if (name === 'General_Category' || name === 'gc') return categoryClass(value, escape)
  if (name === 'Script' || name === 'sc')
    return /^[A-Z][a-z]{4,}(_[A-Z][a-z]+)*$/.test(value) ? `${escape}{${value}}` : undefined
  return undefined
}

function categoryClass(name: string, escape: string): string | undefined {
  const category = CATEGORIES.get(name) ?? (SHORT.has(name) ? name : undefined)
  return category === undefined ? undefined : `${escape}{${category}}`
}

/** The ranges of a property of EMOJI as the native engine knows it, so that the editions are the same. */
function emojiClass(property: string, negated: boolean): string {
  const key = `${negated ? 'P' : 'p'}{${property}}`
  const known = emojiClasses.get(key)
  if (known !== undefined) return known
  const ranges = nativeRanges(property)
  // Of ranges that do not touch, those between: one more, from 0 and up to the last code point.
  const starts = [0, ...ranges.map(([, last]) => last + 1)]
  const ends = [...ranges.map(([first]) => first - 1), 0x10ffff]
  const between = starts.map((start, at): Range => [start, ends[at] ?? start])
  const source = (negated ? between : ranges)
    .map(([first, last]) => `${escaped(first)}-${escaped(last)}`)
    .join('')
  emojiClasses.set(key, source)
  return source
}

type Range = readonly [first: number, last: number]

/** Looks where emoji may be: a few milliseconds, once a property. */
function nativeRanges(property: string): Range[] {
  const one = new RegExp(`^\\p{${property}}`, 'u')
  const ranges: [number, number][] = []
  for (const [from, to] of EMOJI_BLOCKS) {
    for (let point = from; point < to; point++) {
      if (!one.test(String.fromCodePoint(point))) continue
      const open = ranges.at(-1)
      if (open !== undefined && open[1] === point - 1) open[1] = point
      else ranges.push([point, point])
    }
  }
  return ranges
}
