import { watch } from 'node:fs'
import { readRecords } from '@callgate/evidence'
import { logFolder } from './evidence.ts'
import { print, printJson } from './output.ts'
import { sentence } from './sentences.ts'
import type { World } from './world.ts'

/** Milliseconds between looks when the file system tells nothing. */
const LOOK_MS = 500

/** `callgate tail`: one plain line a record, as they become durable, until it is interrupted. */
export async function tail(
  world: World,
  options: { lines: string; follow: boolean; json?: boolean },
): Promise<void> {
  const folder = logFolder(world, undefined)
  let next = 0
  const look = async (keep: number) => {
    const fresh = []
    for await (const stored of readRecords(folder, next)) {
      fresh.push(stored)
      if (fresh.length > keep) fresh.shift()
      next = stored.index + 1
    }
    for (const stored of fresh) {
      // An intent is the first half of a call; its outcome is the line that people want.
      if (options.json === true) printJson(stored)
      else if (stored.record.kind !== 'intent') print(sentence(stored.record))
    }
  }
  await look(Math.max(0, Number(options.lines) || 0))
  if (!options.follow) return
  process.once('SIGINT', () => process.exit(0))
  // Nobody reads any more: there is nobody to follow the log for.
  while (process.stdout.writable) {
    await changed(folder)
    await look(Number.MAX_SAFE_INTEGER)
  }
}

/** Resolves when something in the folder changes, and after LOOK_MS in any case. */
function changed(folder: string): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(folder)
    const done = () => {
      watcher.close()
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(done, LOOK_MS)
    watcher.once('change', done)
  })
}
