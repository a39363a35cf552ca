import { dirname, join } from 'node:path'
import {
  CHECKPOINT,
  NoteError,
  TILE_WIDTH,
  TreeEdge,
  checkpointText,
  decodeEntries,
  decodeTile,
  edgeTiles,
  encodeEntries,
  encodeTile,
  entriesPath,
  leafHash,
  noteOf,
  openCheckpoint,
  parseVerifierKey,
  tilePath,
} from '@callgate/evidence'
import type { FilledTile, PendingLeaf } from '@callgate/evidence'
import type { Signer } from '../../ports/signer.ts'
import { makeDirectories, replaceDurably, writeDurably } from './disk.ts'
import type { Disk } from './disk.ts'
import { EvidenceCorrupt, systemCode } from './evidence-errors.ts'

/** Who signs checkpoints, under which name. */
export interface LogSigner {
  readonly name: string
  readonly key: Signer
}

/** The signed part of the log, as far as it takes to go on: its right edge and the leaves of its unfinished bundle. */
export interface SignedTree {
  readonly edge: TreeEdge
  readonly bundle: readonly Buffer[]
}

/**
 * Loads the right edge under the last checkpoint and proves that it is what was signed.
 * @returns undefined when there is no checkpoint
 * @throws EvidenceCorrupt when checkpoint, tiles and bundle disagree: signing over it would fork the log
 */
export async function loadTree(
  disk: Disk,
  directory: string,
  verifierKey: string,
): Promise<SignedTree | undefined> {
  const path = join(directory, CHECKPOINT)
  const note = await disk.read(path)
  if (note === undefined) return undefined
  const { size, root } = readCheckpoint(note, path, verifierKey)
  const tiles: FilledTile[] = []
  for (const { level, index, width } of edgeTiles(size)) {
    const file = join(directory, tilePath(level, index, width))
    const bytes = await disk.read(file)
    const hashes = bytes === undefined ? undefined : decodeTile(bytes, width)
    if (hashes === undefined) {
      const found = bytes === undefined ? 'is missing' : `has ${bytes.length} bytes`
      throw new EvidenceCorrupt(
        `evidence: \`${file}\` ${found} (expected ${width} hashes of 32 bytes); ${RESTORE}`,
      )
    }
    tiles.push({ level, index, width, hashes })
  }
  const edge = TreeEdge.from(size, tiles)
  if (!edge.root().equals(root)) {
    throw new EvidenceCorrupt(
      `evidence: tiles in \`${directory}\` give root \`${edge.root().toString('base64')}\`, the checkpoint of size ${size} says \`${root.toString('base64')}\`; ${RESTORE}`,
    )
  }
  return { edge, bundle: await loadBundle(disk, directory, size, tiles) }
}

const RESTORE = 'run `callgate evidence verify`, then restore the directory from a backup or start a new one'

function readCheckpoint(note: Buffer, path: string, verifierKey: string): { size: number; root: Buffer } {
  try {
    return openCheckpoint(note, parseVerifierKey(verifierKey))
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause
    throw new EvidenceCorrupt(
      `evidence: \`${path}\`: ${cause.message}; this gate signs as \`${verifierKey}\`: restore its key or the checkpoint`,
      { cause },
    )
  }
}

async function loadBundle(
  disk: Disk,
  directory: string,
  size: number,
  tiles: readonly FilledTile[],
): Promise<readonly Buffer[]> {
  const width = size % TILE_WIDTH
  if (width === 0) return []
  const file = join(directory, entriesPath(Math.floor(size / TILE_WIDTH), width))
  const bytes = await disk.read(file)
  const leaves = bytes === undefined ? undefined : decodeEntries(bytes)
  const hashes = tiles.find((tile) => tile.level === 0)?.hashes ?? []
  if (leaves?.length !== width) {
    throw new EvidenceCorrupt(
      `evidence: \`${file}\` holds ${leaves?.length ?? 'no readable'} leaves (expected ${width}); ${RESTORE}`,
    )
  }
  for (const [i, leaf] of leaves.entries()) {
    const signed = hashes[i]
    const found = leafHash(leaf)
    if (signed === undefined || !signed.equals(found)) {
      throw new EvidenceCorrupt(
        `evidence: leaf ${i} of \`${file}\` has hash \`${found.toString('hex')}\`, its tile says \`${signed?.toString('hex') ?? 'nothing'}\`; ${RESTORE}`,
      )
    }
  }
  return leaves
}

async function signCheckpoint(edge: TreeEdge, { name, key }: LogSigner): Promise<Buffer> {
  const text = checkpointText({ origin: name, size: edge.size, root: edge.root() })
  return Buffer.from(noteOf(text, name, key.publicKey, await key.sign(Buffer.from(text))))
}

/** Signs the tree without leaves, so that a log without a checkpoint is one that lost it. */
export async function signEmpty(disk: Disk, directory: string, signer: LogSigner): Promise<SignedTree> {
  const edge = TreeEdge.empty()
  await replaceDurably(disk, join(directory, CHECKPOINT), await signCheckpoint(edge, signer))
  return { edge, bundle: [] }
}

/**
 * Brings durable leaves under a new checkpoint: bundles and tiles first, all durable, then the checkpoint by rename.
 * On an error the old tree still counts and the same call may be made again: files under the old checkpoint are never
 * written, and those beyond it always get the same bytes.
 * @param durable directories known to be durable (makeDirectories)
 * INVARIANT: leaves are durable in the journal before they come here, so no index is ever signed twice with two leaves.
 */
export async function signLeaves(
  disk: Disk,
  directory: string,
  signer: LogSigner,
  tree: SignedTree,
  leaves: readonly PendingLeaf[],
  durable: Set<string>,
): Promise<SignedTree> {
  const next = grow(tree, leaves)
  const paths = [...next.files.keys()]
  const folders = [...new Set(paths.map((path) => dirname(join(directory, path))))]
  for (const folder of folders) await makeDirectories(disk, folder, durable)
  // All settled before an error goes up: a write left behind would race with the next attempt.
  await allDone(
    paths.map((path) => writeDurably(disk, join(directory, path), next.files.get(path) ?? Buffer.alloc(0))),
  )
  await allDone(folders.map((folder) => disk.syncDirectory(folder)))
  await replaceDurably(disk, join(directory, CHECKPOINT), await signCheckpoint(next.edge, signer))
  for (const path of paths) await removeNarrower(disk, join(directory, path))
  return { edge: next.edge, bundle: next.bundle }
}

function grow(
  tree: SignedTree,
  leaves: readonly PendingLeaf[],
): SignedTree & { readonly files: ReadonlyMap<string, Buffer> } {
  const files = new Map<string, Buffer>()
  const edge = tree.edge.copy()
  let bundle = [...tree.bundle]
  for (const { leaf, hash, index } of leaves) {
    if (index !== edge.size)
      throw new TypeError(`evidence: leaf ${index} does not follow a tree of ${edge.size}`)
    bundle.push(leaf)
    for (const tile of edge.append(hash)) {
      files.set(tilePath(tile.level, tile.index), encodeTile(tile.hashes))
      if (tile.level > 0) continue
      files.set(entriesPath(tile.index), encodeEntries(bundle))
      bundle = []
    }
  }
  const signed = new Set(tree.edge.unfinished().map((tile) => tilePath(tile.level, tile.index, tile.width)))
  for (const tile of edge.unfinished()) {
    const path = tilePath(tile.level, tile.index, tile.width)
    if (!signed.has(path)) files.set(path, encodeTile(tile.hashes))
  }
  if (bundle.length > 0) {
    files.set(entriesPath(Math.floor(edge.size / TILE_WIDTH), bundle.length), encodeEntries(bundle))
  }
  return { edge, bundle, files }
}

/**
 * Removes partial tiles that a wider one replaces. C2SP keeps them until the tile is full; a log with one record a
 * second would then hold 255 copies of each bundle. A reader that finds one gone reads the wider one: it begins alike.
 */
async function removeNarrower(disk: Disk, path: string): Promise<void> {
  const partial = /^(.*\.p)\/(\d+)$/.exec(path)
  const folder = partial?.[1] ?? `${path}.p`
  const kept = partial?.[2]
  try {
    const names = await disk.list(folder)
    for (const name of names) if (name !== kept) await disk.unlink(join(folder, name))
    if (kept === undefined && names.length > 0) await disk.removeDirectory(folder)
  } catch (error) {
    // Left-overs are harmless and only cost room; everything else that fails here fails again where it matters.
    if (systemCode(error) === undefined) throw error
  }
}

async function allDone(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason
}
