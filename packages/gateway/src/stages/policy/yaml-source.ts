import { isAlias, LineCounter, parseAllDocuments, parseDocument, visit, type Document } from 'yaml'
import type { Place, Problem } from './problem.ts'

/** Largest policy file in UTF-16 units. */
export const MAX_FILE_LENGTH = 1_048_576

/** A YAML file as plain data with places: what YAML can do beyond data is refused. */
export class YamlSource {
  readonly problems: Problem[] = []
  readonly file: string
  readonly text: string
  readonly #lines = new LineCounter()

  constructor(file: string, text: string) {
    this.file = file
    this.text = text
  }

  /** The documents of the file; none when anything is wrong with it. Never throws. */
  documents(count: 'one' | 'many'): readonly Document.Parsed[] {
    if (this.text.length > MAX_FILE_LENGTH) {
      this.add(0, `file is ${this.text.length} characters long (expected at most ${MAX_FILE_LENGTH})`)
      return []
    }
    const options = { lineCounter: this.#lines, version: '1.2', stringKeys: true } as const
    try {
      const all =
        count === 'one' ? [parseDocument(this.text, options)] : parseAllDocuments(this.text, options)
      const documents: readonly Document.Parsed[] = Array.isArray(all) ? all : []
      for (const document of documents) this.#judge(document)
      return this.problems.length === 0 ? documents : []
    } catch (error) {
      // The parser recurses: a tower of brackets ends here as a stack overflow.
      const why = error instanceof Error ? error.message.split('\n')[0] : 'unknown'
      this.add(0, `file cannot be read as YAML: ${why}`)
      return []
    }
  }

  place(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }

  add(offset: number, message: string): void {
    this.problems.push({ file: this.file, ...this.place(offset), message })
  }

  /** Aliases expand (bombs), anchors and tags change what is read. */
  #judge(document: Document.Parsed): void {
    for (const error of [...document.errors, ...document.warnings]) {
      this.add(error.pos[0], error.message.split(/ at line \d+|\n/)[0] ?? error.code)
    }
    if (document.errors.length > 0) return
    visit(document, {
      Node: (_key, node) => {
        const offset = offsetOf(node)
        if (isAlias(node)) this.add(offset, 'aliases are refused (expected the value itself)')
        else if (node.anchor !== undefined) this.add(offset, 'anchors are refused (expected plain values)')
        else if (node.tag !== undefined) this.add(offset, 'tags are refused (expected plain values)')
        return undefined
      },
    })
  }
}

/** Where a node begins; 0 for none. */
export function offsetOf(node: unknown): number {
  if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return 0
  const [start] = node.range as unknown[]
  return typeof start === 'number' ? start : 0
}
