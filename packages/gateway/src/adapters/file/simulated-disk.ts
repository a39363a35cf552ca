import { dirname } from 'node:path'
import type { Disk, DiskFile } from './disk.ts'

// For tests: a disk that can lose power, fill up, fail and hang.

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What an operation comes to: an error to reject with, `hang` to never come back, undefined to work. */
export type Fault = Error | 'hang' | undefined

/** What the disk is to do. */
export interface SimulatedDiskOptions {
  readonly random?: () => number
  /** Operation, counted from 1, in which the power goes: it and all later ones never come back. */
  readonly crashAt?: number
  /** False: fdatasync and directory syncs say yes and do nothing, as if they had been taken out. */
  readonly syncs?: boolean
  /** Asked before each operation. */
  readonly fault?: (operation: string, path: string) => Fault
}

interface Inode {
  /** What reads see: the page cache. */
  current: Buffer
  /** What a power cut leaves for certain. */
  durable: Buffer
  /** Writes and truncations since the last sync. */
  unsynced: ({ readonly at: number; readonly bytes: Buffer } | { readonly size: number })[]
}

type Entry = Inode | 'directory'
type NameChange = readonly (readonly [path: string, entry: Entry | undefined])[]

const SECTOR = 512

/** An error as the file system raises it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(code), { code })
}

/**
 * A disk in memory which keeps unsynced bytes and names apart, as ext4 may after a power cut: of a file's unsynced
 * sectors any subset arrives; of a directory's unsynced changes the first few do, in order.
 */
export class SimulatedDisk implements Disk {
  readonly options: SimulatedDiskOptions
  /** Operations so far. */
  operations = 0
  /** fdatasync calls so far. */
  syncs = 0
  /** Bytes that the disk holds at most. */
  capacity = Infinity
  /** Every checkpoint that readers could ever see, also one whose rename a crash took back. */
  readonly checkpoints: Buffer[] = []
  readonly crashed: Promise<void>
  readonly #names: Map<string, Entry>
  readonly #durableNames: Map<string, Entry>
  readonly #unsyncedNames = new Map<string, NameChange[]>()
  #crash: () => void = () => undefined
  #dead = false

  constructor(options: SimulatedDiskOptions = {}, names: Map<string, Entry> = new Map()) {
    this.options = options
    this.#names = new Map(names)
    this.#durableNames = new Map(names)
    this.crashed = new Promise((resolve) => {
      this.#crash = resolve
    })
  }

  /** The disk as the next process finds it. `power: false` is kill -9: the kernel lives and nothing is lost. */
  restart(options: SimulatedDiskOptions, power: boolean): SimulatedDisk {
    this.#dead = true
    if (!power) return new SimulatedDisk(options, this.#names)
    const random = this.options.random ?? Math.random
    for (const changes of this.#unsyncedNames.values()) {
      const arrived = Math.floor(random() * (changes.length + 1))
      for (const change of changes.slice(0, arrived)) apply(this.#durableNames, change)
    }
    const names = new Map<string, Entry>()
    for (const [path, entry] of [...this.#durableNames].sort(([a], [b]) => a.length - b.length)) {
      // A name whose directory did not arrive is gone with it.
      if (dirname(path) !== '/' && names.get(dirname(path)) !== 'directory') continue
      if (entry === 'directory') {
        names.set(path, entry)
        continue
      }
      const bytes = afterPowerCut(entry, random)
      names.set(path, { current: bytes, durable: bytes, unsynced: [] })
    }
    return new SimulatedDisk(options, names)
  }

  /** The bytes of all files, by path. */
  files(): Map<string, Buffer> {
    const files = new Map<string, Buffer>()
    for (const [path, entry] of this.#names) if (entry !== 'directory') files.set(path, entry.current)
    return files
  }

  open(path: string, mode: 'durable' | 'replace'): Promise<DiskFile> {
    return this.#operation('open', path, () => {
      const found = this.#names.get(path)
      if (found === 'directory') throw systemError('EISDIR')
      const inode = found ?? { current: Buffer.alloc(0), durable: Buffer.alloc(0), unsynced: [] }
      if (found === undefined) {
        if (this.#names.get(dirname(path)) !== 'directory') throw systemError('ENOENT')
        this.#rename([[path, inode]])
      }
      if (mode === 'replace') truncate(inode, 0)
      return this.#file(path, inode, mode === 'durable')
    })
  }

  #file(path: string, inode: Inode, durable: boolean): DiskFile {
    const write = (bytes: Buffer, position: number): Promise<void> =>
      this.#operation('write', path, () => {
        const room = this.capacity === Infinity ? Infinity : this.capacity - this.#used()
        const grows = position + bytes.length - inode.current.length
        // A full disk takes what fits: the next reader finds half a frame.
        const taken = grows <= room ? bytes : bytes.subarray(0, Math.max(0, bytes.length - (grows - room)))
        patch(inode, position, Buffer.from(taken))
        if (taken.length < bytes.length) throw systemError('ENOSPC')
      })
    const datasync = (): Promise<void> =>
      this.#operation('datasync', path, () => {
        this.syncs++
        if (this.options.syncs === false) return
        inode.durable = inode.current
        inode.unsynced = []
      })
    return {
      size: () => this.#operation('size', path, () => inode.current.length),
      // What O_DSYNC does inside the kernel: the power may go between the two.
      write: durable ? (bytes, position) => write(bytes, position).then(datasync) : write,
      datasync,
      truncate: (size) => this.#operation('truncate', path, () => truncate(inode, size)),
      close: () => this.#operation('close', path, () => undefined),
    }
  }

  read(path: string): Promise<Buffer | undefined> {
    return this.#operation('read', path, () => {
      const found = this.#names.get(path)
      return found === 'directory' || found === undefined ? undefined : Buffer.from(found.current)
    })
  }

  list(path: string): Promise<string[]> {
    return this.#operation('list', path, () => this.#in(path))
  }

  makeDirectory(path: string): Promise<boolean> {
    return this.#operation('makeDirectory', path, () => {
      if (this.#names.has(path)) return false
      if (dirname(path) !== '/' && this.#names.get(dirname(path)) !== 'directory') throw systemError('ENOENT')
      this.#rename([[path, 'directory']])
      return true
    })
  }

  removeDirectory(path: string): Promise<void> {
    return this.#operation('removeDirectory', path, () => {
      if (this.#in(path).length > 0) throw systemError('ENOTEMPTY')
      this.#rename([[path, undefined]])
    })
  }

  rename(from: string, to: string): Promise<void> {
    return this.#operation('rename', to, () => {
      const entry = this.#names.get(from)
      if (entry === undefined) throw systemError('ENOENT')
      if (to.endsWith('/checkpoint') && entry !== 'directory') this.checkpoints.push(entry.current)
      this.#rename([
        [from, undefined],
        [to, entry],
      ])
    })
  }

  unlink(path: string): Promise<void> {
    return this.#operation('unlink', path, () => {
      if (!this.#names.has(path)) throw systemError('ENOENT')
      this.#rename([[path, undefined]])
    })
  }

  syncDirectory(path: string): Promise<void> {
    return this.#operation('syncDirectory', path, () => {
      if (this.options.syncs === false) return
      for (const change of this.#unsyncedNames.get(path) ?? []) apply(this.#durableNames, change)
      this.#unsyncedNames.delete(path)
    })
  }

  async #operation<T>(name: string, path: string, work: () => T): Promise<T> {
    await Promise.resolve()
    if (this.#dead) return never()
    this.operations++
    const fault = this.options.fault?.(name, path)
    if (fault === 'hang') return never()
    if (fault !== undefined) throw fault
    if (this.operations !== this.options.crashAt) return work()
    // The power goes in the middle: the operation may have been handed down or not.
    if ((this.options.random ?? Math.random)() < 0.5) work()
    this.#dead = true
    this.#crash()
    return never()
  }

  #rename(change: NameChange): void {
    apply(this.#names, change)
    const folder = dirname(change[0]?.[0] ?? '/')
    this.#unsyncedNames.set(folder, [...(this.#unsyncedNames.get(folder) ?? []), change])
  }

  #in(path: string): string[] {
    const prefix = `${path}/`
    const below = [...this.#names.keys()].filter((name) => name.startsWith(prefix))
    return below.map((name) => name.slice(prefix.length)).filter((name) => !name.includes('/'))
  }

  #used(): number {
    let used = 0
    for (const bytes of this.files().values()) used += bytes.length
    return used
  }
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined)
}

function apply(names: Map<string, Entry>, change: NameChange): void {
  for (const [path, entry] of change) {
    if (entry === undefined) names.delete(path)
    else names.set(path, entry)
  }
}

function patch(inode: Inode, at: number, bytes: Buffer): void {
  inode.unsynced.push({ at, bytes })
  inode.current = patched(inode.current, at, bytes)
}

function truncate(inode: Inode, size: number): void {
  inode.unsynced.push({ size })
  inode.current = inode.current.subarray(0, size)
}

function patched(bytes: Buffer, at: number, patch: Buffer): Buffer {
  const out = Buffer.alloc(Math.max(bytes.length, at + patch.length))
  bytes.copy(out)
  patch.copy(out, at)
  return out
}

/** Durable bytes plus any subset of the unsynced sectors; some crashes lose all, some nothing. */
function afterPowerCut(inode: Inode, random: () => number): Buffer {
  let bytes = inode.durable
  const chance = [0, 1, random(), 0.5][Math.floor(random() * 4)] ?? 0.5
  for (const change of inode.unsynced) {
    if ('size' in change) {
      if (random() < chance) bytes = bytes.subarray(0, change.size)
      continue
    }
    for (let from = 0; from < change.bytes.length;) {
      const to = Math.min(change.bytes.length, from + SECTOR - ((change.at + from) % SECTOR))
      if (random() < chance) bytes = patched(bytes, change.at + from, change.bytes.subarray(from, to))
      from = to
    }
  }
  return bytes
}
