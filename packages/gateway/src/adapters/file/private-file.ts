import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/** How a file is kept that others may read, or that somebody else owns. */
export interface Exposed {
  readonly mode: number
  readonly uid: number
  /** Ours. */
  readonly own: number
}

/**
 * Reads a file that only we can have written and only we can read; the one that was looked at is the one that is read, and no
 * link leads elsewhere.
 * @param maxBytes of a longer one nothing is read
 * @param complain says what to do about a file that others may read
 * @throws Error with that text, or the fault of the system
 */
export async function readPrivate(
  path: string,
  maxBytes: number,
  complain: (exposed: Exposed) => string,
): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const { mode, uid, size } = await file.stat()
    const own = process.getuid?.() ?? uid
    if ((mode & 0o077) !== 0 || uid !== own) throw new Error(complain({ mode: mode & 0o777, uid, own }))
    return size > maxBytes ? '' : await file.readFile('utf8')
  } finally {
    await file.close()
  }
}
