import type { Folded } from './fold.ts'

/** Shortest run of encoded characters that is worth a try. */
const MIN_RUN = 24
/** Share of a decoded text that must be letters, digits and what stands between them. */
const READABLE = 0.9
/** Longest run that is decoded, in characters: bounds the work on one blob. */
const MAX_RUN = 262_144

/** A run of encoded text and what it says. */
export interface Decoded {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** Characters of base64, URL-safe base64 and hexadecimal. */
const CODE = new Uint8Array(128)
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-')
  CODE[char.charCodeAt(0)] = 1
const SPACED_HEX = /(?:[0-9a-fA-F]{2}[ :,]){11,}[0-9a-fA-F]{2}/g

/**
 * Finds base64 (also URL-safe and broken into lines) and hexadecimal runs that decode to readable UTF-8.
 * Linear: a run is tried once, and what decodes to noise is dropped.
 */
export function decodedRuns(text: string): Decoded[] {
  const found: Decoded[] = []
  for (const { start, end } of runs(text)) {
    const run = text.slice(start, Math.min(end, start + MAX_RUN))
    const read = fromHex(run) ?? fromBase64(run)
    if (read !== undefined) found.push({ start, end, text: read })
  }
  for (const match of text.matchAll(SPACED_HEX)) {
    const read = fromHex(match[0].replaceAll(/[ :,]/g, ''))
    if (read !== undefined) found.push({ start: match.index, end: match.index + match[0].length, text: read })
  }
  return found
}

/** Encoded runs; lines of one blob, as mailers break them, are one run. */
function runs(text: string): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = []
  // Every run of the length has a character at each multiple of it: what lies between is looked at only then.
  for (let i = MIN_RUN - 1; i < text.length; i += MIN_RUN) {
    if (!isCode(text, i)) continue
    let start = i
    while (start > 0 && isCode(text, start - 1) && i - start < MIN_RUN) start--
    let end = i + 1
    while (isCode(text, end)) end++
    const length = end - start
    i = end - 1
    if (length < MIN_RUN) continue
    for (let signs = 0; signs < 2 && text[end] === '='; signs++) end++
    const last = found.at(-1)
    const near = last !== undefined && start - last.end <= 2 && text[last.end - 1] !== '='
    if (near && /^\r?\n$/.test(text.slice(last.end, start))) last.end = end
    else found.push({ start, end })
  }
  // The last line of a blob may be shorter than a run.
  for (const run of found) {
    const rest = /^\r?\n([A-Za-z0-9+/_-]{1,23}={0,2})(?:\s|$)/.exec(text.slice(run.end, run.end + 32))
    if (rest !== null && text[run.end - 1] !== '=' && run.end - run.start >= 56)
      run.end += rest[0].trimEnd().length
  }
  return found
}

function isCode(text: string, at: number): boolean {
  const unit = at < text.length ? text.charCodeAt(at) : 32
  return unit < 128 && CODE[unit] === 1
}

function fromHex(run: string): string | undefined {
  if (run.length % 2 !== 0 || !/^[0-9a-fA-F]+$/.test(run)) return undefined
  return readable(Buffer.from(run, 'hex'))
}

function fromBase64(run: string): string | undefined {
  const code = run.replaceAll(/[\r\n]/g, '')
  // Words with hyphens and paths are made of the same characters; encoded prose mixes cases.
  if (!/[A-Z]/.test(code) || !/[a-z]/.test(code)) return undefined
  return readable(Buffer.from(code, 'base64'))
}

function readable(bytes: Buffer): string | undefined {
  if (bytes.length * 2 < MIN_RUN) return undefined
  // Noise shows early; most blobs are images, hashes and keys.
  const head = bytes.subarray(0, 48)
  let odd = 0
  for (const byte of head) if ((byte < 32 && byte !== 10 && byte !== 13 && byte !== 9) || byte === 127) odd++
  if (odd > head.length * (1 - READABLE)) return undefined
  const text = bytes.toString('utf8')
  let good = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    const blank = unit === 10 || unit === 13 || unit === 9
    if ((unit >= 32 && unit < 127) || blank || (unit > 160 && unit !== 0xfffd)) good++
  }
  return good >= text.length * READABLE ? text : undefined
}

const ENTITIES: ReadonlyMap<string, number> = new Map([
  ['lt', 60],
  ['gt', 62],
  ['amp', 38],
  ['quot', 34],
  ['apos', 39],
  ['nbsp', 32],
])
/** Longest entity between `&` and `;`. */
const MAX_ENTITY = 9

/**
 * Decodes HTML entities, percent-encoding and backslash escapes in place, once. Writes into arrays: a text of nothing but
 * escapes must not leave an object for each.
 * @returns undefined when there are none
 */
export function unescaped(text: string): Folded | undefined {
  if (!/[&%\\]/.test(text)) return undefined
  const out = new Uint16Array(text.length)
  const at = new Int32Array(text.length + 1)
  let n = 0
  let found = false
  for (let i = 0; i < text.length;) {
    const unit = text.charCodeAt(i)
    const length =
      unit === 38 ? entity(text, i) : unit === 37 ? percent(text, i) : unit === 92 ? backslash(text, i) : 0
    at[n] = i
    if (length === 0) {
      out[n++] = unit
      i++
      continue
    }
    found = true
    // Decoded text is never longer than its escapes.
    for (const char of read.text) {
      for (let k = 0; k < char.length; k++) {
        at[n] = i
        out[n++] = char.charCodeAt(k)
      }
    }
    i += length
  }
  if (!found) return undefined
  at[n] = text.length
  return { text: Buffer.from(out.buffer, 0, n * 2).toString('utf16le'), at: at.subarray(0, n + 1) }
}

/** What the escape just read stands for. */
const read = { text: '' }

/** Reads `&lt;`, `&#65;` or `&#x41;`. @returns its length, 0 for none */
function entity(text: string, from: number): number {
  let end = from + 1
  while (end < text.length && end - from <= MAX_ENTITY && text.charCodeAt(end) !== 59) end++
  if (text.charCodeAt(end) !== 59) return 0
  const name = text.slice(from + 1, end)
  const hex = /^#[xX]([0-9a-fA-F]{1,6})$/.exec(name)?.[1]
  const decimal = /^#(\d{1,7})$/.exec(name)?.[1]
  let point = ENTITIES.get(name)
  if (hex !== undefined) point = Number.parseInt(hex, 16)
  if (decimal !== undefined) point = Number(decimal)
  const valid =
    point !== undefined && point > 0 && point <= 0x10_ffff && !(point >= 0xd800 && point <= 0xdfff)
  if (!valid) return 0
  read.text = String.fromCodePoint(point ?? 0)
  return end - from + 1
}

/** Reads a run of `%41`, as UTF-8. @returns its length, 0 for none */
function percent(text: string, from: number): number {
  let end = from
  while (text.charCodeAt(end) === 37 && hexDigits(text, end + 1, 2)) end += 3
  if (end === from) return 0
  const bytes = Buffer.alloc((end - from) / 3)
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = Number.parseInt(text.slice(from + 3 * i + 1, from + 3 * i + 3), 16)
  read.text = bytes.toString('utf8')
  return end - from
}

/** Reads `\u0041`, `\x41`, `\n`, `\r` or `\t`. @returns its length, 0 for none */
function backslash(text: string, from: number): number {
  const kind = text.charCodeAt(from + 1)
  const digits = kind === 117 ? 4 : kind === 120 ? 2 : 0
  if (digits > 0) {
    if (!hexDigits(text, from + 2, digits)) return 0
    read.text = String.fromCharCode(Number.parseInt(text.slice(from + 2, from + 2 + digits), 16))
    return digits + 2
  }
  if (kind !== 110 && kind !== 114 && kind !== 116) return 0
  read.text = kind === 116 ? '\t' : '\n'
  return 2
}

function hexDigits(text: string, from: number, count: number): boolean {
  for (let i = from; i < from + count; i++) {
    const unit = i < text.length ? text.charCodeAt(i) : 0
    const small = unit | 32
    if (!((unit >= 48 && unit <= 57) || (small >= 97 && small <= 102))) return false
  }
  return true
}
