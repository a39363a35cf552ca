import { ESCAPES, JsonFault, escapedUnit, notUtf8, unexpected, utf8Length } from './json-bytes.ts'

const QUOTE = 0x22
const PLUS = 0x2b
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const BACKSLASH = 0x5c
/** Stands for the byte behind the document. */
const NOTHING = -1

/** 1 for the bytes that a string holds as they are: ASCII without controls, quote and backslash. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, c) =>
  c >= 0x20 && c < 0x80 && c !== QUOTE && c !== BACKSLASH ? 1 : 0,
)
const LITERALS = ['true', 'false', 'null'].map((word) => Buffer.from(word))

/** @returns the offset of the first byte that is no white space of RFC 8259 section 2. */
export function skipSpace(bytes: Uint8Array, from: number, end: number): number {
  let i = from
  for (; i < end; i++) {
    const c = bytes[i] ?? 0
    if (c > 0x20 || (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09)) break
  }
  return i
}

/** Reads `true`, `false` or `null`. @returns the offset behind it. @throws JsonFault for all else. */
export function scanLiteral(bytes: Uint8Array, at: number, first: number): number {
  for (const word of LITERALS) {
    if (word[0] !== first) continue
    let i = 1
    while (i < word.length && at + i < bytes.length && bytes[at + i] === word[i]) i++
    if (i === word.length) return at + i
    throw unexpected(bytes, at + i, 'a JSON value')
  }
  throw unexpected(bytes, at, 'a JSON value')
}

/** Longest number without exponent, in characters, that is exact whatever its digits are (isExactNumber has the rest). */
const EXACT_LENGTH = 15

/** @returns the offset behind the number, complemented when its exactness needs a look. @throws JsonFault */
export function scanNumber(bytes: Uint8Array, start: number, end: number): number {
  let i = bytes[start] === MINUS ? start + 1 : start
  i = i < end && bytes[i] === ZERO ? i + 1 : skipDigits(bytes, i, end)
  if (i < end && bytes[i] === POINT) i = skipDigits(bytes, i + 1, end)
  if (i < end && (bytes[i] === 0x65 || bytes[i] === 0x45)) return ~skipExponent(bytes, i, end)
  return i - start > EXACT_LENGTH ? ~i : i
}

function skipExponent(bytes: Uint8Array, mark: number, end: number): number {
  const sign = mark + 1 < end ? bytes[mark + 1] : NOTHING
  return skipDigits(bytes, sign === MINUS || sign === PLUS ? mark + 2 : mark + 1, end)
}

function skipDigits(bytes: Uint8Array, from: number, end: number): number {
  let i = from
  for (; i < end; i++) {
    const c = bytes[i] ?? 0
    if (c < ZERO || c > NINE) break
  }
  if (i === from) throw unexpected(bytes, i, 'a digit')
  return i
}

/**
 * @param from is behind the opening quote; `strict` refuses lone surrogates.
 * @returns the offset behind the closing quote, complemented when the string holds an escape. @throws JsonFault
 */
export function scanString(bytes: Uint8Array, from: number, end: number, strict: boolean): number {
  let i = from
  let escaped = false
  for (;;) {
    while (i < end && PLAIN[bytes[i] ?? 0] === 1) i++
    if (i >= end) throw unexpected(bytes, i, 'a closing quote')
    const c = bytes[i] ?? 0
    if (c === QUOTE) return escaped ? ~(i + 1) : i + 1
    if (c >= 0x80) {
      const length = utf8Length(bytes, i, end)
      if (length === 0) throw notUtf8(i)
      i += length
    } else if (c === BACKSLASH) {
      escaped = true
      i = skipEscape(bytes, i, end, strict)
    } else throw new JsonFault('syntax', i, 'control character in a string')
  }
}

function skipEscape(bytes: Uint8Array, at: number, end: number, strict: boolean): number {
  const letter = at + 1 < end ? (bytes[at + 1] ?? 0) : 0
  if (ESCAPES[letter] !== 0) return at + 2
  const unit = escapedUnit(bytes, at, end)
  if (unit < 0) throw unexpected(bytes, Math.min(at + 1, end), 'an escape of RFC 8259')
  if (!strict || unit < 0xd800 || unit > 0xdfff) return at + 6
  const second = unit < 0xdc00 ? escapedUnit(bytes, at + 6, end) : -1
  if (second < 0xdc00 || second > 0xdfff) throw new JsonFault('surrogate', at, 'lone surrogate in an escape')
  return at + 12
}
