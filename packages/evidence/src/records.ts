import { parseCheckpoint } from './checkpoint.ts'
import { CHECKPOINT, folderReader, readTile } from './log-reader.ts'
import type { LogReader } from './log-reader.ts'
import { parseNote } from './note.ts'
import { PENDING, scanPending } from './pending.ts'
import { decodeRecord } from './record.ts'
import type { EvidenceRecord } from './record.ts'
import { TILE_WIDTH, decodeEntries, entriesPath } from './tiles.ts'

/** A record as it stands in the log. */
export interface StoredRecord {
  readonly index: number
  readonly record: EvidenceRecord
  /** False for records of the journal that no checkpoint covers yet. */
  readonly signed: boolean
}

/**
 * Reads all records of a log in order, then its unsigned tail. For showing, not for proving: it checks no signature and
 * no hash; verifyLog does. Works beside a live gate; what is appended after the start is left out.
 * @param from index of the first record wanted
 * @throws NoteError, RecordError or Error naming the file when something cannot be read
 */
export async function* readRecords(log: string | LogReader, from = 0): AsyncGenerator<StoredRecord, void> {
  const reader = typeof log === 'string' ? folderReader(log) : log
  const journal = await reader.read(PENDING)
  const note = await reader.read(CHECKPOINT)
  const size = note === undefined ? 0 : parseCheckpoint(parseNote(note).text).size
  for (let bundle = Math.floor(from / TILE_WIDTH); bundle * TILE_WIDTH < size; bundle++) {
    const width = Math.min(TILE_WIDTH, size - bundle * TILE_WIDTH)
    const found = await readTile(reader, (w) => entriesPath(bundle, w), width)
    const leaves = found === undefined ? undefined : decodeEntries(found.bytes)
    if (leaves === undefined || leaves.length < width) {
      throw new Error(
        `entry bundle \`${entriesPath(bundle, width)}\` is missing or cut short; run the verifier`,
      )
    }
    for (const [i, leaf] of leaves.slice(0, width).entries()) {
      const index = bundle * TILE_WIDTH + i
      if (index >= from) yield { index, record: decodeRecord(leaf), signed: true }
    }
  }
  for (const { index, leaf } of scanPending(journal ?? Buffer.alloc(0)).leaves) {
    if (index >= Math.max(size, from)) yield { index, record: decodeRecord(leaf), signed: false }
  }
}
