import { setTimeout as sleep } from 'node:timers/promises'
import { readRecords } from '@callgate/evidence'
import { readRunFile } from './locate.ts'

/** Milliseconds that a gate gets to read its policy again; it looks twice a second. */
const PATIENCE_MS = 5_000

/** What became of a changed policy file. `silent`: a gate runs and says nothing, so it does not watch that file. */
export type Taken = 'no gate runs' | 'in force' | 'silent' | { readonly refused: readonly string[] }

export interface Watch {
  /** Folder of the log. */
  readonly log: string
  /** Index of the first record that may say what became of the file. */
  readonly from: number
  /** Milliseconds since the epoch when the file was written. */
  readonly since: number
  /** Whether the file is one of those that a gate was started with. */
  readonly isWatched: boolean
}

/** Waits until the gate that runs on a state folder says in its log that it took its policy, or why not. */
export async function policyTaken(state: string, { log, from, since, isWatched }: Watch): Promise<Taken> {
  const run = readRunFile(state)
  if (run === undefined || !isAlive(run.pid)) return 'no gate runs'
  let next = from
  const until = performance.now() + (isWatched ? PATIENCE_MS : 0)
  for (; performance.now() < until; await sleep(50)) {
    for await (const { index, record } of readRecords(log, next)) {
      next = index + 1
      if (record.kind !== 'gate' || Date.parse(record.time) < since) continue
      if (record.event === 'policy.loaded') return 'in force'
      if (record.event !== 'policy.refused') continue
      const problems = record.detail['problems']
      return { refused: Array.isArray(problems) ? problems.map(String) : [] }
    }
  }
  return 'silent'
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // A gate of another user may not be signalled, and is there.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
