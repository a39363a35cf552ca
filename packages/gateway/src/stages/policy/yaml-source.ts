import {
  isAlias,
  LineCounter,
  parseAllDocuments,
  parseDocument,
  visit,
  type Document,
  type ErrorCode,
  type YAMLParseError,
  type YAMLWarning,
} from 'yaml'
import type { Place, Problem } from './problem.ts'

const TABS = 'a tab indents this line (expected spaces)'

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

  #words({ pos: [start], code, message }: YAMLParseError | YAMLWarning): string {
    const line = this.text.slice(this.text.lastIndexOf('\n', start - 1) + 1, start)
    if (code === 'UNEXPECTED_TOKEN' && /^ *\t/.test(line)) return TABS
    return OWN_WORDS[code] ?? sentence(message)
  }

  /** Aliases expand (bombs), anchors and tags change what is read. */
  #judge(document: Document.Parsed): void {
    const [fault] = [...document.errors, ...document.warnings]
    if (fault !== undefined) {
      // What comes after the first is mostly its echo.
      this.add(fault.pos[0], this.#words(fault))
      return
    }
    visit(document, {
      Node: (_key, node) => {
        const offset = offsetOf(node)
        if (isAlias(node))
          this.add(
            offset,
            'aliases are refused (expected the value itself; a glob that begins with `*` stands in quotes)',
          )
        else if (node.anchor !== undefined) this.add(offset, 'anchors are refused (expected plain values)')
        else if (node.tag !== undefined) this.add(offset, 'tags are refused (expected plain values)')
        return undefined
      },
    })
  }
}

/** What the YAML library says in words of its programmers. */
const OWN_WORDS: Readonly<Partial<Record<ErrorCode, string>>> = {
  BAD_DQ_ESCAPE: 'no such escape in double quotes (expected `\\\\` for a backslash, or single quotes)',
  BAD_SCALAR_START: 'a text cannot begin with this character (expected it in quotes)',
  BLOCK_AS_IMPLICIT_KEY:
    'a second `:` in this line, or a line indented too far (expected a text with `: ` in quotes)',
  BLOCK_IN_FLOW: 'a second `:` within `{ }` (expected a text with `: ` in quotes)',
  DUPLICATE_KEY: 'this key stands twice in one mapping (expected it once)',
  MULTIPLE_DOCS: 'a second document begins here (expected one list of rules in a file)',
  NON_STRING_KEY: 'a key is no text (expected a plain word)',
  TAB_AS_INDENT: TABS,
  TAG_RESOLVE_FAILED: 'tags are refused (expected plain values)',
}

/** In the form of our own messages: lower case, one line, without the place, which stands before it. */
function sentence(message: string): string {
  const line = message.split(/ at line \d+|\n/)[0] ?? ''
  return line.charAt(0).toLowerCase() + line.slice(1)
}

/** Where a node begins; 0 for none. */
export function offsetOf(node: unknown): number {
  if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return 0
  const [start] = node.range as unknown[]
  return typeof start === 'number' ? start : 0
}
