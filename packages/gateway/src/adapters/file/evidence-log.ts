import { randomUUID } from 'node:crypto'
import { basename } from 'node:path'
import { encodeRecord, leafHash } from '@callgate/evidence'
import type { EvidenceRecord } from '@callgate/evidence'
import type { EvidenceHealth, EvidenceLog } from '../../ports/evidence-log.ts'
import type { Signer } from '../../ports/signer.ts'
import { realDisk } from './disk.ts'
import type { Disk } from './disk.ts'
import { EvidenceUnavailable, systemCode } from './evidence-errors.ts'
import { ownDirectory } from './evidence-owner.ts'
import type { Owner } from './evidence-owner.ts'
import { EvidenceReserve } from './evidence-reserve.ts'
import { EvidenceStore } from './evidence-store.ts'
import type { NewLeaf } from './evidence-store.ts'
import type { LogSigner } from './evidence-tree.ts'

/** What a log needs. Times in milliseconds. */
export interface EvidenceLogOptions {
  /** The log's own directory, such as `state/evidence/0`. Created when absent. */
  readonly directory: string
  readonly key: Signer
  /** Name of log and key in checkpoints. Default `callgate/<key id>/evidence/<last part of the directory>`. */
  readonly origin?: string
  /** Longest time that a durable record stays unsigned. Default 1,000. */
  readonly checkpointMs?: number
  /** Records after which a checkpoint is due at once. Default 1,000. */
  readonly checkpointRecords?: number
  /** Time after which an append that is not durable is rejected. Default 1,500; the promise is 2 s. */
  readonly rejectAfterMs?: number
  /** Pause between tries on a disk that failed. Default 250. */
  readonly probeMs?: number
  /** Size of the journal from which a new one is begun. Default 4 MiB. */
  readonly rotateBytes?: number
  /** Room kept for the records of refusals on a full disk. Default 256 KiB. */
  readonly reserveBytes?: number
  /** Wall clock of the log's own gate records. */
  readonly now?: () => number
  readonly disk?: Disk
  /** Takes the one right to write; told what to do when it is lost. */
  readonly own?: (directory: string, onLost: () => void) => Promise<Owner>
}

const MAX_BATCH_RECORDS = 1024
/** A batch of this many records means load; the next one then waits so many milliseconds for company. */
const BUSY_RECORDS = 4
const BUSY_PAUSE_MS = 4
// Without checkpoints the unsigned records stay in memory: past this many, or bytes, appends are refused.
const MAX_UNSIGNED_RECORDS = 16_384
const MAX_UNSIGNED_BYTES = 64 * 1024 * 1024

/** The log of record in files: group commit with fdatasync, checkpoints, recovery. One writer per directory. */
export function createEvidenceLog(options: EvidenceLogOptions): EvidenceLog {
  return new FileEvidenceLog(options)
}

interface Waiting {
  readonly record: EvidenceRecord
  /** Monotonic milliseconds. */
  readonly since: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
  settled: boolean
}

/** One of a batch, with its leaf. */
interface Encoded extends NewLeaf {
  readonly waiting: Waiting
}

class FileEvidenceLog implements EvidenceLog {
  readonly #options: EvidenceLogOptions
  readonly #disk: Disk
  readonly #signer: LogSigner
  readonly #reserve: EvidenceReserve
  readonly #timers = new Set<NodeJS.Timeout>()
  #owner: Owner | undefined
  #store: EvidenceStore | undefined
  #queue: Waiting[] = []
  #state: 'new' | 'running' | 'closing' | 'closed' = 'new'
  #health: EvidenceHealth = 'ok'
  /** Another process took the lease. */
  #lost = false
  /** Why appends fail, while they do. */
  #fault: unknown
  #rejected = 0
  #flushing: Promise<void> | undefined
  #signing: Promise<void> | undefined
  #signFailed = false
  #probing = false
  #checkpointDue = false

  constructor(options: EvidenceLogOptions) {
    this.#options = options
    this.#disk = options.disk ?? realDisk
    const name = options.origin ?? `callgate/${options.key.kid}/evidence/${basename(options.directory)}`
    this.#signer = { name, key: options.key }
    this.#reserve = new EvidenceReserve(this.#disk, options.directory, options.reserveBytes)
  }

  get health(): EvidenceHealth {
    return this.#health
  }

  /** @throws EvidenceBusy, EvidenceCorrupt, or the disk's error; the log may then be started again */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new TypeError(`evidence log: start() on a log that is ${this.#state}`)
    const { directory } = this.#options
    this.#owner = await (this.#options.own ?? own)(directory, () => this.#lose())
    try {
      await this.#reserve.forget()
      const store = await EvidenceStore.open(this.#disk, directory, this.#signer)
      this.#store = store
      this.#state = 'running'
      if (!(await this.#reserve.restore())) this.#degrade(this.#reserve.fault)
      this.#scheduleCheckpoint()
      if (store.tornBytes > 0) {
        await this.append(this.#gateRecord({ torn_bytes: store.tornBytes, unsigned: store.unsignedRecords }))
      }
    } catch (error) {
      this.#state = 'new'
      this.#clearTimers()
      await this.#store?.close()
      await this.#owner.release()
      throw error
    }
  }

  append(record: EvidenceRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusalOf(record)
      if (refusal !== undefined) {
        reject(refusal)
        return
      }
      this.#queue.push({ record, since: performance.now(), resolve, reject, settled: false })
      // Begun in a microtask, so that all appends of one tick share a batch.
      this.#flushing ??= Promise.resolve().then(() => this.#flush())
    })
  }

  /** Writes what is queued, signs it and gives the directory free. */
  async close(): Promise<void> {
    if (this.#state !== 'running') return
    this.#state = 'closing'
    this.#clearTimers()
    try {
      while (this.#flushing !== undefined) await this.#flushing
      await this.#signing
      while (!this.#lost && (this.#store?.unsignedRecords ?? 0) > 0) await this.#store?.sign()
      if (!this.#lost) await this.#store?.rotate()
    } finally {
      this.#state = 'closed'
      await this.#store?.close()
      await this.#owner?.release()
    }
  }

  #refusalOf(record: EvidenceRecord): EvidenceUnavailable | undefined {
    const store = this.#store
    if (this.#state !== 'running' || store === undefined)
      return this.#unavailable(`the log is ${this.#state}`)
    if (this.#health === 'down') return this.#unavailable('the last append failed')
    // INVARIANT: from the first full write on no non-read call goes upstream, so none gets its intent (SECURITY.md 1.1).
    if (this.#health === 'degraded' && record.kind === 'intent') return this.#unavailable('a write failed')
    const waiting = store.unsignedRecords + this.#queue.length
    if (waiting < MAX_UNSIGNED_RECORDS && store.unsignedBytes < MAX_UNSIGNED_BYTES) return undefined
    return this.#unavailable(`${waiting} records wait for a checkpoint`)
  }

  #unavailable(what: string): EvidenceUnavailable {
    const cause = this.#fault
    const why =
      cause === undefined
        ? ''
        : ` (${systemCode(cause) ?? (cause instanceof Error ? cause.message : 'unknown')})`
    return new EvidenceUnavailable(
      `evidence: \`${this.#options.directory}\`: ${what}${why}; free or repair the disk, the log goes on by itself`,
      { cause },
    )
  }

  /** Group commit: one write and one fdatasync for all that queued up meanwhile. One at a time. */
  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = encoded(this.#queue.splice(0, MAX_BATCH_RECORDS))
      if (batch.length > 0) await this.#flushBatch(batch)
      // Under load the next batch may grow a little: a sync costs as much for one record as for a hundred.
      if (batch.length >= BUSY_RECORDS) await pause(BUSY_PAUSE_MS)
      await this.#rotateWhenDue()
    }
    this.#flushing = undefined
  }

  async #rotateWhenDue(): Promise<void> {
    if (this.#lost || this.#store?.rotationDue(this.#options.rotateBytes) !== true) return
    try {
      await this.#store.rotate()
    } catch (error) {
      // The old journal stays, and the next flush tries again.
      this.#degrade(error)
    }
  }

  async #flushBatch(batch: readonly Encoded[]): Promise<void> {
    let expired = false
    const age = performance.now() - (batch[0]?.waiting.since ?? 0)
    // A disk that hangs must not hang the callers: they are refused in time, whatever the write comes to later.
    const watchdog = setTimeout(
      () => {
        expired = true
        this.#rejectAll(batch)
      },
      Math.max(0, (this.#options.rejectAfterMs ?? 1500) - age),
    )
    watchdog.unref()
    let rest = batch
    try {
      for (;;) {
        const error = await this.#write(rest)
        if (error === undefined) break
        this.#degrade(error)
        rest = this.#rejectIntents(rest)
        if (expired || rest.length === 0) return
        if (!(isFull(error) && (await this.#reserve.spend()))) await this.#pause()
        if (expired) return
      }
    } finally {
      clearTimeout(watchdog)
    }
    for (const { waiting } of rest) settle(waiting, waiting.resolve)
  }

  /** @returns the error, undefined when the leaves are durable */
  async #write(leaves: readonly NewLeaf[]): Promise<unknown> {
    const store = this.#store
    if (store === undefined || this.#lost) return new EvidenceUnavailable('the lease of the log is lost')
    try {
      await store.append(leaves)
    } catch (error) {
      return error
    }
    if (store.unsignedRecords >= this.#checkpointRecords) void this.#startSigning()
    else this.#scheduleCheckpoint()
    return undefined
  }

  #rejectIntents(batch: readonly Encoded[]): readonly Encoded[] {
    for (const { waiting } of batch) {
      if (waiting.record.kind === 'intent')
        settle(waiting, () => waiting.reject(this.#unavailable('a write failed')))
    }
    return batch.filter(({ waiting }) => !waiting.settled)
  }

  /** The last append failed: all that wait are refused, and everything until the probe gets a record through. */
  #rejectAll(batch: readonly Encoded[]): void {
    this.#health = 'down'
    for (const one of [...batch.map(({ waiting }) => waiting), ...this.#queue.splice(0)]) {
      if (one.settled) continue
      this.#rejected++
      settle(one, () => one.reject(this.#unavailable('a record could not be made durable in time')))
    }
    this.#probe()
  }

  #degrade(error: unknown): void {
    this.#fault = error
    if (this.#health === 'ok') this.#health = 'degraded'
    this.#probe()
  }

  /** Nothing is written any more, and only a restart ends that. */
  #lose(): void {
    this.#lost = true
    this.#fault = new EvidenceUnavailable('another process took the lease of this log')
    this.#rejectAll([])
  }

  /** Tries every 250 ms whether the disk is back: a record of the gap, the overdue checkpoint, the reserve. */
  #probe(): void {
    if (this.#probing || this.#lost) return
    this.#probing = true
    this.#after(this.#options.probeMs ?? 250, async () => {
      while (this.#flushing !== undefined) await this.#flushing
      if (this.#state === 'running') await this.#recoverHealth()
      this.#probing = false
      if (this.#health !== 'ok') this.#probe()
    })
  }

  async #recoverHealth(): Promise<void> {
    if (this.#health === 'down' && !(await this.#recordGap())) return
    if (this.#signFailed) await this.#startSigning()
    if (this.#signFailed || !(await this.#reserve.restore()) || this.#health !== 'degraded') return
    this.#health = 'ok'
    this.#fault = undefined
  }

  /** The first record after a gap tells of it. @returns whether it is durable */
  async #recordGap(): Promise<boolean> {
    const leaf = encodeRecord(
      this.#gateRecord({ fault: systemCode(this.#fault) ?? 'unknown', rejected: this.#rejected }),
    )
    // In a flush's place, so that no batch writes beside it.
    const writing = this.#write([{ leaf, hash: leafHash(leaf) }])
    this.#flushing = writing.then(() => undefined)
    const error = await writing
    this.#flushing = undefined
    if (error === undefined) {
      this.#rejected = 0
      if (!this.#lost) this.#health = 'degraded'
      return true
    }
    this.#fault = error
    if (isFull(error)) await this.#reserve.spend()
    return false
  }

  get #checkpointRecords(): number {
    return this.#options.checkpointRecords ?? 1000
  }

  #scheduleCheckpoint(): void {
    if (this.#checkpointDue || (this.#store?.unsignedRecords ?? 0) === 0) return
    this.#checkpointDue = true
    this.#after(this.#options.checkpointMs ?? 1000, async () => {
      this.#checkpointDue = false
      await this.#startSigning()
    })
  }

  /** Signs beside the appends; one at a time. Never rejects: a failure degrades, and the probe tries again. */
  #startSigning(): Promise<void> {
    this.#signing ??= this.#sign().finally(() => {
      this.#signing = undefined
      this.#scheduleCheckpoint()
    })
    return this.#signing
  }

  async #sign(): Promise<void> {
    try {
      do if (!this.#lost) await this.#store?.sign()
      while (!this.#lost && (this.#store?.unsignedRecords ?? 0) >= this.#checkpointRecords)
      this.#signFailed = false
    } catch (error) {
      this.#signFailed = true
      this.#degrade(error)
    }
  }

  #gateRecord(detail: { readonly [key: string]: string | number }): EvidenceRecord {
    const time = new Date((this.#options.now ?? Date.now)()).toISOString()
    return { v: 1, kind: 'gate', id: randomUUID(), time, event: 'recovered', detail }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(resolve, this.#options.probeMs ?? 250)
    })
  }

  #after(ms: number, work: () => Promise<void>): void {
    if (this.#state !== 'running') return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      void work()
    }, ms)
    timer.unref()
    this.#timers.add(timer)
  }

  #clearTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }
}

function own(directory: string, onLost: () => void): Promise<Owner> {
  return ownDirectory(directory, { onLost })
}

/** Leaves of a batch, made in a row: spread over the calls they cost twice as much. What has no leaf is refused alone. */
function encoded(batch: readonly Waiting[]): Encoded[] {
  const leaves: Encoded[] = []
  for (const waiting of batch) {
    try {
      const leaf = encodeRecord(waiting.record)
      leaves.push({ waiting, leaf, hash: leafHash(leaf) })
    } catch (error) {
      settle(waiting, () => waiting.reject(error instanceof Error ? error : new TypeError(String(error))))
    }
  }
  return leaves
}

function settle(one: Waiting, how: () => void): void {
  if (one.settled) return
  one.settled = true
  how()
}

function isFull(error: unknown): boolean {
  const code = systemCode(error)
  return code === 'ENOSPC' || code === 'EDQUOT'
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
