import { join } from 'node:path'
import { CHECKPOINT, PENDING, damagedAt, scanPending, verifierKeyText } from '@callgate/evidence'
import type { PendingLeaf } from '@callgate/evidence'
import type { Disk } from './disk.ts'
import { EvidenceCorrupt } from './evidence-errors.ts'
import { Journal } from './evidence-journal.ts'
import { loadTree, signEmpty } from './evidence-tree.ts'
import type { LogSigner, SignedTree } from './evidence-tree.ts'

/** What a log is after a start: all that was ever acknowledged, and nothing torn. */
export interface Recovered {
  readonly tree: SignedTree
  /** Durable records beyond the checkpoint. */
  readonly unsigned: readonly PendingLeaf[]
  readonly journal: Journal
  /** Bytes of a torn last batch that were cut off; nobody was told that they were durable. */
  readonly tornBytes: number
}

/**
 * Brings a log back after any crash: last checkpoint, its right edge, then the journal beyond it.
 * @throws EvidenceCorrupt when something that was durable is damaged, missing or changed
 */
export async function recover(disk: Disk, directory: string, signer: LogSigner): Promise<Recovered> {
  const path = join(directory, PENDING)
  const bytes = await disk.read(path)
  const found = await loadTree(disk, directory, verifierKeyText(signer.name, signer.key.publicKey))
  if (found === undefined) return create(disk, directory, signer, bytes)
  const tree = found
  // The journal is made before the first checkpoint and replaced by rename: it is never away for a moment.
  if (bytes === undefined) {
    throw new EvidenceCorrupt(
      `evidence: \`${path}\` is missing beside a checkpoint of ${tree.edge.size} records; restore it, or create it empty to accept the loss of unsigned records`,
    )
  }
  const scan = scanPending(bytes)
  const { size } = tree.edge
  const first = scan.leaves[0]
  if (first !== undefined && first.index > size) {
    throw new EvidenceCorrupt(
      `evidence: \`${path}\` begins with record ${first.index}, the checkpoint ends at ${size}; restore the records in between from a backup`,
    )
  }
  const damaged = damagedAt(scan, size)
  if (damaged !== undefined) {
    throw new EvidenceCorrupt(
      `evidence: \`${path}\` cannot be read at record ${damaged}, but ${Math.max(size, scan.durableBehind)} records were durable; restore it from a backup`,
    )
  }
  checkOverlap(scan.leaves, tree, path)
  const unsigned = scan.leaves.filter((leaf) => leaf.index >= size)
  return {
    tree,
    unsigned,
    journal: await Journal.replace(disk, directory, unsigned),
    tornBytes: scan.tornBytes,
  }
}

/** A new log: an empty journal, then the checkpoint of no records, both durable before the first record. */
async function create(
  disk: Disk,
  directory: string,
  signer: LogSigner,
  bytes: Buffer | undefined,
): Promise<Recovered> {
  const tiles = await disk.list(join(directory, 'tile'))
  if (tiles.length > 0 || (bytes !== undefined && bytes.length > 0)) {
    throw new EvidenceCorrupt(
      `evidence: \`${join(directory, CHECKPOINT)}\` is missing beside ${tiles.length > 0 ? 'tiles' : 'a journal with records'}; restore it from a backup, or give this gate a new directory`,
    )
  }
  const journal = await Journal.replace(disk, directory, [])
  return { tree: await signEmpty(disk, directory, signer), unsigned: [], journal, tornBytes: 0 }
}

/** Frames of signed records must be the signed ones, as far as the unfinished tile tells. */
function checkOverlap(leaves: readonly PendingLeaf[], tree: SignedTree, path: string): void {
  const edge = tree.edge.unfinished().find((tile) => tile.level === 0)
  if (edge === undefined) return
  const from = tree.edge.size - edge.width
  for (const { index, hash } of leaves) {
    const signed = edge.hashes[index - from]
    if (signed === undefined || signed.equals(hash)) continue
    throw new EvidenceCorrupt(
      `evidence: record ${index} in \`${path}\` has hash \`${hash.toString('hex')}\`, the signed one \`${signed.toString('hex')}\`; restore \`pending\` from a backup`,
    )
  }
}
