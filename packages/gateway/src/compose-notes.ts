import type { JsonObject } from './call/json.ts'

/** How long to wait before what could not be written is tried again, in milliseconds. */
const AGAIN_MS = 1_000
/** What waits at most; the oldest gives way. */
const MAX_WAITING = 1_000

type Write = (event: string, detail: JsonObject) => Promise<void>

/**
 * What the gate writes to the log about itself. Nobody waits for it, and much of it is told once: what a busy disk did not take in
 * time is written later.
 */
export function createNotes(write: Write) {
  const waiting: (readonly [string, JsonObject])[] = []
  let timer: NodeJS.Timeout | undefined

  function later(event: string, detail: JsonObject): void {
    waiting.push([event, detail])
    if (waiting.length > MAX_WAITING) waiting.shift()
    timer ??= setTimeout(() => {
      timer = undefined
      for (const [each, its] of waiting.splice(0)) note(each, its)
    }, AGAIN_MS).unref()
  }

  function note(event: string, detail: JsonObject): void {
    write(event, detail).catch(() => later(event, detail))
  }

  return { note, close: () => clearTimeout(timer) }
}
