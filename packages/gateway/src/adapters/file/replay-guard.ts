import type { Claim, ReplayGuard } from '../../ports/replay-guard.ts'
import type { JournalDisk, JournalEntry, JournalFile } from './replay-journal.ts'
import { journalDisk, journalLine, readJournal } from './replay-journal.ts'

/** Bounds of the guard. */
export interface ReplayGuardOptions {
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
  /** Claims that are held at once; a further one is refused, because forgetting one would let it replay. Default 1,000,000. */
  readonly maxEntries?: number
  /** Seconds that a claim is kept after its end, while there is room: a clock that jumps back does not make it new. Default 600. */
  readonly graceS?: number
  /** Forgotten claims that the journal may hold beyond as many as live ones; then it is rewritten. Default 100,000. */
  readonly maxDead?: number
  /** Default the real disk. */
  readonly disk?: JournalDisk
}

/** A replay guard with a life. */
export interface RunningReplayGuard extends ReplayGuard {
  /** Claims held. */
  readonly size: number
  close(): Promise<void>
}

interface Entry extends JournalEntry {
  binding: string
  /** Settles when the claim is durable; undefined once it is. */
  durable: Promise<void> | undefined
}

/** Stands for a binding that no token has: nobody holds the claim any more. */
const REVOKED = '!'

/** Width of one bucket of ends, in seconds. */
const BUCKET_S = 16

/** Claims in one write of a rewrite. */
const CHUNK_LINES = 1_000

/**
 * Replay guard of one node: a map, and a journal that is durable before `first` is answered. Claims that come while a write
 * is under way share the next one (group commit). Opening it rewrites the journal without what is dead or torn.
 * @throws Error when the journal cannot be read or rewritten
 */
export async function openReplayGuard(
  path: string,
  options: ReplayGuardOptions = {},
): Promise<RunningReplayGuard> {
  const guard = new FileReplayGuard(path, options)
  await guard.load()
  return guard
}

class FileReplayGuard implements RunningReplayGuard {
  readonly #entries = new Map<string, Entry>()
  /** Entries by the end of their life, so that forgetting reads no live ones. */
  readonly #buckets = new Map<number, Entry[]>()
  readonly #path: string
  readonly #now: () => number
  readonly #maxEntries: number
  readonly #graceS: number
  readonly #maxDead: number
  readonly #disk: JournalDisk
  #file: JournalFile | undefined
  #queue: { entry: Entry; done: () => void; failed: (cause: Error) => void; undo: () => void }[] = []
  #writing: Promise<void> | undefined
  /** Lines in the journal that no live entry needs. */
  #dead = 0
  #sweptAt = 0
  #closed = false

  constructor(path: string, options: ReplayGuardOptions) {
    this.#path = path
    this.#now = options.now ?? Date.now
    this.#maxEntries = options.maxEntries ?? 1_000_000
    this.#graceS = options.graceS ?? 600
    this.#maxDead = options.maxDead ?? 100_000
    this.#disk = options.disk ?? journalDisk
  }

  get size(): number {
    return this.#entries.size
  }

  async load(): Promise<void> {
    const text = await this.#disk.read(this.#path)
    const horizon = this.#now() / 1_000 - this.#graceS
    for (const entry of readJournal(text)) {
      if (entry.exp <= horizon) continue
      const known = this.#entries.get(entry.jti)
      // The first claim wins here as it did then: a second line of one id comes from a write that failed, or from a revocation.
      if (known === undefined) this.#hold({ ...entry, durable: undefined })
      else if (entry.binding === REVOKED) known.binding = REVOKED
    }
    await this.#rewrite()
  }

  // INVARIANT: between the look and the hold nothing is awaited, so of any number of claims at once one is first.
  async claim(jti: string, exp: number, binding: string): Promise<Claim> {
    this.#check(jti, exp, binding)
    if (binding === REVOKED) throw new TypeError(`\`${REVOKED}\` is no binding`)
    this.#sweep()
    const known = this.#entries.get(jti)
    if (known !== undefined) {
      // The winner may still be on its way to the disk: before that nobody knows that it won.
      if (known.durable !== undefined) await known.durable
      if (known.binding === REVOKED) return 'revoked'
      return known.binding === binding ? 'same' : 'replay'
    }
    const entry = this.#newEntry(jti, exp, binding)
    entry.durable = this.#written(entry, () => this.#entries.delete(jti))
    await entry.durable
    return 'first'
  }

  async revoke(jti: string, exp: number): Promise<void> {
    this.#check(jti, exp, REVOKED)
    // Whatever the disk says: nobody gets it any more in this process.
    const entry = this.#entries.get(jti) ?? this.#newEntry(jti, exp, REVOKED)
    entry.binding = REVOKED
    this.#dead++
    await this.#written(entry, () => undefined)
  }

  #check(jti: string, exp: number, binding: string): void {
    if (this.#closed) throw new Error('replay guard is closed')
    if (/^\S{1,128}$/.test(jti) && /^\S{1,128}$/.test(binding) && Number.isSafeInteger(exp) && exp >= 0)
      return
    throw new TypeError(
      'a claim has an id and a binding of 1 to 128 characters without spaces and whole seconds',
    )
  }

  /** @throws Error when there is no room */
  #newEntry(jti: string, exp: number, binding: string): Entry {
    if (this.#entries.size >= this.#maxEntries) this.#forget(this.#now() / 1_000)
    if (this.#entries.size >= this.#maxEntries) {
      throw new Error(
        `replay guard holds ${this.#entries.size} claims and no more (maxEntries); shorten token lives or raise it`,
      )
    }
    const entry: Entry = { jti, exp, binding, durable: undefined }
    this.#hold(entry)
    return entry
  }

  /** Resolves when the entry stands in the journal as it is now. @param undo what a failed write takes back */
  #written(entry: Entry, undo: () => void): Promise<void> {
    const written = new Promise<void>((done, failed) => this.#queue.push({ entry, done, failed, undo }))
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined))
    return written
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#writing
    await this.#file?.close()
    this.#file = undefined
  }

  /** Writes until nobody waits; each turn takes all that came during the last one. Never rejects. */
  async #write(): Promise<void> {
    // One turn of the event loop lets the claims of one read of the sockets share a write.
    await new Promise((resume) => setImmediate(resume))
    while (this.#queue.length > 0) {
      const batch = this.#queue
      this.#queue = []
      try {
        if (this.#file === undefined || this.#dead > Math.max(this.#maxDead, this.#entries.size))
          await this.#rewrite()
        else await this.#file.append(batch.map(({ entry }) => journalLine(entry)).join(''))
        for (const { entry, done } of batch) {
          entry.durable = undefined
          done()
        }
      } catch (cause) {
        // After a failed fsync nobody knows what the file holds: it is written anew before the next claim is answered.
        await this.#file?.close().catch(() => undefined)
        this.#file = undefined
        for (const { entry, failed, undo } of batch) {
          entry.durable = undefined
          // A revocation stays in force, and the next one to claim it is refused.
          if (entry.binding !== REVOKED) undo()
          failed(new Error('replay journal could not be written', { cause }))
        }
      }
    }
  }

  /** Puts a fresh journal of all that is held in place of the old one, claims not yet durable included. */
  async #rewrite(): Promise<void> {
    const old = this.#file
    this.#dead = 0
    this.#file = await this.#disk.replace(this.#path, this.#chunks())
    await old?.close()
  }

  /** In pieces, so that a million claims do not hold up the calls in between. */
  *#chunks(): Generator<string> {
    let lines: string[] = []
    for (const entry of this.#entries.values()) {
      lines.push(journalLine(entry))
      if (lines.length < CHUNK_LINES) continue
      yield lines.join('')
      lines = []
    }
    yield lines.join('')
  }

  #hold(entry: Entry): void {
    this.#entries.set(entry.jti, entry)
    const bucket = Math.ceil(entry.exp / BUCKET_S)
    const list = this.#buckets.get(bucket)
    if (list === undefined) this.#buckets.set(bucket, [entry])
    else list.push(entry)
  }

  #sweep(): void {
    const now = this.#now() / 1_000
    // A clock that went back waits for no future.
    if (Math.abs(now - this.#sweptAt) < BUCKET_S) return
    this.#sweptAt = now
    this.#forget(now - this.#graceS)
  }

  /** Forgets the claims that ended before `horizon`, in whole buckets. */
  #forget(horizon: number): void {
    for (const [bucket, list] of this.#buckets) {
      if (bucket * BUCKET_S > horizon) continue
      this.#buckets.delete(bucket)
      for (const entry of list) {
        // After a failed write another claim may hold the id.
        if (this.#entries.get(entry.jti) !== entry) continue
        this.#entries.delete(entry.jti)
        this.#dead++
      }
    }
  }
}
