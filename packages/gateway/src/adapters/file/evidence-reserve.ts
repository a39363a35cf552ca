import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { writeDurably } from './disk.ts'
import type { Disk } from './disk.ts'

/** Bytes kept free for records of refusals on a full disk. */
export const RESERVE_BYTES = 256 * 1024

/** A file that only takes room. When the disk is full it is given up, so that what is refused can still be recorded. */
export class EvidenceReserve {
  readonly #disk: Disk
  readonly #path: string
  readonly #bytes: number
  #held = false
  /** Why the last restore failed. */
  fault: unknown

  constructor(disk: Disk, directory: string, bytes: number = RESERVE_BYTES) {
    this.#disk = disk
    this.#bytes = bytes
    this.#path = join(directory, 'reserve')
  }

  /** Gives up what an earlier process held, so that a start on a full disk has room to recover. */
  async forget(): Promise<void> {
    await this.#remove()
  }

  /** Takes the room again. @returns false when the disk does not give it */
  async restore(): Promise<boolean> {
    if (this.#held) return true
    try {
      // Random bytes: zeros would take no room on a file system that compresses.
      await writeDurably(this.#disk, this.#path, randomBytes(this.#bytes))
      this.#held = true
    } catch (error) {
      this.fault = error
      await this.#remove()
    }
    return this.#held
  }

  /** Gives the room up. @returns false when there was none to give */
  async spend(): Promise<boolean> {
    if (!this.#held) return false
    this.#held = false
    return this.#remove()
  }

  async #remove(): Promise<boolean> {
    try {
      await this.#disk.unlink(this.#path)
      return true
    } catch {
      // A read-only disk keeps it; the write that wanted the room reports the fault.
      return false
    }
  }
}
