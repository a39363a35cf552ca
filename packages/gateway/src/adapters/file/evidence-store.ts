import { dirname, join } from 'node:path'
import { verifierKeyText } from '@callgate/evidence'
import type { PendingLeaf } from '@callgate/evidence'
import { makeDirectories, replaceDurably } from './disk.ts'
import type { Disk } from './disk.ts'
import type { Journal } from './evidence-journal.ts'
import { recover } from './evidence-recovery.ts'
import { signLeaves } from './evidence-tree.ts'
import type { LogSigner, SignedTree } from './evidence-tree.ts'

const MAX_SIGNED_AT_ONCE = 1024
/** Journal size from which a new one is begun, in bytes. */
export const ROTATE_BYTES = 4 * 1024 * 1024

/** A leaf on its way into the log. */
export interface NewLeaf {
  readonly leaf: Buffer
  readonly hash: Buffer
}

/**
 * The log on a disk: journal, tree, and the durable records between the two. `append` and `rotate` exclude each other,
 * `sign` may run beside them; the caller sees to it.
 */
export class EvidenceStore {
  readonly #disk: Disk
  readonly #directory: string
  readonly #signer: LogSigner
  readonly #journal: Journal
  readonly #folders: Set<string>
  #tree: SignedTree
  /** Durable records that no checkpoint covers, in order. */
  readonly #unsigned: PendingLeaf[]
  #unsignedBytes: number
  /** Bytes of a torn last batch that the start cut off. */
  readonly tornBytes: number

  private constructor(
    place: { readonly disk: Disk; readonly directory: string; readonly signer: LogSigner },
    folders: Set<string>,
    found: Awaited<ReturnType<typeof recover>>,
  ) {
    this.#disk = place.disk
    this.#directory = place.directory
    this.#signer = place.signer
    this.#folders = folders
    this.#journal = found.journal
    this.#tree = found.tree
    this.#unsigned = [...found.unsigned]
    this.#unsignedBytes = bytesOf(found.unsigned)
    this.tornBytes = found.tornBytes
  }

  /** Opens or creates a log. @throws EvidenceCorrupt, or the disk's error */
  static async open(disk: Disk, directory: string, signer: LogSigner): Promise<EvidenceStore> {
    // `state/` and what is above it is the operator's.
    const folders = new Set([dirname(dirname(dirname(directory)))])
    await makeDirectories(disk, directory, folders)
    const found = await recover(disk, directory, signer)
    const verifierKey = verifierKeyText(signer.name, signer.key.publicKey)
    await replaceDurably(disk, join(directory, 'vkey'), Buffer.from(`${verifierKey}\n`))
    return new EvidenceStore({ disk, directory, signer }, folders, found)
  }

  get unsignedRecords(): number {
    return this.#unsigned.length
  }

  get unsignedBytes(): number {
    return this.#unsignedBytes
  }

  /** Makes leaves durable in the journal with one write and one fdatasync; when it rejects none of them counts. */
  async append(leaves: readonly NewLeaf[]): Promise<void> {
    const durable = this.#tree.edge.size + this.#unsigned.length
    const pending = leaves.map(({ leaf, hash }, i) => ({ index: durable + i, leaf, hash }))
    await this.#journal.append(pending, durable)
    this.#unsigned.push(...pending)
    this.#unsignedBytes += bytesOf(pending)
  }

  /** Brings up to 1,024 durable records under a checkpoint. On an error nothing changed. */
  async sign(): Promise<void> {
    const leaves = this.#unsigned.slice(0, MAX_SIGNED_AT_ONCE)
    if (leaves.length === 0) return
    const tree = await signLeaves(
      this.#disk,
      this.#directory,
      this.#signer,
      this.#tree,
      leaves,
      this.#folders,
    )
    // Both in one tick: append counts the durable records by their sum.
    this.#tree = tree
    this.#unsigned.splice(0, leaves.length)
    this.#unsignedBytes -= bytesOf(leaves)
  }

  /** Whether the journal is over that many bytes and mostly signed records. */
  rotationDue(bytes: number = ROTATE_BYTES): boolean {
    return this.#journal.bytes > bytes + 2 * this.#unsignedBytes
  }

  /** Starts a new journal with the unsigned records only. On an error the old one stays. */
  async rotate(): Promise<void> {
    await this.#journal.rotate(this.#unsigned)
  }

  async close(): Promise<void> {
    await this.#journal.close()
  }
}

function bytesOf(leaves: readonly PendingLeaf[]): number {
  return leaves.reduce((sum, { leaf }) => sum + leaf.length, 0)
}
