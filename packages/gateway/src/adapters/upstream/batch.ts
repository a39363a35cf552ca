import { skipSpace } from '../../mcp/json-tokens.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Whether bytes begin like a batch: an array of objects, no banner in brackets. */
export function isBatch(bytes: Uint8Array): boolean {
  const at = skipSpace(bytes, 0, bytes.length)
  if (bytes[at] !== OPEN_ARRAY) return false
  return bytes[skipSpace(bytes, at + 1, bytes.length)] === OPEN_OBJECT
}

/**
 * The elements of a JSON array, as they stand, cut as they are taken. Nothing is proven: each must pass the scanner by itself,
 * which refuses what this cut wrongly because the array was none.
 */
export function* splitBatch(bytes: Uint8Array): Generator<Uint8Array, void, void> {
  const open = skipSpace(bytes, 0, bytes.length)
  let from = open + 1
  let depth = 0
  for (let at = open; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) at = endOfString(bytes, at)
    else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) depth++
    else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) depth--
    if ((byte === COMMA && depth === 1) || depth === 0) {
      yield bytes.subarray(from, at)
      from = at + 1
      if (depth === 0) break
    }
  }
  // An array that never closes, or text behind it: a part that no scanner takes.
  if (depth > 0) yield bytes.subarray(open)
  else if (skipSpace(bytes, from, bytes.length) < bytes.length) yield bytes.subarray(from)
}

function endOfString(bytes: Uint8Array, from: number): number {
  for (let at = from + 1; at < bytes.length; at++) {
    if (bytes[at] === BACKSLASH) at++
    else if (bytes[at] === QUOTE) return at
  }
  return bytes.length
}
