import { stat } from 'node:fs/promises'

/** Signs of some files by which a change is seen: take them before the files are read, so that none slips in between. */
export async function signsOf(paths: readonly string[]): Promise<string> {
  return JSON.stringify(await Promise.all(paths.map(signOf)))
}

/**
 * Calls back when one of some files changes, looked at by size and time every `everyMs` milliseconds.
 * A look costs less than it saves: file system events are lost over mounts and by editors that replace files.
 * @param since signs of the state that is known, from signsOf
 * @returns a function that ends the watch
 */
export function watchFiles(
  paths: readonly string[],
  since: string,
  everyMs: number,
  onChange: () => Promise<void>,
): () => void {
  let last = since
  let looking = false
  const look = async () => {
    if (looking) return
    looking = true
    try {
      const seen = await signsOf(paths)
      if (seen !== last) await onChange()
      last = seen
    } finally {
      looking = false
    }
  }
  void look()
  const timer = setInterval(() => void look(), everyMs).unref()
  return () => clearInterval(timer)
}

async function signOf(path: string): Promise<string> {
  try {
    const { size, mtimeMs, ino } = await stat(path)
    return `${size} ${mtimeMs} ${ino}`
  } catch {
    // A file that is gone is a change as well; whoever reads it says what is wrong.
    return 'absent'
  }
}
