import {
  Document,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  parseDocument,
  visit,
  type Node,
  type Pair,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import { MASK, Unusable, type Shown } from './install-document.ts'
import { applyEdits, lineEndOf, type Edit } from './install-edit.ts'

// YAML is edited as text, at places that the library tells: written out by the library, every line of a person would
// be set anew.

/**
 * Reads one YAML document whose root is a map, or nothing.
 * @throws Unusable with the offset of the first fault
 */
export function readYaml(text: string): Document.Parsed {
  const document = parseDocument(text, { prettyErrors: false, lineCounter: new LineCounter() })
  const fault = document.errors[0]
  if (fault !== undefined)
    throw new Unusable(`is not YAML (${fault.code.toLowerCase().replaceAll('_', ' ')})`, fault.pos[0])
  if (
    document.contents !== null &&
    !isMap(document.contents) &&
    text.trim() !== '' &&
    !isEmpty(document.contents)
  )
    throw new Unusable('is not a map (expected `key: value` lines)', startOf(document.contents))
  return document
}

/** Adds members to the map under a key of the root; makes the key where it is missing. */
export function addMembers(text: string, key: string, members: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(members)
  if (entries.length === 0) return text
  const { root, pair } = rootPair(text, key)
  const value = pair?.value
  if (isMap(value) && value.items.length > 0) {
    if (value.flow === true) {
      const json = entries.map(([name, member]) => `, ${JSON.stringify(name)}: ${JSON.stringify(member)}`)
      return insert(text, endOf(value.items.at(-1)), json.join(''))
    }
    const indent = columnOf(text, startOf(value.items[0]?.key))
    return insertLines(text, endOf(value.items.at(-1)), block(members, indent))
  }
  return replaceEmpty(text, root, key, pair, (indent) => block(members, indent + 2))
}

/** Adds items to the list under a path of at most two keys, the first of them in the root; makes the list where it is missing. */
export function addItems(text: string, path: readonly [string, string?], items: readonly unknown[]): string {
  if (items.length === 0) return text
  const [key, inner] = path
  const { root, pair } = rootPair(text, key)
  const holder = inner === undefined ? pair : pairOf(pair?.value, inner)
  const value = holder?.value
  if (isSeq(value) && value.items.length > 0) {
    if (value.flow === true)
      return insert(
        text,
        endOf(value.items.at(-1)),
        items.map((item) => `, ${JSON.stringify(item)}`).join(''),
      )
    return insertLines(text, endOf(value.items.at(-1)), block(items, dashColumn(text, value)))
  }
  if (inner !== undefined) throw new Unusable(`has no list \`${key}.${inner}\``, startOf(pair?.key))
  return replaceEmpty(text, root, key, pair, (indent) => block(items, indent + 2))
}

/** Items of a block list in the root: each with the range of its lines, from its dash on. */
export function listItems(
  text: string,
  key: string,
): readonly { readonly value: unknown; readonly start: number; readonly end: number }[] {
  const { document, pair } = rootPair(text, key)
  const list = pair?.value
  if (list === undefined || list === null || isEmpty(list)) return []
  if (!isSeq(list)) throw new Unusable(`has \`${key}\` that is not a list`, startOf(list))
  if (list.items.length === 0) return []
  if (list.flow === true)
    throw new Unusable(`has \`${key}\` in brackets; write it as lines that begin with \`-\``, startOf(list))
  const values: unknown = document.toJS()
  const all = isObject(values) ? values[key] : undefined
  return list.items.map((item, index) => {
    const start = text.lastIndexOf('\n', startOf(item) - 1) + 1
    return {
      value: Array.isArray(all) ? (all[index] as unknown) : undefined,
      start,
      end: lineAfter(text, endOf(item)),
    }
  })
}

/** Lines that stand for a value, each indented by `indent` blanks, with a line end after each. */
export function block(value: unknown, indent: number): string {
  const document = new Document(value, { aliasDuplicateObjects: false })
  visit(document, {
    // Lists of words and maps of one word are set in one line, as a person would.
    Seq: (key, list) => void (list.flow = key !== null && list.items.every((item) => isScalar(item))),
    Map: (key, map) =>
      void (map.flow = key !== null && map.items.length === 1 && isScalar(map.items[0]?.value)),
  })
  const lines = document.toString({ lineWidth: 0, flowCollectionPadding: true }).split('\n')
  return lines.map((line) => (line === '' ? line : ' '.repeat(indent) + line)).join('\n')
}

/** The text with comments and with every value that `shown` does not show masked; lines stay lines. */
export function maskYaml(
  text: string,
  shown: Shown,
  comments: 'comments masked' | 'comments shown' = 'comments masked',
): string {
  const document = readYaml(text)
  const edits: Edit[] = comments === 'comments shown' ? [] : commentsOf(text)
  visit(document, {
    Scalar(key, node, ancestors) {
      if (key === 'key' || node.range === null || node.range === undefined) return
      if (typeof node.value !== 'string' && typeof node.value !== 'number') return
      const [start, end] = node.range
      const parent = ancestors.at(-1)
      const before = isSeq(parent) && typeof key === 'number' ? parent.items[key - 1] : undefined
      const value = String(node.value)
      const path = pathOf(ancestors, key)
      const visible = shown(path, value, isScalar(before) ? String(before.value) : undefined)
      if (visible === value) return
      const breaks = text.slice(start, end).match(/\r?\n/g) ?? []
      edits.push({ start, end, text: JSON.stringify(visible ?? MASK) + breaks.join('') })
    },
  })
  return applyEdits(text, edits)
}

/** Tokens that stand for no text: the beginning of a document, of a scalar, of a broken flow collection. */
const LEXER_MARKS = new Set(['\u0002', '\u0018', '\u001f'])

/** Comments, from the tokens: a `#` inside of a text is none. */
function commentsOf(text: string): Edit[] {
  const edits: Edit[] = []
  let at = 0
  for (const token of new Lexer().lex(text)) {
    if (LEXER_MARKS.has(token)) continue
    if (token.startsWith('#')) edits.push({ start: at, end: at + token.length, text: `# ${MASK}` })
    at += token.length
  }
  return edits
}

function pathOf(ancestors: readonly unknown[], key: unknown): (string | number)[] {
  const path: (string | number)[] = []
  for (const [index, ancestor] of ancestors.entries()) {
    const child: unknown = ancestors[index + 1]
    if (isPairLike(ancestor)) path.push(isScalar(ancestor.key) ? String(ancestor.key.value) : '?')
    else if (isSeq(ancestor)) path.push(child === undefined ? Number(key) : ancestor.items.indexOf(child))
  }
  return path
}

function rootPair(text: string, key: string) {
  const document = readYaml(text)
  const root = isMap(document.contents) ? document.contents : undefined
  if (root?.flow === true)
    throw new Unusable('is written in braces; write it as `key: value` lines', startOf(root))
  return { document, root, pair: pairOf(root, key) }
}

function pairOf(map: unknown, key: string): Pair | undefined {
  if (!isMap(map)) return undefined
  return (map as YAMLMap).items.find((pair) => isScalar(pair.key) && pair.key.value === key)
}

/** Puts lines under a key whose value is empty, or under a new key at the end of the root. */
function replaceEmpty(
  text: string,
  root: YAMLMap | undefined,
  key: string,
  pair: Pair | undefined,
  lines: (indent: number) => string,
): string {
  const newline = lineEndOf(text)
  if (pair === undefined) {
    const ended = text === '' || text.endsWith('\n') ? text : text + newline
    return `${ended}${key}:${newline}${lines(0).replaceAll('\n', newline)}`
  }
  const { value } = pair
  if (!isEmpty(value)) throw new Unusable(`has \`${key}\` in a form that is not known`, startOf(value))
  const indent = columnOf(text, startOf(pair.key))
  const range = rangeOf(value)
  const colon = text.indexOf(':', rangeOf(pair.key)?.[1] ?? 0) + 1
  const bare =
    range === undefined
      ? text
      : applyEdits(text, [{ start: colon, end: Math.max(colon, range[1]), text: '' }])
  return insertLines(bare, colon, lines(root === undefined ? 0 : indent))
}

/** Puts lines after the line that holds an offset. */
function insertLines(text: string, offset: number, lines: string): string {
  const newline = lineEndOf(text)
  const at = lineAfter(text, offset)
  const ahead = at > 0 && text[at - 1] !== '\n' ? newline : ''
  return insert(text, at, ahead + lines.replaceAll('\n', newline))
}

function insert(text: string, at: number, added: string): string {
  return applyEdits(text, [{ start: at, end: at, text: added }])
}

/** Offset of the line after the one in which a value ends, or the end of the text. */
function lineAfter(text: string, offset: number): number {
  // The range of a block scalar holds its last line end.
  const next = text.indexOf('\n', text.slice(0, offset).trimEnd().length)
  return next === -1 ? text.length : next + 1
}

/** Where the last sign of a value stands: a block's own range reaches over the comments behind it. */
function endOf(node: unknown): number {
  if (isPairLike(node)) return node.value === null ? endOf(node.key) : endOf(node.value)
  if ((isMap(node) || isSeq(node)) && node.flow !== true && node.items.length > 0)
    return endOf(node.items.at(-1))
  const range = rangeOf(node)
  if (range === undefined) return 0
  return range[1]
}

function startOf(node: unknown): number {
  return rangeOf(node)?.[0] ?? 0
}

function rangeOf(node: unknown): readonly [number, number, number] | undefined {
  if (!isObject(node)) return undefined
  const { range } = node as Partial<Node>
  return range ?? undefined
}

function columnOf(text: string, offset: number): number {
  return offset - (text.lastIndexOf('\n', offset - 1) + 1)
}

function dashColumn(text: string, list: YAMLSeq): number {
  const offset = startOf(list.items[0])
  return columnOf(text, text.lastIndexOf('-', offset - 1))
}

function isEmpty(node: unknown): boolean {
  return (
    node === null ||
    node === undefined ||
    (isScalar(node) && node.value === null) ||
    ((isMap(node) || isSeq(node)) && node.items.length === 0)
  )
}

function isPairLike(node: unknown): node is Pair {
  return isObject(node) && 'key' in node && 'value' in node && !('range' in node)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
