import { mkdir, open, readFile, readdir, rename, rmdir, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { systemCode } from './evidence-errors.ts'

/** An open file. A write is durable only after datasync, and its name only after syncDirectory. */
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
  /** `keep` opens or creates, `replace` also empties. New files have mode 0600. */
  open(path: string, mode: 'keep' | 'replace'): Promise<DiskFile>
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
  open: async (path, mode) => {
    try {
      return fileOf(await open(path, mode === 'keep' ? 'r+' : 'w', 0o600))
    } catch (error) {
      if (mode === 'keep' && systemCode(error) === 'ENOENT') return fileOf(await open(path, 'wx+', 0o600))
      throw error
    }
  },
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
    const directory = await open(path, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  },
}

function fileOf(handle: FileHandle): DiskFile {
  return {
    size: async () => (await handle.stat()).size,
    write: async (bytes, position) => {
      let done = 0
      while (done < bytes.length) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done)
        if (bytesWritten === 0) throw new Error('disk: a write wrote nothing')
        done += bytesWritten
      }
    },
    datasync: () => handle.datasync(),
    truncate: (size) => handle.truncate(size),
    close: () => handle.close(),
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
