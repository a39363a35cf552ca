import { join } from 'node:path'
import { PENDING, encodeFrame } from '@callgate/evidence'
import type { PendingLeaf } from '@callgate/evidence'
import { writeDurably } from './disk.ts'
import type { Disk, DiskFile } from './disk.ts'

/** The append-only file of records that no checkpoint covers yet. One caller at a time. */
export class Journal {
  readonly #disk: Disk
  readonly #directory: string
  #file: DiskFile | undefined
  /** Bytes known to be durable. What stands behind them is nothing. */
  #goodBytes: number
  #nameDurable = true

  private constructor(disk: Disk, directory: string, goodBytes: number) {
    this.#disk = disk
    this.#directory = directory
    this.#goodBytes = goodBytes
  }

  /**
   * A fresh journal of these leaves in place of the one in the directory. Their bytes are written anew and synced,
   * since what a dead process left in the page cache need not be on the disk.
   */
  static async replace(disk: Disk, directory: string, leaves: readonly PendingLeaf[]): Promise<Journal> {
    const journal = new Journal(disk, directory, 0)
    await journal.rotate(leaves)
    return journal
  }

  /** Durable bytes in the file. */
  get bytes(): number {
    return this.#goodBytes
  }

  /**
   * Appends leaves. They are durable when it resolves; when it rejects none of them counts, and the next call begins
   * by cutting off what may have been written.
   * @param durable count of records that were durable before
   */
  async append(leaves: readonly PendingLeaf[], durable: number): Promise<void> {
    const bytes = Buffer.concat(leaves.map((leaf) => encodeFrame(leaf, durable)))
    try {
      const file = await this.#open()
      await file.write(bytes, this.#goodBytes)
      if (!this.#nameDurable) await this.#syncName()
    } catch (error) {
      // After a failed fsync the kernel may hold the pages as clean: they are written again through a new handle.
      await this.#drop()
      throw error
    }
    this.#goodBytes += bytes.length
  }

  /** Puts a new file with these leaves, durable ones, in place of the old one. On an error the old one stays. */
  async rotate(leaves: readonly PendingLeaf[]): Promise<void> {
    const path = join(this.#directory, PENDING)
    // The new file only gets its name after a sync, so all of its frames may call themselves durable.
    const durable = (leaves.at(-1)?.index ?? -1) + 1
    const bytes = Buffer.concat(leaves.map((leaf) => encodeFrame(leaf, durable)))
    await writeDurably(this.#disk, `${path}.new`, bytes)
    await this.#disk.rename(`${path}.new`, path)
    await this.#drop()
    this.#goodBytes = bytes.length
    // Until the name is durable a crash may bring the old file back, so no append resolves before it is.
    this.#nameDurable = false
    await this.#syncName()
  }

  async close(): Promise<void> {
    await this.#drop()
  }

  async #open(): Promise<DiskFile> {
    if (this.#file !== undefined) return this.#file
    const file = await this.#disk.open(join(this.#directory, PENDING), 'durable')
    this.#file = file
    const size = await file.size()
    if (size < this.#goodBytes) {
      throw new Error(
        `evidence: \`pending\` has ${size} bytes, ${this.#goodBytes} were durable; somebody cut it`,
      )
    }
    if (size > this.#goodBytes) await file.truncate(this.#goodBytes)
    return file
  }

  async #syncName(): Promise<void> {
    await this.#disk.syncDirectory(this.#directory)
    this.#nameDurable = true
  }

  async #drop(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    try {
      await file?.close()
    } catch {
      // Nothing hangs on it: what was not synced does not count.
    }
  }
}
