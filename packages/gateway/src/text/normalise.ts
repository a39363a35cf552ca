import { decodedRuns, unescaped, type Decoded } from './decode.ts'
import { fold } from './fold.ts'

/** How often an encoded text inside an encoded text is opened. */
const MAX_DEPTH = 2
/** Most readings of one text. */
const MAX_READINGS = 64

/** One way to read a text: folded, decoded or put together again. */
export interface Reading {
  readonly text: string
  /** Whether it stood encoded in the original, so that nobody reads it by accident. */
  readonly encoded: boolean
  /** UTF-16 offset in the original of an offset in `text`; for encoded text, of the run that held it. */
  readonly origin: (offset: number) => number
}

/**
 * The ways a model may read a text, the plain one first: folded, with escapes decoded in place and spaced-out words joined;
 * then what base64, hexadecimal, rot13 or reversed runs say. Linear: what is encoded is longer than what it says.
 */
export function readings(text: string): Reading[] {
  const found: Reading[] = []
  read(text, (offset) => Math.min(Math.max(offset, 0), text.length), 0, found)
  return found
}

function read(text: string, origin: (offset: number) => number, depth: number, found: Reading[]): void {
  const folded = fold(text)
  let reading: Reading = { text: folded.text, encoded: depth > 0, origin: moved(origin, folded.at) }
  const plain = unescaped(reading.text)
  // What an escape spells may again need folding.
  if (plain !== undefined) {
    const again = fold(plain.text)
    reading = { ...reading, text: again.text, origin: moved(moved(reading.origin, plain.at), again.at) }
  }
  reading = replaced(reading, spacedOut(reading.text))
  found.push(reading)
  const turned = turnedRound(reading)
  if (turned !== undefined) found.push(turned)
  if (depth >= MAX_DEPTH) return
  for (const run of decodedRuns(reading.text)) {
    if (found.length >= MAX_READINGS) return
    const from = reading.origin(run.start)
    const to = reading.origin(run.end)
    // Within a run the offsets are those of the run: shares of it would look more exact than they are.
    read(run.text, (offset) => (offset >= run.text.length ? to : from), depth + 1, found)
  }
}

function moved(origin: (offset: number) => number, at: Int32Array | undefined): (offset: number) => number {
  return at === undefined ? origin : (offset) => origin(at[Math.min(Math.max(offset, 0), at.length - 1)] ?? 0)
}

/** A reading with some runs replaced; offsets inside a replacement are its beginning. */
function replaced(reading: Reading, runs: readonly Decoded[]): Reading {
  if (runs.length === 0) return reading
  let length = reading.text.length
  for (const run of runs) length += run.text.length
  const at = new Int32Array(length + 1)
  const parts: string[] = []
  let n = 0
  let from = 0
  for (const run of runs) {
    if (run.start < from) continue
    parts.push(reading.text.slice(from, run.start), run.text)
    for (let i = from; i < run.start; i++) at[n++] = i
    for (let i = 0; i < run.text.length; i++) at[n++] = run.start
    from = run.end
  }
  parts.push(reading.text.slice(from))
  for (let i = from; i < reading.text.length; i++) at[n++] = i
  at[n] = reading.text.length
  return { ...reading, text: parts.join(''), origin: moved(reading.origin, at.subarray(0, n + 1)) }
}

/** Single letters parted by single signs, words of them by longer gaps. */
const SPACED =
  /(?<![A-Za-z0-9])[A-Za-z](?:[ .\-_*|/][A-Za-z](?![A-Za-z0-9]))+(?:[ .\-_*|/]{2,4}[A-Za-z](?:[ .\-_*|/][A-Za-z](?![A-Za-z0-9]))+)*/g
const MIN_SPACED = 6

/** Words whose letters stand apart: `i g n o r e   a l l`. */
function spacedOut(text: string): Decoded[] {
  const found: Decoded[] = []
  for (const match of text.matchAll(SPACED)) {
    const run = match[0]
    const joined = run.replaceAll(/([A-Za-z])[ .\-_*|/](?=[A-Za-z])/g, '$1').replaceAll(/[ .\-_*|/]+/g, ' ')
    if (joined.replaceAll(' ', '').length < MIN_SPACED) continue
    found.push({ start: match.index, end: match.index + run.length, text: joined })
  }
  return found
}

/** Words of commands after rot13, and from the end to the beginning. */
const ROT13 = /\b(?:vtaber|qvfertneq|vafgehpgvbaf?|cerivbhf|sbetrg|cnffjbeq|bireevqr)\b/i
const REVERSED = /\b(?:erongi|drageras?id|snoitcurtsni|noitcurtsni|suoiverp|tegrof|drowssap|edirrevo)\b/i

function turnedRound(reading: Reading): Reading | undefined {
  const { text, origin } = reading
  if (ROT13.test(text)) return { text: text.replaceAll(/[A-Za-z]/g, rot13), encoded: true, origin }
  if (!REVERSED.test(text)) return undefined
  return {
    text: text.split('').toReversed().join(''),
    encoded: true,
    origin: (offset) => origin(Math.max(0, text.length - offset)),
  }
}

function rot13(letter: string): string {
  const unit = letter.charCodeAt(0)
  const first = unit < 97 ? 65 : 97
  return String.fromCharCode(((unit - first + 13) % 26) + first)
}
