import type { Finding } from './finding.ts'

/**
 * What no reader sees and a model reads all the same, or what makes a reader see something else (SECURITY.md 3.1, threat 2): controls
 * and the terminal's escape sequences, tag characters, bidirectional overrides, characters without width, variation selectors.
 */
const BMP = bitmap([
  [0x00, 0x08],
  [0x0b, 0x0c],
  [0x0e, 0x1f],
  [0x7f, 0x9f],
  [0xad, 0xad], // soft hyphen
  [0x034f, 0x034f], // combining grapheme joiner
  [0x061c, 0x061c], // Arabic letter mark
  [0x115f, 0x1160], // Hangul fillers
  [0x17b4, 0x17b5], // Khmer inherent vowels
  [0x180b, 0x180f], // Mongolian selectors and separator
  [0x200b, 0x200f], // without width, and marks of direction
  [0x2028, 0x202e], // separators of lines, embeddings and overrides
  [0x2060, 0x206f], // word joiner, invisible operators, isolates
  [0x3164, 0x3164],
  [0xfe00, 0xfe0f], // variation selectors
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff0, 0xfffb], // unassigned, and interlinear annotations
])

/** The same beyond the basic plane. */
const ASTRAL: readonly (readonly [number, number])[] = [
  [0x1bca0, 0x1bca3], // shorthand format controls
  [0x1d173, 0x1d17a], // musical format controls
  [0xe0000, 0xe0fff], // tags, and the supplement of variation selectors
]

const ZWNJ = 0x200c
const ZWJ = 0x200d
const VS15 = 0xfe0e
const VS16 = 0xfe0f
const BLACK_FLAG = 0x1f3f4
const CANCEL_TAG = 0xe007f

/** Whether a UTF-16 unit may be hidden: a cheap look for the pass over a text. */
export function mayHide(code: number): boolean {
  return BMP[code] === 1 || (code >= 0xd800 && code <= 0xdbff)
}

/**
 * The hidden stretch that begins at a place, or undefined where there is none. Signs that scripts and emoji need where they stand are
 * none: the joiners of Persian, Hindi and emoji families, the selectors behind emoji, the tags of the flags of regions.
 * @returns a finding, its end behind the last hidden sign of the stretch
 */
export function hiddenAt(text: string, start: number): Finding | undefined {
  let end = start + escapeLength(text, start)
  while (end < text.length) {
    const point = text.codePointAt(end) ?? 0
    if (!isHidden(point)) break
    const length = point > 0xffff ? 2 : 1
    if (end === start && isNeeded(text, end, point)) return undefined
    end += length
  }
  return end === start ? undefined : { class: 'hidden_text', start, end, score: 1 }
}

/** Length of a terminal's escape sequence (ECMA-48), its letters included; of one that has no end only the sign that begins it. */
function escapeLength(text: string, at: number): number {
  if (text.charCodeAt(at) !== 0x1b) return 0
  return ESCAPE.exec(text.slice(at, at + MAX_ESCAPE))?.[0].length ?? 0
}

const MAX_ESCAPE = 256
// oxlint-disable-next-line no-control-regex
const ESCAPE = /^\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[ -/]*[0-~])/

function isHidden(point: number): boolean {
  if (point <= 0xffff) return BMP[point] === 1
  return ASTRAL.some(([from, to]) => point >= from && point <= to)
}

function isNeeded(text: string, at: number, point: number): boolean {
  const before = pointBefore(text, at)
  const after = text.codePointAt(at + (point > 0xffff ? 2 : 1)) ?? 0
  if (point === ZWJ || point === ZWNJ) {
    return (joins(before) && joins(after)) || (point === ZWJ && isPictograph(before) && isPictograph(after))
  }
  // One selector behind a sign that has two looks; two in a row have no meaning but to carry bits.
  if (point === VS15 || point === VS16)
    return (
      (isPictograph(before) || /[#*0-9©®‼⁉™ℹ]/u.test(sign(before))) && !isHidden(after === ZWJ ? 0 : after)
    )
  if (point >= 0xfe00 && point <= 0xfe0d) return before > 0x2000 && !isHidden(after)
  if (isTag(point)) return isRegionFlag(text, at)
  if (point === 0x200e || point === 0x200f || point === 0x061c)
    return isRightToLeft(before) || isRightToLeft(after)
  if (point === 0xad) return isLetter(before) && isLetter(after)
  return point === 0xfeff && at === 0
}

/** Whether a tag is one of two to six small letters and digits, and their end, behind a black flag: the only tags that have a look. */
function isRegionFlag(text: string, at: number): boolean {
  let start = at
  for (let i = 0; i < 7 && isTag(pointBefore(text, start)); i++) start -= 2
  if (pointBefore(text, start) !== BLACK_FLAG) return false
  for (let i = start, count = 0; i < text.length && count <= 6; i += 2, count++) {
    const point = text.codePointAt(i) ?? 0
    if (point === CANCEL_TAG) return count >= 2 && at <= i
    if (!/[a-z0-9]/.test(String.fromCharCode(point - 0xe0000))) return false
  }
  return false
}

const isTag = (point: number): boolean => point >= 0xe0020 && point <= CANCEL_TAG

const sign = (point: number): string => (point === 0 ? '' : String.fromCodePoint(point))
const isPictograph = (point: number): boolean =>
  /\p{Extended_Pictographic}|\p{Emoji_Modifier}|\ufe0f|\u20e3/u.test(sign(point))
const isLetter = (point: number): boolean => /\p{L}/u.test(sign(point))
/** Scripts whose letters join, or that write clusters: a joiner between two of them changes how they look. */
const joins = (point: number): boolean =>
  /\p{Script=Arabic}|\p{Script=Syriac}|\p{Script=Mongolian}|\p{Script=Devanagari}|\p{Script=Bengali}|\p{Script=Gurmukhi}|\p{Script=Gujarati}|\p{Script=Oriya}|\p{Script=Tamil}|\p{Script=Telugu}|\p{Script=Kannada}|\p{Script=Malayalam}|\p{Script=Sinhala}|\p{Script=Khmer}|\p{Script=Myanmar}|\p{Mn}/u.test(
    sign(point),
  )
const isRightToLeft = (point: number): boolean =>
  /\p{Script=Arabic}|\p{Script=Hebrew}|\p{Script=Syriac}|\p{Script=Thaana}/u.test(sign(point))

function pointBefore(text: string, at: number): number {
  if (at === 0) return 0
  const low = text.charCodeAt(at - 1)
  return low >= 0xdc00 && low <= 0xdfff && at > 1 ? (text.codePointAt(at - 2) ?? 0) : low
}

function bitmap(ranges: readonly (readonly [number, number])[]): Uint8Array {
  const map = new Uint8Array(0x10000)
  for (const [from, to] of ranges) map.fill(1, from, to + 1)
  return map
}
