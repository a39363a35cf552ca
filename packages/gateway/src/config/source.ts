import {
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
} from 'yaml'
import type { Document, Node, Pair } from 'yaml'
import type { ConfigPath, Problem } from './problem.ts'

/** Longest callgate.yaml, in bytes. */
export const MAX_BYTES = 1024 * 1024

/** Most aliases in the file, and most values that they may stand for together. */
const MAX_ALIASES = 100

const tooDeep = (kind: string): string => `is nested too deeply; ${kind} needs no more than 6 levels`

/** What the YAML library says in words of its programmers. */
const OWN_WORDS: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'the key stands twice in this map; remove one',
  MULTIPLE_DOCS: 'a second document begins here; keep one',
  TAG_RESOLVE_FAILED: 'tags (`!...`) are refused; write the value itself',
}

/** A file read as YAML: its value, and where each part of it stands. */
export interface Source {
  readonly value: unknown
  /** A problem at the value of a path, at its key, or at the nearest parent that exists. */
  problemAt(path: ConfigPath, message: string, at?: 'value' | 'key'): Problem
}

/**
 * Reads strict YAML 1.2: one document, no duplicate keys, no merge keys, no tags of its own, bounded aliases.
 * @param file name that messages use
 * @param kind what the file is, as messages say it
 */
export function readSource(
  bytes: Uint8Array,
  file: string,
  kind = 'callgate.yaml',
): Source | { readonly problems: readonly Problem[] } {
  const whole = (message: string): { problems: Problem[] } => ({
    problems: [{ file, line: undefined, column: undefined, message }],
  })
  if (bytes.length > MAX_BYTES)
    return whole(`is larger than 1 MiB (${bytes.length} bytes); split policy into files of its own`)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return whole('is not valid UTF-8; save it as UTF-8')
  }
  try {
    return parse(text, file, kind)
  } catch (error) {
    // The composer of the YAML library is recursive; what overflows it is no configuration.
    if (error instanceof RangeError) return whole(tooDeep(kind))
    throw error
  }
}

function parse(text: string, file: string, kind: string): Source | { readonly problems: readonly Problem[] } {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    version: '1.2',
    merge: false,
  })
  const problem = (offset: number, message: string): Problem => {
    const { line, col } = lines.linePos(offset)
    return { file, line, column: col, message }
  }
  const faults = [...document.errors, ...document.warnings].map(({ pos, code, message }) =>
    problem(pos[0], OWN_WORDS[code] ?? sentence(message)),
  )
  const overflow = faults.find(({ message }) => message.includes('call stack'))
  if (overflow !== undefined) return { problems: [{ ...overflow, message: tooDeep(kind) }] }
  if (faults.length > 0) return { problems: faults }
  const refused = refusedConstructs(document, problem)
  if (refused.length > 0) return { problems: refused }
  let value: unknown
  try {
    // The library counts the anchor itself too.
    value = document.toJS({ maxAliasCount: MAX_ALIASES + 1 })
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error
    return {
      problems: [problem(0, `aliases stand for more than ${MAX_ALIASES} values; write the values out`)],
    }
  }
  return {
    value,
    problemAt: (path, message, at = 'value') => problem(offsetOf(document, path, at), message),
  }
}

/** What YAML allows and a configuration that people review should not hold. */
function refusedConstructs(
  document: Document.Parsed,
  problem: (offset: number, message: string) => Problem,
): Problem[] {
  const problems: Problem[] = []
  let aliases = 0
  visit(document, {
    Alias(_key, node) {
      aliases += 1
      if (aliases === MAX_ALIASES + 1) {
        problems.push(problem(startOf(node), `more than ${MAX_ALIASES} aliases; write the values out`))
      }
      if (aliases <= MAX_ALIASES && node.resolve(document) === undefined)
        problems.push(
          problem(
            startOf(node),
            'an alias (`*...`) names no anchor; put a text that begins with `*` in quotes',
          ),
        )
    },
    Pair(_key, pair) {
      const key = pair.key
      const offset = startOf(key)
      if (!isScalar(key)) problems.push(problem(offset, 'a key must be a plain word'))
      else if (key.value === '<<')
        problems.push(problem(offset, 'merge keys (`<<`) are refused; write the members out'))
      else if (key.value === '__proto__') problems.push(problem(offset, '`__proto__` is not a known key'))
    },
    Scalar(_key, node) {
      if (typeof node.value === 'string' && node.value.includes('${')) {
        problems.push(problem(startOf(node), '`${...}` is not filled in; write the value itself'))
      }
    },
  })
  return problems
}

/** Offset of the value (or key) at a path; where it is missing, of the nearest parent. */
function offsetOf(document: Document.Parsed, path: ConfigPath, at: 'value' | 'key'): number {
  let node: unknown = document.contents
  let offset = startOf(node)
  for (const [index, part] of path.entries()) {
    const container = resolve(document, node)
    const last = index === path.length - 1
    if (isMap(container)) {
      const pair = container.items.find((item) => isPair(item) && keyText(item) === String(part))
      if (pair === undefined) return offset
      offset = last && at === 'value' && hasOwnText(pair.value) ? startOf(pair.value) : startOf(pair.key)
      node = pair.value
    } else if (isSeq(container)) {
      node = container.items[Number(part)]
      if (node === undefined) return offset
      offset = startOf(node)
    } else return offset
  }
  return offset
}

/** An empty value and a whole map have no text that a column could point at: their key has. */
function hasOwnText(value: unknown): boolean {
  return (
    isAlias(value) ||
    (isScalar(value) && value.value !== null) ||
    (isCollection(value) && value.flow === true)
  )
}

function resolve(document: Document.Parsed, node: unknown): unknown {
  return isAlias(node) ? node.resolve(document) : node
}

function keyText(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : ''
}

function startOf(node: unknown): number {
  const range = (node as Partial<Node> | null)?.range
  return range?.[0] ?? 0
}

/** Messages of the YAML library, in the form of ours: lower case, one line, no final period. */
function sentence(message: string): string {
  // What stands behind a colon or a percent sign is the user's own text, which may be a secret that was not put in quotes.
  const line = message.split(/[\n:%]/)[0] ?? message
  return (line.charAt(0).toLowerCase() + line.slice(1)).replace(/[\s.]+$/, '')
}
