import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type KeptKey, readKeys } from './idempotency-line.ts'
import type { JournalDisk } from './replay-journal.ts'

/** A journal as it was when it was read. */
interface Read {
  readonly sign: string
  readonly keys: ReadonlyMap<string, KeptKey>
}

/** A key that another node holds, by its id and the seconds since the epoch. */
export type FindKey = (id: string, nowS: number) => KeptKey | undefined

/** Names of the journals of a state folder's nodes: `idempotency.journal`, `idempotency-1.journal` ... */
const JOURNAL = /^idempotency(?:-\d{1,3})?\.journal$/

/**
 * Longest that a call can run, in seconds (`servers.X.timeoutMs`). A key that another node began longer ago than that is not
 * running any more, whatever became of the node.
 */
const LONGEST_CALL_S = 3_600

/** The keys of the other nodes of a state folder, as far as their journals tell. Nothing of them is held here for longer than there. */
export class OtherJournals {
  readonly #own: string
  readonly #disk: JournalDisk
  #read = new Map<string, Read>()

  /** @param own path of this node's journal, whose folder holds the others */
  constructor(own: string, disk: JournalDisk) {
    this.#own = own
    this.#disk = disk
  }

  /**
   * Reads each journal that has changed since the last look.
   * @returns finds a key as it stood when this look began or later, whatever other looks go on beside it
   * @throws Error when one cannot be read: nobody knows then what runs
   */
  async look(): Promise<FindKey> {
    const folder = dirname(this.#own)
    const own = basename(this.#own)
    const names = (await readdir(folder)).filter((name) => JOURNAL.test(name) && name !== own)
    const read = await Promise.all(names.map((name) => this.#one(join(folder, name))))
    const seen = new Map(read.filter((one) => one !== undefined))
    this.#read = seen
    return (id, nowS) => found(seen.values(), id, nowS)
  }

  async #one(path: string): Promise<[string, Read] | undefined> {
    const sign = await signOf(path)
    // A node that ended for good may take its journal with it.
    if (sign === undefined) return undefined
    const before = this.#read.get(path)
    if (before?.sign === sign) return [path, before]
    const keys = new Map<string, KeptKey>()
    for (const key of readKeys(await this.#disk.read(path))) keys.set(key.id, key)
    return [path, { sign, keys }]
  }
}

/** A key that another node holds; where several know it, what ran counts before what may run. */
function found(journals: Iterable<Read>, id: string, nowS: number): KeptKey | undefined {
  let best: KeptKey | undefined
  for (const { keys } of journals) {
    const key = keys.get(id)
    if (key === undefined || key.state === 'free') continue
    const counted = counts(key, nowS)
    if (counted !== undefined && (best === undefined || counted.state === 'done')) best = counted
  }
  return best
}

/** What changes with each write and each new file. */
async function signOf(path: string): Promise<string | undefined> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true })
    return `${ino} ${size} ${mtimeNs}`
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** A key of another node as it counts now; undefined: not any more. */
function counts(key: KeptKey, nowS: number): KeptKey | undefined {
  if (key.state !== 'running') return key.until > nowS ? key : undefined
  if (key.until > nowS - LONGEST_CALL_S) return key
  return key.until > nowS - LONGEST_CALL_S - key.lifeS ? { ...key, state: 'unknown' } : undefined
}
