import type { Begun, Ending, IdempotencyStore, OnceKey } from '../../ports/idempotency-store.ts'
import { type KeptKey, isKey, keyLine, readKeys } from './idempotency-line.ts'
import { OtherJournals } from './idempotency-others.ts'
import { type JournalDisk, type JournalFile, journalDisk } from './replay-journal.ts'

/** Bounds of the store. */
export interface IdempotencyStoreOptions {
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
  /** Keys that are held at once; a further one is refused, because forgetting one would let it run again. Default 100,000. */
  readonly maxKeys?: number
  /** Keys of one caller (the id up to its dot) of those. Default 10,000. */
  readonly maxKeysPerCaller?: number
  /** Bytes of all answers that are kept; the oldest go first, and their keys stay done. Default 64 MiB. */
  readonly maxAnswerBytes?: number
  /** Bytes that the journal may hold beyond twice what is live; then it is rewritten. Default 16 MiB. */
  readonly maxDeadBytes?: number
  /** Default the real disk. */
  readonly disk?: JournalDisk
}

/** A store with a life. */
export interface RunningIdempotencyStore extends IdempotencyStore {
  /** Keys held. */
  readonly size: number
  /** Bytes of the answers kept. */
  readonly answerBytes: number
  close(): Promise<void>
}

/** Least time between looks for keys that have ended, in seconds. */
const SWEEP_S = 16
/** Bytes in one write of a rewrite: what is kept may be large, and calls go on in between. */
const CHUNK_BYTES = 1_048_576

type Waiting = {
  readonly line: string
  readonly done: () => void
  readonly failed: (cause: Error) => void
  readonly undo: () => void
}

/**
 * Store of one node: a map, and a journal that is durable before `first` is answered. Keys that come while a write is under
 * way share the next one (group commit). Opening it rewrites the journal without what is dead or torn; a key that was running
 * is unknown from then on. Other nodes of the folder have journals of their own, which this one reads before and after it has
 * written a key down: of two nodes that begin one key at once at least one sees the other, and whoever does lets the key go.
 * @throws Error when the journal cannot be read or rewritten
 */
export async function openIdempotencyStore(
  path: string,
  options: IdempotencyStoreOptions = {},
): Promise<RunningIdempotencyStore> {
  const store = new FileIdempotencyStore(path, options)
  await store.load()
  return store
}

class FileIdempotencyStore implements RunningIdempotencyStore {
  readonly #keys = new Map<string, KeptKey>()
  /** Keys with an answer, the oldest first. */
  readonly #answered = new Set<string>()
  readonly #perCaller = new Map<string, number>()
  readonly #path: string
  readonly #now: () => number
  readonly #maxKeys: number
  readonly #maxKeysPerCaller: number
  readonly #maxAnswerBytes: number
  readonly #maxDeadBytes: number
  readonly #disk: JournalDisk
  readonly #others: OtherJournals
  #file: JournalFile | undefined
  #queue: Waiting[] = []
  #writing: Promise<void> | undefined
  #answerBytes = 0
  /** Bytes of the lines that the keys held would be written in. */
  #live = 0
  /** Bytes in the journal. */
  #written = 0
  #sweptAt = 0
  #closed = false

  constructor(path: string, options: IdempotencyStoreOptions) {
    this.#path = path
    this.#now = options.now ?? Date.now
    this.#maxKeys = options.maxKeys ?? 100_000
    this.#maxKeysPerCaller = options.maxKeysPerCaller ?? 10_000
    this.#maxAnswerBytes = options.maxAnswerBytes ?? 64 * 1_048_576
    this.#maxDeadBytes = options.maxDeadBytes ?? 16 * 1_048_576
    this.#disk = options.disk ?? journalDisk
    this.#others = new OtherJournals(path, this.#disk)
  }

  get size(): number {
    return this.#keys.size
  }

  get answerBytes(): number {
    return this.#answerBytes
  }

  async load(): Promise<void> {
    const last = new Map<string, KeptKey>()
    for (const key of readKeys(await this.#disk.read(this.#path))) last.set(key.id, key)
    for (const key of last.values()) {
      const found = this.#found(key)
      if (found !== undefined) this.#hold(found)
    }
    await this.#rewrite()
  }

  // INVARIANT: between the look and the hold nothing is awaited, so of any number of calls at once one is first.
  async begin({ id, payload, call, lifeS }: OnceKey): Promise<Begun> {
    if (this.#closed) throw new Error('the store of idempotency keys is closed')
    if (!isKey({ id, payload, call, lifeS }))
      throw new TypeError('a key has an id of two words, a payload, a call and a life of 1 to 86400 seconds')
    const find = await this.#others.look()
    this.#sweep(SWEEP_S)
    const known = this.#keys.get(id)
    if (known !== undefined && !this.#isOver(known)) return begun(known, payload)
    const elsewhere = find(id, this.#seconds())
    if (elsewhere !== undefined) return begun(elsewhere, payload)
    this.#makeRoom(id)
    const key: KeptKey = {
      id,
      payload,
      call,
      lifeS,
      state: 'running',
      answer: undefined,
      until: this.#seconds(),
    }
    this.#hold(key)
    await this.#append(keyLine(key), () => this.#drop(key))
    const rival = await this.#rivalOf(key)
    return rival === undefined ? { state: 'first' } : begun(rival, payload)
  }

  /**
   * A node that began the same key while this one wrote it down. Both may see one another and both let it go: then nobody runs,
   * and whoever asks again does.
   */
  async #rivalOf(key: KeptKey): Promise<KeptKey | undefined> {
    try {
      const find = await this.#others.look()
      const rival = find(key.id, this.#seconds())
      if (rival !== undefined) await this.finish(key.id, key.call, { kind: 'free' })
      return rival
    } catch (cause) {
      await this.finish(key.id, key.call, { kind: 'free' }).catch(() => undefined)
      throw cause
    }
  }

  async finish(id: string, call: string, ending: Ending): Promise<void> {
    const known = this.#keys.get(id)
    if (known === undefined || known.call !== call || known.state !== 'running') return
    const { kind } = ending
    const answer = ending.kind === 'done' ? ending.answer : undefined
    const ended: KeptKey = { ...known, state: kind, answer, until: this.#seconds() + known.lifeS }
    if (kind === 'free') this.#drop(known)
    else this.#hold(ended)
    if (this.#closed) throw new Error('the store of idempotency keys is closed')
    await this.#append(keyLine(ended), () => undefined)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#writing
    await this.#file?.close()
    this.#file = undefined
  }

  #seconds(): number {
    return Math.floor(this.#now() / 1_000)
  }

  #isOver({ state, until }: KeptKey): boolean {
    return state !== 'running' && until <= this.#seconds()
  }

  /** A key of a journal as it counts now; undefined: not any more. */
  #found(key: KeptKey): KeptKey | undefined {
    // Whoever ran it is gone: nobody can say how far it came.
    if (key.state === 'running') return { ...key, state: 'unknown', until: this.#seconds() + key.lifeS }
    return key.state === 'free' || this.#isOver(key) ? undefined : key
  }

  /** @throws Error when the key would be one too many */
  #makeRoom(id: string): void {
    const caller = callerOf(id)
    const isFull = () =>
      this.#keys.size >= this.#maxKeys || (this.#perCaller.get(caller) ?? 0) >= this.#maxKeysPerCaller
    if (isFull()) this.#sweep(0)
    if (!isFull()) return
    throw new Error(
      `${this.#keys.size} idempotency keys are held, ${this.#perCaller.get(caller) ?? 0} of them of this caller, and no more (idempotency.maxKeys, idempotency.maxKeysPerCaller)`,
    )
  }

  #hold(key: KeptKey): void {
    const before = this.#keys.get(key.id)
    if (before !== undefined) this.#drop(before)
    this.#keys.set(key.id, key)
    const caller = callerOf(key.id)
    this.#perCaller.set(caller, (this.#perCaller.get(caller) ?? 0) + 1)
    this.#live += keyLine(key).length
    if (key.answer === undefined) return
    this.#answered.add(key.id)
    this.#answerBytes += key.answer.length
    this.#dropAnswers()
  }

  #drop(key: KeptKey): void {
    // After a failed write another call may hold the id.
    if (this.#keys.get(key.id) !== key) return
    this.#keys.delete(key.id)
    this.#answered.delete(key.id)
    this.#answerBytes -= key.answer?.length ?? 0
    this.#live -= keyLine(key).length
    const caller = callerOf(key.id)
    const left = (this.#perCaller.get(caller) ?? 0) - 1
    if (left > 0) this.#perCaller.set(caller, left)
    else this.#perCaller.delete(caller)
  }

  /** Lets the oldest answers go until the rest has room. Their keys stay: what ran does not run again. */
  #dropAnswers(): void {
    for (const id of this.#answered) {
      if (this.#answerBytes <= this.#maxAnswerBytes) return
      const key = this.#keys.get(id)
      this.#answered.delete(id)
      if (key?.answer === undefined) continue
      this.#answerBytes -= key.answer.length
      this.#live -= key.answer.length + 1
      this.#keys.set(id, { ...key, answer: undefined })
    }
  }

  #sweep(everyS: number): void {
    const now = this.#seconds()
    // A clock that went back waits for no future.
    if (Math.abs(now - this.#sweptAt) < everyS) return
    this.#sweptAt = now
    for (const key of this.#keys.values()) if (this.#isOver(key)) this.#drop(key)
  }

  /** Resolves when the line stands in the journal, or a fresh journal says the same. @param undo what a failed write takes back */
  #append(line: string, undo: () => void): Promise<void> {
    const written = new Promise<void>((done, failed) => this.#queue.push({ line, done, failed, undo }))
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined))
    return written
  }

  /** Writes until nobody waits; each turn takes all that came during the last one. Never rejects. */
  async #write(): Promise<void> {
    // One turn of the event loop lets the calls of one read of the sockets share a write.
    await new Promise((resume) => setImmediate(resume))
    while (this.#queue.length > 0) {
      const batch = this.#queue
      this.#queue = []
      try {
        if (this.#file === undefined || this.#written > 2 * this.#live + this.#maxDeadBytes)
          await this.#rewrite()
        else await this.#appendTo(this.#file, batch.map(({ line }) => line).join(''))
        for (const { done } of batch) done()
      } catch (cause) {
        // After a failed fsync nobody knows what the file holds: it is written anew before the next key is answered.
        await this.#file?.close().catch(() => undefined)
        this.#file = undefined
        for (const { failed, undo } of batch) {
          undo()
          failed(new Error('the journal of idempotency keys could not be written', { cause }))
        }
      }
    }
  }

  async #appendTo(file: JournalFile, lines: string): Promise<void> {
    await file.append(lines)
    this.#written += lines.length
  }

  /** Puts a fresh journal of all that is held in place of the old one, keys not yet durable included. */
  async #rewrite(): Promise<void> {
    const old = this.#file
    this.#written = 0
    this.#file = await this.#disk.replace(this.#path, this.#chunks())
    await old?.close()
  }

  *#chunks(): Generator<string> {
    let text = ''
    for (const key of this.#keys.values()) {
      text += keyLine(key)
      if (text.length < CHUNK_BYTES) continue
      this.#written += text.length
      yield text
      text = ''
    }
    this.#written += text.length
    yield text
  }
}

const callerOf = (id: string): string => id.slice(0, id.indexOf('.'))

function begun({ state, call, answer, payload }: KeptKey, asked: string): Begun {
  if (payload !== asked) return { state: 'differs', call }
  if (state === 'done') return { state, call, answer }
  return { state: state === 'running' ? 'running' : 'unknown', call }
}
