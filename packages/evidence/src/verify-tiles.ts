import type { Checkpoint } from './checkpoint.ts'
import { readTile } from './log-reader.ts'
import type { LogReader } from './log-reader.ts'
import { leafHash } from './merkle.ts'
import { TILE_WIDTH, decodeEntries, decodeTile, entriesPath, tilePath } from './tiles.ts'
import { TreeEdge } from './tree-edge.ts'
import type { FilledTile } from './tree-edge.ts'

/** Something wrong with a log. */
export interface Problem {
  /** File, and record where it is one record. */
  readonly where: string
  readonly what: string
  readonly fix: string
}

/** Told about each problem as it is found. */
export type Report = (problem: Problem) => void

/** A leaf of the tree with its index. */
export interface IndexedLeaf {
  readonly index: number
  readonly leaf: Buffer
}

const RESTORE = 'restore the file from a replica or backup; until then trust nothing that it covers'

/**
 * Reads all leaves under a checkpoint in order and checks on the way that bundles, tiles of every level and root say
 * the same. Memory does not grow with the log. Source: C2SP tlog-tiles.
 * @returns (as the generator's value) the root that the entry bundles give; undefined when a bundle was unreadable
 */
export async function* verifiedLeaves(
  reader: LogReader,
  checkpoint: Checkpoint,
  report: Report,
): AsyncGenerator<IndexedLeaf, Buffer | undefined> {
  const edge = TreeEdge.empty()
  let whole = true
  for (let bundle = 0; bundle * TILE_WIDTH < checkpoint.size; bundle++) {
    const width = Math.min(TILE_WIDTH, checkpoint.size - bundle * TILE_WIDTH)
    const leaves = await readBundle(reader, bundle, width, report)
    const stored = leaves === undefined ? await readHashes(reader, 0, bundle, width, report) : undefined
    const hashes = leaves?.map(leafHash) ?? stored
    if (leaves === undefined) whole = false
    // Without bundle and tile nothing to the right can be checked against the root.
    if (hashes === undefined) return undefined
    for (const [i, hash] of hashes.entries()) {
      const leaf = leaves?.[i]
      if (leaf !== undefined) yield { index: bundle * TILE_WIDTH + i, leaf }
      for (const tile of edge.append(hash)) await compareTile(reader, tile, report)
    }
  }
  for (const tile of edge.unfinished()) await compareTile(reader, tile, report)
  const root = edge.root()
  if (!root.equals(checkpoint.root)) {
    report({
      where: 'checkpoint',
      what: `the records give root \`${root.toString('base64')}\`, the checkpoint of size ${checkpoint.size} says \`${checkpoint.root.toString('base64')}\``,
      fix: 'records were changed, removed or reordered after signing; restore the log from a replica or backup',
    })
  }
  return whole ? root : undefined
}

async function readBundle(
  reader: LogReader,
  index: number,
  width: number,
  report: Report,
): Promise<Buffer[] | undefined> {
  const found = await readTile(reader, (w) => entriesPath(index, w), width)
  if (found === undefined) {
    report({ where: entriesPath(index, width), what: 'entry bundle is missing', fix: RESTORE })
    return undefined
  }
  const leaves = decodeEntries(found.bytes)
  if (leaves?.length !== found.width) {
    const held = leaves === undefined ? 'a leaf that is cut short' : `${leaves.length} leaves`
    report({
      where: found.path,
      what: `entry bundle holds ${held} (expected ${found.width} leaves)`,
      fix: RESTORE,
    })
    return undefined
  }
  return leaves.slice(0, width)
}

async function readHashes(
  reader: LogReader,
  level: number,
  index: number,
  width: number,
  report: Report,
): Promise<Buffer[] | undefined> {
  const found = await readTile(reader, (w) => tilePath(level, index, w), width)
  if (found === undefined) {
    report({ where: tilePath(level, index, width), what: 'tile is missing', fix: RESTORE })
    return undefined
  }
  const hashes = decodeTile(found.bytes, found.width)
  if (hashes === undefined) {
    const what = `tile has ${found.bytes.length} bytes (expected ${found.width} hashes of 32 bytes)`
    report({ where: found.path, what, fix: RESTORE })
  }
  return hashes?.slice(0, width)
}

async function compareTile(reader: LogReader, tile: FilledTile, report: Report): Promise<void> {
  const stored = await readHashes(reader, tile.level, tile.index, tile.width, report)
  const differs = stored?.findIndex((hash, i) => !hash.equals(tile.hashes[i] ?? Buffer.alloc(0))) ?? -1
  const found = stored?.[differs]
  const expected = tile.hashes[differs]
  if (found === undefined || expected === undefined) return
  report({
    where: tilePath(tile.level, tile.index, tile.width),
    what: `hash ${differs} is \`${found.toString('hex')}\`, the level below gives \`${expected.toString('hex')}\``,
    fix: 'tile or record was changed; restore both from a replica or backup and compare',
  })
}
