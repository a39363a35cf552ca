import type { SessionLabels } from '../../ports/session-labels.ts'
import {
  type JournalDisk,
  type JournalFile,
  journalDisk,
  journalLine,
  readJournal,
} from './replay-journal.ts'

/** Bounds of the labels. */
export interface SessionLabelsOptions {
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
  /** Labels that are held at once; a further one is refused, because forgetting one would clear a session. Default 200,000. */
  readonly maxLabels?: number
  /** Lines that the journal may hold beyond those it needs; then it is rewritten. Default 10,000. */
  readonly maxDead?: number
  /** Default the real disk. */
  readonly disk?: JournalDisk
}

/** Labels with a life. */
export interface RunningSessionLabels extends SessionLabels {
  close(): Promise<void>
}

/** A label that is held: when it ends, and when what the disk knows of it ends, in seconds since the epoch. */
interface Held {
  end: number
  durableEnd: number
}

/** Least life of a label, in seconds, and how long before that it is written again (ARCHITECTURE.md section 3: at least 8 hours). */
const LIFE_S = 9 * 3_600
const RENEWED_S = 8 * 3_600

/**
 * Labels of one node: a map, and a journal that is durable before `add` resolves. Opening it rewrites the journal without what
 * has ended.
 * @throws Error when the journal cannot be read or rewritten
 */
export async function openSessionLabels(
  path: string,
  { now = Date.now, maxLabels = 200_000, maxDead = 10_000, disk = journalDisk }: SessionLabelsOptions = {},
): Promise<RunningSessionLabels> {
  /** By session key and label. */
  const sessions = new Map<string, Map<string, Held>>()
  let held = 0

  function hold(key: string, label: string, end: number): Held {
    const labels = sessions.get(key) ?? new Map<string, Held>()
    const entry = labels.get(label) ?? { end: 0, durableEnd: 0 }
    if (entry.end === 0) held++
    entry.end = Math.max(end, entry.end)
    labels.set(label, entry)
    sessions.set(key, labels)
    return entry
  }

  function forget(horizon: number): void {
    for (const [key, labels] of sessions) {
      for (const [label, { end }] of labels) if (end <= horizon && labels.delete(label)) held--
      if (labels.size === 0) sessions.delete(key)
    }
  }

  function* lines(): Generator<string> {
    for (const [jti, labels] of sessions)
      for (const [binding, { end }] of labels) yield journalLine({ jti, exp: end, binding })
  }

  for (const { jti, exp, binding } of readJournal(await disk.read(path)))
    if (exp > now() / 1_000) hold(jti, binding, exp).durableEnd = exp
  let file: JournalFile | undefined = await disk.replace(path, lines())
  let written = held
  let torn = false
  let last: Promise<void> = Promise.resolve()

  async function write(line: string): Promise<void> {
    if (file === undefined || written > 2 * held + maxDead) {
      // Of a rewrite that failed nobody knows what the old journal would still take: it is made anew.
      const before = file
      file = undefined
      await before?.close()
      file = await disk.replace(path, lines())
      written = held
      torn = false
      return
    }
    // What a failed write left of a line must not swallow the next one.
    const text = torn ? `\n${line}` : line
    torn = true
    await file.append(text)
    torn = false
    written++
  }

  return {
    of(key, at) {
      const labels = sessions.get(key)
      if (labels === undefined) return []
      return [...labels].flatMap(([label, { end }]) => (end > at / 1_000 ? [label] : [])).toSorted()
    },
    async add(key, label, at) {
      const seconds = Math.floor(at / 1_000)
      if ((sessions.get(key)?.get(label)?.durableEnd ?? 0) > seconds + RENEWED_S) return
      if (held >= maxLabels) forget(seconds)
      if (held >= maxLabels) throw new Error(`${held} labels of sessions are held and no more (maxLabels)`)
      // In memory at once: calls of the session that run beside this one must see it, whatever the disk says.
      const end = seconds + LIFE_S
      const entry = hold(key, label, end)
      last = last
        .catch(() => undefined)
        .then(() => write(journalLine({ jti: key, exp: end, binding: label })))
      await last
      entry.durableEnd = Math.max(end, entry.durableEnd)
    },
    async close() {
      await last.catch(() => undefined)
      await file?.close()
    },
  }
}
