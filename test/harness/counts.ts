import { existsSync, readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'

/** What one gate parsed and read, as count-parses.ts wrote it down. */
export class Counts {
  readonly #file: string

  constructor(folder: string) {
    this.#file = join(folder, 'counts.log')
  }

  /** Environment that loads the counter into a gate. */
  get env(): Record<string, string> {
    const preload = pathToFileURL(join(import.meta.dirname, 'count-parses.ts')).href
    return { NODE_OPTIONS: `--import ${preload}`, CALLGATE_TEST_COUNTS: this.#file }
  }

  #lines(): { parsed?: number; text?: string; read?: number; port?: number }[] {
    if (!existsSync(this.#file)) return []
    return readFileSync(this.#file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { parsed?: number; text?: string; read?: number; port?: number })
  }

  /** Lengths of the texts that JSON.parse was given, but for the lease that the log's owner reads each second. */
  get parsed(): number[] {
    return this.#lines().flatMap(({ parsed, text }) =>
      text?.startsWith('{"host":') === true ? [] : (parsed ?? []),
    )
  }

  /** Bytes that were read from the connection of this local port; undefined while it is open. */
  readFrom(port: number): number | undefined {
    return this.#lines().find((line) => line.port === port)?.read
  }
}
