import { hash } from 'node:crypto'
import type { Session } from '../../call/call.ts'
import type { SessionLabels } from '../../ports/session-labels.ts'
import type { Sessions } from '../../ports/sessions.ts'

/** Bounds of the session table. */
export interface SessionsOptions {
  /** Sessions that are remembered; the one not entered for longest is forgotten first. Default 100,000. */
  readonly maxSessions?: number
  /** Milliseconds after which a tuple without sid begins a new session. Default 30 minutes (ARCHITECTURE.md section 3). */
  readonly idleMs?: number
  /** Milliseconds after which a session with a sid is forgotten. Default 8 hours, the least life of its labels. */
  readonly sidIdleMs?: number
  /** Default: no session has any. */
  readonly labels?: Pick<SessionLabels, 'of'>
}

interface Entry {
  readonly id: string
  readonly key: string
  readonly idleMs: number
  calls: number
  enteredAt: number
}

/** Forgotten at most per call, so that clearing after a flood is spread over the calls that follow. */
const SWEEP = 2

/** Sessions of one node, in memory: a restart begins new counts, and with a sid the same id again. */
export function createSessions(options: SessionsOptions = {}): Sessions & { readonly size: number } {
  const maxSessions = options.maxSessions ?? 100_000
  const idleMs = options.idleMs ?? 30 * 60_000
  const sidIdleMs = options.sidIdleMs ?? 8 * 3_600_000
  const entries = new Map<string, Entry>()

  /** The table is in order of use; what is too old or too many stands at its front. */
  function sweep(now: number): void {
    let swept = 0
    for (const [key, entry] of entries) {
      const idle = now - entry.enteredAt > entry.idleMs
      if (entries.size <= maxSessions && (!idle || swept >= SWEEP)) return
      entries.delete(key)
      swept++
    }
  }

  return {
    get size() {
      return entries.size
    },
    enter(tuple, sid, now): Session {
      // NUL stands in neither part: the tuple is JSON, and claims with controls are refused.
      const key = sid === undefined ? tuple : `${tuple}\u0000${sid}`
      let entry = entries.get(key)
      if (entry !== undefined) entries.delete(key)
      if (entry === undefined || now - entry.enteredAt > entry.idleMs) {
        const hashed = shortHash(key)
        // Without a sid the time of the first call tells two sessions of one tuple apart.
        const id = sid === undefined ? shortHash(`${key}\u0000${now}`) : hashed
        entry = { id, key: hashed, idleMs: sid === undefined ? idleMs : sidIdleMs, calls: 0, enteredAt: now }
      }
      entry.calls++
      // A clock that went back does not make a session look idle later.
      entry.enteredAt = Math.max(entry.enteredAt, now)
      entries.set(key, entry)
      sweep(now)
      return {
        id: entry.id,
        calls: entry.calls,
        labels: options.labels?.of(entry.key, now) ?? [],
        key: entry.key,
      }
    },
  }
}

const shortHash = (text: string): string => hash('sha256', text, 'hex').slice(0, 32)
