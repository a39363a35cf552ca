import { constants, close, fdatasync, fstat, fsync, ftruncate, open, write } from 'node:fs'
import { mkdir, readFile, readdir, rename, rmdir, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { systemCode } from './evidence-errors.ts'

/** An open file. A write is durable only after datasync, unless it was opened `durable`; its name only after syncDirectory. */
export interface DiskFile {
  size(): Promise<number>
  /** Writes all bytes at a position, or rejects; what stands there after a rejection is unknown. */
  write(bytes: Buffer, position: number): Promise<void>
  /** After a rejection the page cache must not be trusted: reopen, truncate, write again. */
  datasync(): Promise<void>
  truncate(size: number): Promise<void>
  close(): Promise<void>
}

/** The file operations that the evidence log needs; tests put a disk in their place that crashes. */
export interface Disk {
  /**
   * `durable` opens or creates, and each write is durable when it resolves; `replace` also empties, and needs datasync.
   * New files have mode 0600.
   */
  open(path: string, mode: 'durable' | 'replace'): Promise<DiskFile>
  /** @returns undefined when there is no such file */
  read(path: string): Promise<Buffer | undefined>
  /** Names in a directory; empty when there is none. */
  list(path: string): Promise<string[]>
  /** Creates one directory, mode 0700. @returns false when it is there already */
  makeDirectory(path: string): Promise<boolean>
  removeDirectory(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Makes creations, renames and removals in a directory durable. */
  syncDirectory(path: string): Promise<void>
}

/** The file system of this machine. */
export const realDisk: Disk = {
  open: (path, mode) => openFile(path, FLAGS[mode]),
  read: (path) => unlessAbsent(readFile(path), undefined),
  list: (path) => unlessAbsent(readdir(path), []),
  makeDirectory: async (path) => {
    try {
      await mkdir(path, { mode: 0o700 })
      return true
    } catch (error) {
      if (systemCode(error) === 'EEXIST') return false
      throw error
    }
  },
  removeDirectory: rmdir,
  rename,
  unlink,
  syncDirectory: async (path) => {
    const directory = await files.open(path, constants.O_RDONLY)
    try {
      await files.sync(directory)
    } finally {
      await files.close(directory)
    }
  },
}

// O_DSYNC is write and fdatasync in one trip to the thread pool: half of what a commit costs on this side.
const FLAGS = {
  durable: constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC,
  replace: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC,
} as const

// By descriptor: a FileHandle costs twice as much, and a commit waits for nothing else.
const files = {
  open: promisify(open),
  stat: promisify(fstat),
  write: promisify(write),
  sync: promisify(fsync),
  datasync: promisify(fdatasync),
  truncate: promisify(ftruncate),
  close: promisify(close),
}

async function openFile(path: string, flags: number): Promise<DiskFile> {
  const descriptor = await files.open(path, flags, 0o600)
  return {
    size: async () => (await files.stat(descriptor)).size,
    write: async (bytes, position) => {
      let done = 0
      while (done < bytes.length) {
        const { bytesWritten } = await files.write(
          descriptor,
          bytes,
          done,
          bytes.length - done,
          position + done,
        )
        if (bytesWritten === 0) throw new Error('disk: a write wrote nothing')
        done += bytesWritten
      }
    },
    datasync: () => files.datasync(descriptor),
    truncate: (size) => files.truncate(descriptor, size),
    close: () => files.close(descriptor),
  }
}

async function unlessAbsent<T, U>(pending: Promise<T>, absent: U): Promise<T | U> {
  try {
    return await pending
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return absent
    throw error
  }
}

/** Writes a file and makes its bytes durable; its name needs syncDirectory. */
export async function writeDurably(disk: Disk, path: string, bytes: Buffer): Promise<void> {
  const file = await disk.open(path, 'replace')
  try {
    await file.write(bytes, 0)
    await file.datasync()
  } finally {
    await file.close()
  }
}

/** Puts a file in place of another one: readers see the old or the new bytes, a crash leaves one of them. */
export async function replaceDurably(disk: Disk, path: string, bytes: Buffer): Promise<void> {
  await writeDurably(disk, `${path}.new`, bytes)
  await disk.rename(`${path}.new`, path)
  await disk.syncDirectory(dirname(path))
}

/**
 * Creates a directory with its parents, each durably. One that exists is synced too: its maker may have died before.
 * @param durable directories that need no more care; what is made here is added. It must hold one above `path`
 */
export async function makeDirectories(disk: Disk, path: string, durable: Set<string>): Promise<void> {
  const parent = dirname(path)
  if (durable.has(path) || parent === path) return
  await makeDirectories(disk, parent, durable)
  await disk.makeDirectory(path)
  await disk.syncDirectory(parent)
  durable.add(path)
}
