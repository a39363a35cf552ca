/** Kinds of binary content that an operator can tell apart. `audio` is sound and film: their containers are the same. */
export const BINARY_KINDS = ['image', 'audio', 'pdf', 'other'] as const
export type BinaryKind = (typeof BINARY_KINDS)[number]

/** What becomes of binary content. `drop` puts a text in its place, which says what it was; `deny` refuses. */
export const BINARY_ACTIONS = ['pass', 'drop', 'deny'] as const
export type BinaryAction = (typeof BINARY_ACTIONS)[number]

/** Class of content that is not what it claims to be. */
export const MISMATCH = 'binary.mismatch'

/** What binary content is. */
export interface Judged {
  readonly kind: BinaryKind
  /** Its bytes are another kind than somebody says, or of two kinds at once. */
  readonly mismatch: boolean
}

/** Bytes at the begin that are looked at: the longest frame of MP3, and the begin of the next. */
export const HEAD_BYTES = 2048
/** Readers of PDF take one that begins anywhere in these. Source: ISO 32000-1, annex H.3.4.1. */
const PDF_BYTES = 1024

/**
 * What bytes are. They are believed rather than what is claimed of them; where the two differ nobody knows what a host makes of them.
 * @param head the first HEAD_BYTES, or all that there are
 * @param claims media types, or kinds themselves; generic ones claim nothing
 */
export function judgeBinary(head: Buffer, claims: readonly string[]): Judged {
  const [kind = 'other', ...more] = sniff(head)
  const mismatch =
    more.length > 0 ||
    claims.some((claim) => {
      const claimed = claimedKind(claim)
      return claimed !== undefined && claimed !== kind
    })
  return { kind: mismatch ? 'other' : kind, mismatch }
}

/** The known kinds whose signature bytes begin with; more than one for a file that is made to be several. */
export function sniff(head: Buffer): readonly Exclude<BinaryKind, 'other'>[] {
  const kinds: Exclude<BinaryKind, 'other'>[] = []
  if (isImage(head)) kinds.push('image')
  if (isAudio(head)) kinds.push('audio')
  if (head.subarray(0, PDF_BYTES).includes('%PDF-', 0, 'latin1')) kinds.push('pdf')
  return kinds
}

/** Media types that say no more than that there are bytes. */
const GENERIC = new Set(['', 'application/octet-stream', 'binary/octet-stream', 'application/binary'])

/** @returns undefined for a claim that says nothing */
function claimedKind(claim: string): BinaryKind | undefined {
  const [type = ''] = claim.toLowerCase().split(';', 1)
  const media = type.trim()
  if (GENERIC.has(media)) return undefined
  if (/^application\/(?:x-)?pdf$/.test(media)) return 'pdf'
  // A drawing in XML: a text that may hold scripts.
  if (media.startsWith('image/svg')) return 'other'
  const [family] = media.split('/', 1)
  if (family === 'video') return 'audio'
  if (media === 'application/ogg') return 'audio'
  return family === 'image' || family === 'audio' ? family : 'other'
}

// ── Signatures ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

const latin1 = (head: Buffer, start: number, end: number): string => head.toString('latin1', start, end)

const begins = (head: Buffer, text: string, at = 0): boolean => latin1(head, at, at + text.length) === text

const IMAGES = [
  '\x89PNG\r\n\x1a\n',
  '\xff\xd8\xff',
  'GIF87a',
  'GIF89a',
  'II*\0',
  'MM\0*',
  'II+\0',
  'MM\0+',
  '8BPS\0',
  '\0\0\0\x0cJXL \r\n\x87\n',
  '\0\0\0\x0cjP  \r\n\x87\n',
  '\xff\x4f\xff\x51',
]

function isImage(head: Buffer): boolean {
  return (
    IMAGES.some((magic) => begins(head, magic)) ||
    (begins(head, 'RIFF') && begins(head, 'WEBP', 8)) ||
    (begins(head, 'ftyp', 4) && isImageBrand(head)) ||
    isBitmap(head) ||
    isIcon(head)
  )
}

/** Two letters alone begin many a word: the header behind them has to be one. */
function isBitmap(head: Buffer): boolean {
  return (
    begins(head, 'BM') &&
    head.length >= 18 &&
    head.readUInt32LE(6) === 0 &&
    [12, 40, 52, 56, 64, 108, 124].includes(head.readUInt32LE(14))
  )
}

/** Icons and cursors: entries from 1 to 255, and a byte that is always 0. */
function isIcon(head: Buffer): boolean {
  const begin = begins(head, '\0\0\x01\0') || begins(head, '\0\0\x02\0')
  return begin && head.length >= 22 && head.readUInt16LE(4) - 1 < 255 && head[4] !== 0 && head[9] === 0
}

const AUDIO = [
  'ID3\x02\0',
  'ID3\x03\0',
  'ID3\x04\0',
  'OggS\0',
  'fLaC\0',
  'fLaC\x80',
  'MThd\0\0\0\x06',
  '#!AMR',
  '.snd\0\0',
  'caff\0\x01',
  'FLV\x01',
  '\x1a\x45\xdf\xa3',
  '\x30\x26\xb2\x75\x8e\x66\xcf\x11',
  '\0\0\x01\xba',
  '\0\0\x01\xb3',
]

function isAudio(head: Buffer): boolean {
  return (
    AUDIO.some((magic) => begins(head, magic)) ||
    (/^RIFF|^RF64/.test(latin1(head, 0, 4)) && /^WAVE|^AVI /.test(latin1(head, 8, 12))) ||
    (begins(head, 'FORM') && /^AIF[FC]/.test(latin1(head, 8, 12))) ||
    (begins(head, 'ftyp', 4) && !isImageBrand(head)) ||
    isMpegAudio(head) ||
    isAdts(head)
  )
}

const isImageBrand = (head: Buffer): boolean =>
  /^(?:avif|avis|hei[cmsx]|hev[cmsx]|mif1|msf1)$/.test(latin1(head, 8, 12))

/** Kilobits a second of layer 3 by index, in MPEG 1 and in MPEG 2. */
const MPEG1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
const MPEG2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]

/** MP3 without a tag: eleven bits begin many bytes (`//server/share` in base64), so the next frame must stand where this one ends. */
function isMpegAudio(head: Buffer): boolean {
  const [first = 0, second = 0, third = 0] = head
  const version = (second >> 3) & 3
  if (first !== 0xff || (second & 0xe0) !== 0xe0 || version === 1 || ((second >> 1) & 3) !== 1) return false
  const rate = [44_100, 48_000, 32_000][(third >> 2) & 3]
  const kilobits = (version === 3 ? MPEG1 : MPEG2)[third >> 4]
  if (rate === undefined || !kilobits) return false
  const [samples, slower] = version === 3 ? [144_000, 1] : [72_000, version === 2 ? 2 : 4]
  const next = Math.floor((samples * kilobits * slower) / rate) + ((third >> 1) & 1)
  return head.length > next + 1 && head[next] === 0xff && ((head[next + 1] ?? 0) & 0xfe) === (second & 0xfe)
}

/** AAC in ADTS frames, by the frame behind the first one. */
function isAdts(head: Buffer): boolean {
  const [first, second = 0] = head
  if (first !== 0xff || (second & 0xf6) !== 0xf0 || head.length < 7) return false
  const next = (head.readUIntBE(3, 3) >> 5) & 0x1fff
  return next > 7 && head[next] === 0xff && ((head[next + 1] ?? 0) & 0xf6) === 0xf0
}
