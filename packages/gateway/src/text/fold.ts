/** A text after folding, and where each UTF-16 unit of it stood in the text as given. */
export interface Folded {
  readonly text: string
  /** Offset in the original per unit of `text`, one more for its end; undefined: offsets did not move. */
  readonly at: Int32Array | undefined
}

/**
 * Letters that look like Latin ones but do not decompose to them, after the model of UTS 39: each pair is a look-alike and
 * what the eye reads. Cyrillic, Greek and Armenian words fold too, so word lists must be folded as well.
 */
const LOOK_ALIKES =
  'аaвbгrеeёeзzіiїiјjкkмmнhоoпnрpсcтtуyхxѕsԁdԛqԝwһhӏlьbАaВbГrЕeЁeІiЇiЈjКkМmНhОoРpСcТtУyХxЅsԀdԚqԜwҺhӀlєeЄe' +
  'αaβbγyεeηnιiκkνvοoρpσoςsτtυuχxωwΑaΒbΕeΖzΗhΙiΚkΜmΝnΟoΡpΤtΥyΧx' +
  'օoսuհhոnցgզqՍuՏsՕoԼl' +
  'ᎪaᏴbᏟcᎠdᎬeᏀgᎻhᎥiᎫjᏦkᏞlᎷmᏢpᏒrᏚsᎢtᏙvᎳwᏃz' +
  'ɑaɒaƄbɓbƈcɗdđdɛeɘeǝeƒfɡgɢgħhɦhɪiɩiıiɨiȷjɟjʝjƙkʟlłlɭlɱmɴnɲnŋnøoɵoɔcƥpʠqʀrɾrʂsƽsŧtƭtʈtʉuʊuʋvʌvɯwʍwʏyɣyƴyʐzƶz' +
  'ᴀaʙbᴄcᴅdᴇeꜰfʜhᴊjᴋkᴍmᴏoᴘpꞯqꜱsᴛtᴜuᴠvᴡwᴢz' +
  "ǀlƖi∣|⁄/∕/‘'’'ʼ'′'“\"”\"″\"‐-‑-‒-–-—-−-‹<›>〈<〉>。.、,।.،,"

/** Letters that the eye reads as two. */
const TWO: Readonly<Record<string, string>> = {
  ß: 'ss',
  ẞ: 'ss',
  æ: 'ae',
  Æ: 'ae',
  œ: 'oe',
  Œ: 'oe',
  þ: 'th',
}

const KEEP = 0xffff
const DROP = 0
/** Look up in `LONGER`. */
const LONGER_MARK = 1

const LONGER = new Map<number, string>()
let table: Uint16Array | undefined

/** Ranges whose compatibility forms are read as plain letters; CJK, kana and Hangul stay as they are. */
const DECOMPOSED: readonly (readonly [number, number])[] = [
  [0xa0, 0x24f],
  [0x2b0, 0x2ff],
  [0x370, 0x52f],
  [0x1d00, 0x1fff],
  [0x2000, 0x218f],
  [0x2460, 0x24ff],
  [0x2c60, 0x2c7f],
  [0x3000, 0x3000],
  [0xfb00, 0xfb06],
  [0xfe10, 0xfe6f],
  [0xff00, 0xffef],
]

/** Units that no reader sees: they only part the letters of a word. */
const INVISIBLE: readonly (readonly [number, number])[] = [
  [0x00, 0x08],
  [0x0e, 0x1f],
  [0x7f, 0x9f],
  [0xad, 0xad],
  [0x300, 0x36f],
  [0x483, 0x489],
  [0x115f, 0x1160],
  [0x17b4, 0x17b5],
  [0x180b, 0x180f],
  [0x1ab0, 0x1aff],
  [0x1dc0, 0x1dff],
  [0x200b, 0x200f],
  [0x202a, 0x202e],
  [0x2060, 0x206f],
  [0x20d0, 0x20ff],
  [0x2800, 0x2800],
  [0x3164, 0x3164],
  [0xfe00, 0xfe0f],
  [0xfe20, 0xfe2f],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff9, 0xfffb],
]

function built(): Uint16Array {
  const units = new Uint16Array(65_536).fill(KEEP)
  for (const [from, to] of DECOMPOSED)
    for (let unit = from; unit <= to; unit++) units[unit] = decomposed(unit)
  for (const [from, to] of INVISIBLE) for (let unit = from; unit <= to; unit++) units[unit] = DROP
  for (let i = 0; i + 1 < LOOK_ALIKES.length; i += 2) {
    units[LOOK_ALIKES.charCodeAt(i)] = LOOK_ALIKES.charCodeAt(i + 1)
  }
  for (const [letter, two] of Object.entries(TWO)) {
    units[letter.charCodeAt(0)] = LONGER_MARK
    LONGER.set(letter.charCodeAt(0), two)
  }
  return units
}

function decomposed(unit: number): number {
  const char = String.fromCharCode(unit)
  const halfKana = unit >= 0xff61 && unit <= 0xff9f
  const plain = char.normalize(halfKana ? 'NFKC' : 'NFKD').replaceAll(/\p{M}/gu, '')
  if (plain === '') return DROP
  if (plain.length === 1) return plain === char ? KEEP : plain.charCodeAt(0)
  LONGER.set(unit, plain)
  return LONGER_MARK
}

/** Text that folding would leave as it is: the common case costs one scan. */
const PLAIN = /^[\t\n\r -~]*$/

/**
 * Reads a text as the eye does: compatibility and look-alike letters become plain ones, marks and invisible units go, tag
 * characters (U+E0020-E007E) become the text that they spell. Letter case stays. Linear, at most twice as long.
 */
export function fold(text: string): Folded {
  if (PLAIN.test(text)) return { text, at: undefined }
  table ??= built()
  const units = table
  const out = new Uint16Array(text.length * 2 + 1)
  const at = new Int32Array(text.length * 2 + 2)
  let n = 0
  let tagged = false
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    const folded = units[unit] ?? KEEP
    const surrogate = unit >= 0xd800 && unit <= 0xdbff
    if (!surrogate && !tagged && folded > LONGER_MARK) {
      at[n] = i
      out[n++] = folded === KEEP ? unit : folded
      continue
    }
    let plain = ''
    const point = surrogate ? (text.codePointAt(i) ?? unit) : unit
    const isTag = point >= 0xe0020 && point <= 0xe007e
    if (point > 0xffff) plain = beyond(point)
    else if (folded === DROP) continue
    else if (folded === LONGER_MARK) plain = LONGER.get(unit) ?? ''
    else plain = String.fromCharCode(folded === KEEP ? unit : folded)
    // What was hidden is another sentence than what stands beside it.
    if (isTag !== tagged) plain = ` ${plain}`
    tagged = isTag
    // Two units for one keeps the bound; `(1)` in one sign loses its bracket.
    const most = point > 0xffff ? 3 : 2
    for (let k = 0; k < plain.length && k < most; k++) {
      at[n] = i
      out[n++] = plain.charCodeAt(k)
    }
    if (point > 0xffff) i++
  }
  at[n] = text.length
  return { text: Buffer.from(out.buffer, 0, n * 2).toString('utf16le'), at: at.subarray(0, n + 1) }
}

/** What a code point above U+FFFF spells. */
function beyond(point: number): string {
  if (point >= 0xe0020 && point <= 0xe007e) return String.fromCharCode(point - 0xe0000)
  if (point >= 0xe0000 && point <= 0xe01ef) return ''
  if (point >= 0x1d400 && point <= 0x1d7ff) {
    const plain = String.fromCodePoint(point).normalize('NFKD')
    // Some points of the block are letters of no alphabet and stand for themselves.
    return (plain.codePointAt(0) ?? 0) > 0xffff ? ' ' : fold(plain).text
  }
  // Letters in squares, circles and flags.
  for (const first of [0x1f110, 0x1f130, 0x1f150, 0x1f170, 0x1f1e6]) {
    if (point >= first && point < first + 26) return String.fromCharCode(97 + point - first)
  }
  if (point >= 0x20000 && point <= 0x3ffff) return String.fromCodePoint(point)
  return ' '
}
