import { mkdir, open, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'

/** One claim as it is kept. */
export interface JournalEntry {
  readonly jti: string
  /** Seconds since the epoch. */
  readonly exp: number
  readonly binding: string
}

/** The disk as the journal uses it; tests put a failing one here. */
export interface JournalDisk {
  /** Writes all chunks to a fresh file in place of `path`, durable with its name, and opens it for appending. */
  replace(path: string, chunks: Iterable<string>): Promise<JournalFile>
  /** Text of the file, '' when there is none. */
  read(path: string): Promise<string>
}

/** An open journal. */
export interface JournalFile {
  /** Appends and waits until it is durable. */
  append(lines: string): Promise<void>
  close(): Promise<void>
}

/** A claim as one line: checksum, end, id and binding. */
export function journalLine({ jti, exp, binding }: JournalEntry): string {
  const body = `${exp} ${jti} ${binding}`
  return `${checksum(body)} ${body}\n`
}

/**
 * Claims of a journal, in order. Lines that are not whole are left out: they were torn by a crash before fdatasync came back,
 * so no call was let in by them.
 */
export function* readJournal(text: string): Generator<JournalEntry> {
  for (const line of text.split('\n')) {
    const match = /^([0-9a-f]{8}) ((\d{1,16}) (\S+) (\S+))$/.exec(line)
    const [, sum, body, exp, jti, binding] = match ?? []
    if (body === undefined || jti === undefined || binding === undefined || sum !== checksum(body)) continue
    yield { jti, exp: Number(exp), binding }
  }
}

function checksum(body: string): string {
  return crc32(body).toString(16).padStart(8, '0')
}

/** The real disk. Files are 0600: who may write here may make a used token new. */
export const journalDisk: JournalDisk = {
  async replace(path, chunks) {
    const beside = `${path}.new`
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await rm(beside, { force: true })
    const file = await open(beside, 'ax', 0o600)
    try {
      for (const lines of chunks) await writeWhole(file, lines)
      await file.sync()
      await rename(beside, path)
      const folder = await open(dirname(path), 'r')
      await folder.sync().finally(() => folder.close())
    } catch (error) {
      await file.close()
      throw error
    }
    return {
      async append(more) {
        await writeWhole(file, more)
        await file.datasync()
      },
      close: () => file.close(),
    }
  },
  async read(path) {
    const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (file === undefined) return ''
    return file.readFile('utf8').finally(() => file.close())
  },
}

/** A short write is finished or fails; it never counts as written. */
async function writeWhole(file: FileHandle, text: string): Promise<void> {
  const bytes = Buffer.from(text, 'latin1')
  let at = 0
  while (at < bytes.length) at += (await file.write(bytes, at)).bytesWritten
}
