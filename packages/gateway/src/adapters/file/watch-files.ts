import { stat } from 'node:fs/promises'

/**
 * Calls back when one of some files changes, looked at by size and time every `everyMs` milliseconds.
 * A look costs less than it saves: file system events are lost over mounts and by editors that replace files.
 * @returns a function that ends the watch
 */
export function watchFiles(
  paths: readonly string[],
  everyMs: number,
  onChange: () => Promise<void>,
): () => void {
  let last: string | undefined
  let looking = false
  const look = async () => {
    if (looking) return
    looking = true
    try {
      const seen = JSON.stringify(await Promise.all(paths.map(signOf)))
      if (last !== undefined && seen !== last) await onChange()
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
