/**
 * Why a document was refused: over a cap (bytes, depth, keys), not UTF-8, not RFC 8259 (syntax, also a byte order mark),
 * one name twice in an object, an odd-case twin of a name of twinKeys, or a lone escaped surrogate.
 */
export type JsonFaultKind =
  'bytes' | 'utf8' | 'syntax' | 'depth' | 'keys' | 'duplicate' | 'twin' | 'surrogate'

/** A refused document. The message holds offsets and our own words only, nothing of the payload. */
export class JsonFault extends Error {
  readonly fault: JsonFaultKind
  /** Byte offset of the fault; nothing behind its token was judged. */
  readonly at: number

  constructor(fault: JsonFaultKind, at: number, what: string) {
    super(`json: ${what} at byte ${at}`)
    this.name = 'JsonFault'
    this.fault = fault
    this.at = at
  }
}

const BACKSLASH = 0x5c

/** What a one-letter escape stands for; 0 for all other letters. */
export const ESCAPES = Uint8Array.from({ length: 256 }, (_, c) => {
  const at = '"\\/bfnrt'.indexOf(String.fromCharCode(c))
  return at < 0 ? 0 : '"\\/\b\f\n\r\t'.charCodeAt(at)
})
const HEX = Int8Array.from({ length: 256 }, (_, c) => '0123456789abcdef'.indexOf(lower(c)))

function lower(c: number): string {
  return String.fromCharCode(c).toLowerCase()
}

/** A fault of syntax or, where the byte belongs to no character, of UTF-8. */
export function unexpected(bytes: Uint8Array, at: number, wanted: string): JsonFault {
  if (at >= bytes.length) return new JsonFault('syntax', at, `document ends early (expected ${wanted})`)
  if (at === 0 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    return new JsonFault('syntax', 0, 'byte order mark (RFC 8259 section 8.1)')
  }
  if ((bytes[at] ?? 0) >= 0x80 && utf8Length(bytes, at, bytes.length) === 0) return notUtf8(at)
  return new JsonFault('syntax', at, `expected ${wanted}`)
}

/** The fault of bytes that make up no character. */
export function notUtf8(at: number): JsonFault {
  return new JsonFault('utf8', at, 'bytes are not UTF-8')
}

/** The UTF-16 code unit of a `\uXXXX` at an offset, or -1 when there is none. */
export function escapedUnit(bytes: Uint8Array, at: number, end: number): number {
  if (at + 6 > end || bytes[at] !== BACKSLASH || bytes[at + 1] !== 0x75) return -1
  let unit = 0
  for (let i = at + 2; i < at + 6; i++) {
    const digit = HEX[bytes[i] ?? 0] ?? -1
    if (digit < 0) return -1
    unit = unit * 16 + digit
  }
  return unit
}

/** Length of the well-formed sequence at an offset whose byte is over 0x7f; 0 when it is ill-formed (Unicode table 3-7). */
export function utf8Length(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at] ?? 0
  const length = lead < 0xc2 || lead > 0xf4 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  if (at + length > end) return 0
  for (let i = at + length - 1; i > at; i--) if (((bytes[i] ?? 0) & 0xc0) !== 0x80) return 0
  const second = bytes[at + 1] ?? 0
  if (lead === 0xe0 && second < 0xa0) return 0 // overlong
  if (lead === 0xed && second > 0x9f) return 0 // surrogate
  if (lead === 0xf0 && second < 0x90) return 0 // overlong
  return lead === 0xf4 && second > 0x8f ? 0 : length // over U+10FFFF
}
