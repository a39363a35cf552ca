import { HASH_BYTES } from './merkle.ts'

/** Hashes in a full tile and leaves in a full entry bundle. Source: C2SP tlog-tiles. */
export const TILE_WIDTH = 256

/** Longest leaf that an entry bundle can hold, in bytes: its length is written as uint16. */
export const MAX_ENTRY_BYTES = 0xffff

/** One tile of hashes: `width` hashes of height 8 * level, from hash `index` * 256 on. */
export interface Tile {
  readonly level: number
  readonly index: number
  /** 1 to 256; below 256 the tile is the growing right edge. */
  readonly width: number
}

/**
 * Path of a tile below the log's directory, such as `tile/0/x001/x234/067` or `tile/1/000.p/4`.
 * @throws RangeError for a level beyond 63, a negative index or a width outside of 1 to 256
 */
export function tilePath(level: number, index: number, width: number = TILE_WIDTH): string {
  if (!Number.isInteger(level) || level < 0 || level > 63)
    throw new RangeError(`tile level \`${level}\` (0 to 63)`)
  return `tile/${level}/${numberPath(index, width)}`
}

/** Path of an entry bundle below the log's directory, such as `tile/entries/000.p/12`. @throws RangeError as tilePath */
export function entriesPath(index: number, width: number = TILE_WIDTH): string {
  return `tile/entries/${numberPath(index, width)}`
}

function numberPath(index: number, width: number): string {
  if (!Number.isSafeInteger(index) || index < 0) throw new RangeError(`tile index \`${index}\` (0 or more)`)
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new RangeError(`tile width \`${width}\` (1 to ${TILE_WIDTH})`)
  }
  let path = String(index % 1000).padStart(3, '0')
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, '0')}/${path}`
  }
  return width === TILE_WIDTH ? path : `${path}.p/${width}`
}

/** The tile at the right edge of each level of a tree; levels whose edge is empty are left out. */
export function edgeTiles(size: number): Tile[] {
  const tiles: Tile[] = []
  let hashes = size
  for (let level = 0; hashes > 0; level++) {
    const width = hashes % TILE_WIDTH
    hashes = Math.floor(hashes / TILE_WIDTH)
    if (width > 0) tiles.push({ level, index: hashes, width })
  }
  return tiles
}

/** Bytes of a tile: its hashes, one after the other. */
export function encodeTile(hashes: readonly Buffer[]): Buffer {
  return Buffer.concat(hashes)
}

/** Hashes of a tile. @returns undefined when the bytes are not exactly `width` hashes */
export function decodeTile(bytes: Buffer, width: number): Buffer[] | undefined {
  if (bytes.length !== width * HASH_BYTES) return undefined
  return Array.from({ length: width }, (_, i) => bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))
}

/** Bytes of an entry bundle: for each leaf its length as big-endian uint16, then its bytes. @throws RangeError over 65,535 bytes */
export function encodeEntries(leaves: readonly Buffer[]): Buffer {
  const parts: Buffer[] = []
  for (const leaf of leaves) {
    if (leaf.length > MAX_ENTRY_BYTES)
      throw new RangeError(`leaf of ${leaf.length} bytes (at most ${MAX_ENTRY_BYTES})`)
    const length = Buffer.allocUnsafe(2)
    length.writeUInt16BE(leaf.length)
    parts.push(length, leaf)
  }
  return Buffer.concat(parts)
}

/** Leaves of an entry bundle. @returns undefined when a leaf is cut short */
export function decodeEntries(bytes: Buffer): Buffer[] | undefined {
  const leaves: Buffer[] = []
  let at = 0
  while (at < bytes.length) {
    if (at + 2 > bytes.length) return undefined
    const end = at + 2 + bytes.readUInt16BE(at)
    if (end > bytes.length) return undefined
    leaves.push(bytes.subarray(at + 2, end))
    at = end
  }
  return leaves
}
