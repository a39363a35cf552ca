import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { TILE_WIDTH } from './tiles.ts'

/** Name of the signed checkpoint, below the log's directory. */
export const CHECKPOINT = 'checkpoint'

/** Reads files of a log by paths below its directory. */
export interface LogReader {
  /** @returns undefined when there is no such file */
  read(path: string): Promise<Buffer | undefined>
  /** Names in a directory; empty when there is none. */
  list(path: string): Promise<string[]>
}

/** A log in a directory of this machine. */
export function folderReader(directory: string): LogReader {
  return {
    read: (path) => orAbsent(readFile(join(directory, path)), undefined),
    list: (path) => orAbsent(readdir(join(directory, path)), []),
  }
}

async function orAbsent<T, U>(pending: Promise<T>, absent: U): Promise<T | U> {
  try {
    return await pending
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return absent
    throw error
  }
}

/** A tile or bundle as found: `width` may be larger than asked for. */
export interface FoundTile {
  readonly path: string
  readonly bytes: Buffer
  readonly width: number
}

/**
 * Reads a tile or bundle of at least `width`. A live gate replaces a partial tile by a wider one, of which it is a
 * prefix, so the exact path, wider partial ones and the full one are tried, again when one vanished in between.
 */
export async function readTile(
  reader: LogReader,
  pathOf: (width: number) => string,
  width: number,
): Promise<FoundTile | undefined> {
  const full = pathOf(TILE_WIDTH)
  for (let attempt = 0; attempt < 3; attempt++) {
    const listed = width === TILE_WIDTH ? [] : await reader.list(`${full}.p`)
    const wider = listed.map(Number).filter((one) => one > width && one < TILE_WIDTH)
    for (const candidate of [width, ...wider.sort((a, b) => b - a), TILE_WIDTH]) {
      const path = pathOf(candidate)
      const bytes = await reader.read(path)
      if (bytes !== undefined) return { path, bytes, width: candidate }
    }
  }
  return undefined
}
