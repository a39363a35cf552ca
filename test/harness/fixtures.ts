import { existsSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('fixture-server.ts', import.meta.url))

/** A tool that takes one text. */
export const textTool = (name: string, more: object = {}): object => ({
  name,
  description: `The tool ${name}`,
  inputSchema: { type: 'object', properties: { text: { type: 'string' } } },
  ...more,
})

/** What one process of a fixture server received. */
export interface Received {
  readonly pid: number
  readonly line: string
}

/** The folder of a fixture server: what it lists, and what it received. */
export class Fixture {
  readonly folder = mkdtempSync(join(tmpdir(), 'callgate-fixture-'))

  constructor(tools: readonly object[]) {
    this.list(tools)
  }

  /** YAML of the server's entry, but for the indentation of what follows. */
  yaml(id: string, options: { behaviour?: string; more?: string } = {}): string {
    const { behaviour = 'well', more = 'approve: first-use' } = options
    const rest = more.replaceAll('\n', '\n  ')
    return `${id}:\n  command: [node, ${PROGRAM}, ${this.folder}, ${behaviour}]\n  ${rest}`
  }

  /** Changes what every process lists from now on. */
  list(tools: readonly object[]): void {
    writeFileSync(join(this.folder, 'tools.json'), JSON.stringify(tools))
  }

  /** Changes what processes that start from now on list, and nobody else. */
  listLater(tools: readonly object[]): void {
    writeFileSync(join(this.folder, 'tools-later.json'), JSON.stringify(tools))
  }

  get received(): Received[] {
    const file = join(this.folder, 'lines.log')
    if (!existsSync(file)) return []
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Received)
  }

  /** Lines with this method. */
  receivedOf(method: string): Received[] {
    return this.received.filter(({ line }) => line.includes(`"method":"${method}"`))
  }

  /** Environment of every process, as it saw it. */
  get environments(): Record<string, string>[] {
    return readdirSync(this.folder)
      .filter((name) => name.startsWith('environment-'))
      .map((name) => JSON.parse(readFileSync(join(this.folder, name), 'utf8')) as Record<string, string>)
  }
}
