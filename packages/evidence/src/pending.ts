import { crc32 } from 'node:zlib'
import { MAX_ENTRY_BYTES } from './tiles.ts'
import { HASH_BYTES, leafHash } from './merkle.ts'

/** Name of the journal of records that no checkpoint covers yet, below the log's directory. */
export const PENDING = 'pending'

const MAGIC = Buffer.from('CGP1')
const LENGTH_AT = 4
const INDEX_AT = 8
const DURABLE_AT = 14
const HASH_AT = 20
const CRC_AT = HASH_AT + HASH_BYTES

/** Bytes of a frame before its leaf. */
export const FRAME_HEADER_BYTES = CRC_AT + 4

/** One record in the journal. */
export interface PendingLeaf {
  /** Index in the log. */
  readonly index: number
  readonly leaf: Buffer
  /** Leaf hash (RFC 6962), which also is the frame's checksum. */
  readonly hash: Buffer
}

/** What a journal holds. */
export interface PendingScan {
  /** Whole frames from the start, with indexes in a row. */
  readonly leaves: readonly PendingLeaf[]
  /** Bytes of these frames. */
  readonly goodBytes: number
  /** Bytes behind them that are no frame: what a crash tore, or damage. */
  readonly tornBytes: number
  /** First whole frame behind the torn bytes, if any. */
  readonly resumesAt: number | undefined
  /**
   * How many records the frames behind the torn bytes say were durable when they were written. More than the torn
   * record's index: the torn bytes had been synced and were damaged later. Else a crash tore the last batch.
   */
  readonly durableBehind: number
}

/**
 * Frame of a record: magic `CGP1`, leaf length u32, index u48, count of records durable before this write u48, leaf
 * hash, CRC-32 of all that, leaf. All big-endian.
 */
export function encodeFrame({ index, leaf, hash }: PendingLeaf, durable: number): Buffer {
  if (leaf.length > MAX_ENTRY_BYTES)
    throw new RangeError(`leaf of ${leaf.length} bytes (at most ${MAX_ENTRY_BYTES})`)
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + leaf.length)
  MAGIC.copy(frame)
  frame.writeUInt32BE(leaf.length, LENGTH_AT)
  frame.writeUIntBE(index, INDEX_AT, 6)
  frame.writeUIntBE(durable, DURABLE_AT, 6)
  hash.copy(frame, HASH_AT)
  frame.writeUInt32BE(crc32(frame.subarray(0, CRC_AT)), CRC_AT)
  leaf.copy(frame, FRAME_HEADER_BYTES)
  return frame
}

/** Reads a journal up to the first byte that is not a frame in a row, and looks behind it. Never throws. */
export function scanPending(bytes: Buffer): PendingScan {
  const leaves: PendingLeaf[] = []
  let at = 0
  for (;;) {
    const frame = frameAt(bytes, at)
    const last = leaves.at(-1)
    if (frame === undefined || (last !== undefined && frame.index !== last.index + 1)) break
    leaves.push(frame)
    at += FRAME_HEADER_BYTES + frame.leaf.length
  }
  return { leaves, goodBytes: at, tornBytes: bytes.length - at, ...lookBehind(bytes, at) }
}

function lookBehind(bytes: Buffer, torn: number): Pick<PendingScan, 'resumesAt' | 'durableBehind'> {
  let resumesAt: number | undefined
  let durableBehind = 0
  let at = bytes.indexOf(MAGIC, torn)
  while (at >= 0) {
    const frame = frameAt(bytes, at)
    if (frame !== undefined) {
      resumesAt ??= frame.index
      durableBehind = Math.max(durableBehind, frame.durable)
    }
    at = bytes.indexOf(MAGIC, at + (frame === undefined ? 1 : FRAME_HEADER_BYTES + frame.leaf.length))
  }
  return { resumesAt, durableBehind }
}

function frameAt(bytes: Buffer, at: number): (PendingLeaf & { readonly durable: number }) | undefined {
  const body = at + FRAME_HEADER_BYTES
  if (body > bytes.length || !bytes.subarray(at, at + MAGIC.length).equals(MAGIC)) return undefined
  // The header's own checksum first: it is cheap, so a hostile journal cannot make us hash at every byte.
  if (crc32(bytes.subarray(at, at + CRC_AT)) !== bytes.readUInt32BE(at + CRC_AT)) return undefined
  const end = body + bytes.readUInt32BE(at + LENGTH_AT)
  if (end > bytes.length) return undefined
  const leaf = bytes.subarray(body, end)
  const hash = leafHash(leaf)
  if (!hash.equals(bytes.subarray(at + HASH_AT, at + HASH_AT + HASH_BYTES))) return undefined
  return {
    index: bytes.readUIntBE(at + INDEX_AT, 6),
    leaf,
    hash,
    durable: bytes.readUIntBE(at + DURABLE_AT, 6),
  }
}

/**
 * Index of the first record that was durable and can no longer be read; a torn last batch is no damage.
 * @param signed records under a checkpoint that is not newer than the journal: they were durable before it
 */
export function damagedAt(scan: PendingScan, signed: number): number | undefined {
  const last = scan.leaves.at(-1)
  // Without a whole frame in front, the torn record is the one before the next whole frame.
  const torn = last === undefined ? (scan.resumesAt ?? Infinity) - 1 : last.index + 1
  return torn < Math.max(signed, scan.durableBehind) ? torn : undefined
}
