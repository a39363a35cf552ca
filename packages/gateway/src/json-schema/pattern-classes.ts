const DIGIT = '0-9'
const NOT_DIGIT = '\\x{0}-\\x{2F}\\x{3A}-\\x{10FFFF}'
const WORD = '0-9A-Za-z_'
const NOT_WORD = '\\x{0}-\\x{2F}\\x{3A}-\\x{40}\\x{5B}-\\x{5E}\\x{60}\\x{7B}-\\x{10FFFF}'
// ECMA-262 WhiteSpace and LineTerminator, which RE2's \s is not.
const SPACE =
  '\\x{9}-\\x{D}\\x{20}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}'
const NOT_SPACE =
  '\\x{0}-\\x{8}\\x{E}-\\x{1F}\\x{21}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}' +
  '\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{FEFE}\\x{FF00}-\\x{10FFFF}'
/** Insides of RE2 classes for the sets of one letter; ECMA-262 sees ASCII digits and words, and its own white space. */
export const SETS: Readonly<Record<string, string>> = {
  d: DIGIT,
  D: NOT_DIGIT,
  w: WORD,
  W: NOT_WORD,
  s: SPACE,
  S: NOT_SPACE,
}
/** Any code point. */
export const ANY = '[\\x{0}-\\x{10FFFF}]'
/** No code point: ECMA-262's `[]`. */
export const NOTHING = '[^\\x{0}-\\x{10FFFF}]'
/** ECMA-262's `.` without the `s` flag. */
export const ANY_BUT_LINE_END = '[^\\x{A}\\x{D}\\x{2028}\\x{2029}]'
/** RE2's own cap on one repeat; greater counts are written as several. */
const MAX_REPEAT = 1_000

/** A code point inside or outside a class. */
export function escaped(point: number): string {
  return `\\x{${point.toString(16).toUpperCase()}}`
}

/** A code point outside a class. */
export function literal(point: number): string {
  const character = String.fromCodePoint(point)
  return /[A-Za-z0-9]/.test(character) ? character : escaped(point)
}

/** A repeat; `a{1500,2500}` as `a{1000,1000}a{500,1000}a{0,500}`: RE2 caps one repeat, not their sequence. */
export function repeat(atom: string, least: number, most: number | undefined): string {
  let source = ''
  let low = least
  let high = most ?? least
  do {
    const upTo = Math.min(high, MAX_REPEAT)
    const from = Math.min(low, upTo)
    source += `(?:${atom}){${from},${upTo}}`
    low -= from
    high -= upTo
  } while (high > 0)
  return most === undefined ? `${source}(?:${atom})*` : source
}

/** The class of all other code points, for what this room writes for one; undefined when it may be more or fewer. */
export function inverse(source: string): string | undefined {
  if (/^(?:[A-Za-z0-9]|\\x\{[0-9A-F]+\})$/.test(source)) return `[^${source}]`
  // No class of ours holds a bracket of its own: each is written as a number.
  if (!/^\[[^[\]]+\]$/.test(source)) return undefined
  return source.startsWith('[^') ? `[${source.slice(2)}` : `[^${source.slice(1)}`
}
