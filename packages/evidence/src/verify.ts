import { openCheckpoint } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import { CHECKPOINT, folderReader } from './log-reader.ts'
import type { LogReader } from './log-reader.ts'
import { leafHash } from './merkle.ts'
import { NoteError, parseVerifierKey } from './note.ts'
import type { VerifierKey } from './note.ts'
import { PENDING, damagedAt, scanPending } from './pending.ts'
import type { PendingScan } from './pending.ts'
import { decodeRecord } from './record.ts'
import type { EvidenceRecord, OutcomeRecord } from './record.ts'
import { verifiedLeaves } from './verify-tiles.ts'
import type { Problem, Report } from './verify-tiles.ts'

/** Records that are durable but not yet under a checkpoint: a live gate has up to a second of them. */
export interface UnsignedTail {
  readonly records: number
  /** Bytes at the end of the journal that are no record: a write in progress, or what a crash tore. */
  readonly tornBytes: number
}

/** What verifyLog found. */
export interface Verification {
  /** True when every signed record is proven and no problem was found. Says nothing about the unsigned tail's truth. */
  readonly ok: boolean
  /** Records under the checkpoint; 0 when it could not be read. */
  readonly size: number
  /** Root recomputed from the records, hex; undefined when it could not be computed. */
  readonly root: string | undefined
  /** The first 100 problems. */
  readonly problems: readonly Problem[]
  /** Problems in all. */
  readonly problemCount: number
  /** Non-read calls that were sent and have no outcome yet: in flight, or cut off by a crash. */
  readonly openCalls: number
  readonly unsignedTail: UnsignedTail
}

/** How to verify. */
export interface VerifyOptions {
  /** Trust root, `name+hash+key`. It must come from elsewhere than the log, else it proves nothing. */
  readonly verifierKey: string
  /** False for a tlog-tiles log whose leaves are not our records. Default true. */
  readonly records?: boolean
}

const MAX_PROBLEMS = 100

/**
 * Verifies a log offline or beside a live gate: what is appended after the start is ignored. Recomputes every leaf from
 * the entry bundles, every tile, the root and the signature; reads every record; then the unsigned tail.
 * @param log the log's directory, such as `state/evidence/0`, or a reader of one
 * @throws NoteError when the verifier key itself is malformed; problems of the log are reported, not thrown
 */
export async function verifyLog(log: string | LogReader, options: VerifyOptions): Promise<Verification> {
  const reader = typeof log === 'string' ? folderReader(log) : log
  const key = parseVerifierKey(options.verifierKey)
  const problems: Problem[] = []
  let problemCount = 0
  const report: Report = (problem) => {
    problemCount++
    if (problems.length < MAX_PROBLEMS) problems.push(problem)
  }
  // A live gate moves on between our reads. The journal is never older than the checkpoint read before it, and never
  // begins behind the one read after it; the second one is verified.
  const early = await reader.read(CHECKPOINT)
  const journal = await reader.read(PENDING)
  const late = await reader.read(CHECKPOINT)
  const checkpoint = readCheckpoint(late, key, report)
  const unmoved = early !== undefined && late !== undefined && early.equals(late)
  const floor = unmoved ? (checkpoint?.size ?? 0) : signedSize(early, key)
  const scan = scanPending(journal ?? Buffer.alloc(0))
  const firstPending = scan.leaves[0]?.index ?? Infinity
  const check = options.records === false ? undefined : new RecordChecker(report)
  const signed = new Map<number, Buffer>()
  let root: Buffer | undefined
  if (checkpoint !== undefined) {
    const leaves = verifiedLeaves(reader, checkpoint, report)
    for (let next = await leaves.next(); ; next = await leaves.next()) {
      if (next.done === true) {
        root = next.value
        break
      }
      const { index, leaf } = next.value
      check?.see(index, leaf)
      if (index >= firstPending) signed.set(index, leafHash(leaf))
    }
  }
  const unsignedTail = verifyPending(scan, { floor, size: checkpoint?.size ?? 0, signed }, check, report)
  return {
    ok: problemCount === 0,
    size: checkpoint?.size ?? 0,
    root: root?.toString('hex'),
    problems,
    problemCount,
    openCalls: check?.openCalls ?? 0,
    unsignedTail,
  }
}

function readCheckpoint(note: Buffer | undefined, key: VerifierKey, report: Report): Checkpoint | undefined {
  if (note === undefined) {
    const fix = 'check the directory (expected one such as `state/evidence/0`), or restore the file'
    report({ where: CHECKPOINT, what: 'no checkpoint', fix })
    return undefined
  }
  try {
    return openCheckpoint(note, key)
  } catch (error) {
    if (!(error instanceof NoteError)) throw error
    const fix =
      'check that the verifier key belongs to this log; else restore the file from a replica or backup'
    report({ where: CHECKPOINT, what: error.message, fix })
    return undefined
  }
}

/** Checks each record and that no non-read call was answered without an intent before it. */
class RecordChecker {
  readonly #report: Report
  readonly #intents = new Set<string>()

  constructor(report: Report) {
    this.#report = report
  }

  get openCalls(): number {
    return this.#intents.size
  }

  see(index: number, leaf: Buffer): void {
    let record: EvidenceRecord
    try {
      record = decodeRecord(leaf)
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error)
      const fix = 'this leaf was not written by a gate of this version; find out who wrote it'
      this.#report({ where: `record ${index}`, what, fix })
      return
    }
    if (record.kind === 'intent') this.#intents.add(record.id)
    if (record.kind !== 'outcome') return
    const intended = this.#intents.delete(record.id)
    if (intended || record.outcome !== 'answered' || isRepeat(record) || !needsIntent(record.call)) return
    this.#report({
      where: `record ${index} (${record.id})`,
      what: `${record.call.class ?? 'unclassified'} call was answered without an intent record before it`,
      fix: 'a side effect happened without a durable intent; treat it as an incident',
    })
  }
}

/** Whether a call had the answer of another one and was not sent itself, so that it had no side effect. */
function isRepeat({ id, replayed, upstream_ms }: OutcomeRecord): boolean {
  return replayed !== undefined && replayed !== id && upstream_ms === undefined
}

/** Every class but `read` needs two records; a tool without a class counts as one that writes. */
function needsIntent(call: { readonly method: string; readonly class?: string | undefined }): boolean {
  return call.class === undefined ? call.method === 'tools/call' : call.class !== 'read'
}

function verifyPending(
  scan: PendingScan,
  log: { readonly floor: number; readonly size: number; readonly signed: ReadonlyMap<number, Buffer> },
  check: RecordChecker | undefined,
  report: Report,
): UnsignedTail {
  const first = scan.leaves[0]
  if (first !== undefined && first.index > log.size) {
    const what = `begins with record ${first.index}, the checkpoint ends at ${log.size}`
    report({ where: PENDING, what, fix: 'records in between are lost; restore `pending` from a backup' })
  }
  let records = 0
  for (const { index, leaf, hash } of scan.leaves) {
    const known = log.signed.get(index)
    if (index >= log.size) {
      records++
      check?.see(index, leaf)
    } else if (known !== undefined && !known.equals(hash)) {
      const what = `record ${index} has hash \`${hash.toString('hex')}\`, the signed one \`${known.toString('hex')}\``
      report({ where: PENDING, what, fix: 'one of the two was changed; the signed one counts' })
    }
  }
  const damaged = damagedAt(scan, log.floor)
  if (damaged !== undefined) {
    report({
      where: PENDING,
      what: `record ${damaged} was durable and can no longer be read (${scan.tornBytes} bytes behind it)`,
      fix: 'restore `pending` from a backup; signed records stand in the entry bundles',
    })
  }
  return { records, tornBytes: scan.tornBytes }
}

/** Size of the checkpoint, 0 when there is none that verifies: readCheckpoint reports that. */
function signedSize(note: Buffer | undefined, key: VerifierKey): number {
  try {
    return note === undefined ? 0 : openCheckpoint(note, key).size
  } catch (error) {
    if (error instanceof NoteError) return 0
    throw error
  }
}
