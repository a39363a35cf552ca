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
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-') CODE[char.charCodeAt(0)] = 1
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
    if (rest !== null && text[run.end - 1] !== '=' && run.end - run.start >= 56) run.end += rest[0].trimEnd().length
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

const ENTITIES: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: "'",
  nbsp: ' ',
}
const ESCAPES =
  /&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(lt|gt|amp|quot|apos|nbsp));|((?:%[0-9a-fA-F]{2})+)|\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\([nrt])/g

/** HTML entities, percent-encoding and backslash escapes, each with what it stands for; decoded once. */
export function escapes(text: string): Decoded[] {
  if (!/[&%\\]/.test(text)) return []
  const found: Decoded[] = []
  for (const match of text.matchAll(ESCAPES)) {
    const read = escaped(match)
    if (read !== undefined) found.push({ start: match.index, end: match.index + match[0].length, text: read })
  }
  return found
}

function escaped(match: RegExpExecArray): string | undefined {
  const [, decimal, hex, name, percent, unicode, byte, blank] = match
  if (decimal !== undefined) return point(Number(decimal))
  if (hex !== undefined) return point(Number.parseInt(hex, 16))
  if (name !== undefined) return ENTITIES[name]
  if (unicode !== undefined) return String.fromCharCode(Number.parseInt(unicode, 16))
  if (byte !== undefined) return String.fromCharCode(Number.parseInt(byte, 16))
  if (blank !== undefined) return blank === 't' ? '\t' : '\n'
  if (percent === undefined) return undefined
  return Buffer.from(percent.replaceAll('%', ''), 'hex').toString('utf8')
}

function point(value: number): string | undefined {
  const valid = value > 0 && value <= 0x10_ffff && !(value >= 0xd800 && value <= 0xdfff)
  return valid ? String.fromCodePoint(value) : undefined
}
