import {
  MASK,
  samePath,
  Unusable,
  type HostDocument,
  type HostEntry,
  type NewEntry,
  type PlaceChange,
  type ServerPlace,
  type Shown,
} from './install-document.ts'
import { applyEdits, lineEndOf, wholeLines, type Edit } from './install-edit.ts'
import { readJson, valueOf, type JsonMember, type JsonNode } from './install-json.ts'

type JsonObject = Extract<JsonNode, { kind: 'object' }>

/**
 * Reads a JSON configuration of a host.
 * @param patterns paths of the places with servers, the main one first; `*` stands for any key
 * @throws Unusable when it is no JSON object, or a place is none
 */
export function readJsonDocument(text: string, patterns: readonly (readonly string[])[]): HostDocument {
  const { root } = readJson(text)
  if (root.kind !== 'object') throw new Unusable('is not an object (expected `{`)', root.start)
  const found = patterns.flatMap((pattern) => objectsAt(root, pattern))
  const main = patterns[0] ?? []
  const places: ServerPlace[] = found.map(({ path, node }) => ({ path, entries: entriesOf(text, node) }))
  if (!found.some(({ path }) => samePath(path, main))) places.unshift({ path: main, entries: [] })
  return {
    places,
    rewrite: (changes) =>
      applyEdits(
        text,
        changes.flatMap((change) => {
          const place = found.find(({ path }) => samePath(path, change.path))
          return place === undefined
            ? insertPlace(text, root, change)
            : editsOf(text, place.node, change, place.path.length)
        }),
      ),
  }
}

/** The text with comments and with every value that `shown` does not show masked; lines stay lines. */
export function maskJson(text: string, shown: Shown): string {
  const { root, comments } = readJson(text)
  const edits: Edit[] = comments.map(({ start, end }) => ({
    start,
    end,
    text: text
      .slice(start, end)
      .replace(/[^\r\n]+/g, (line, at) => (at === 0 ? `${line.slice(0, 2)} ${MASK}` : MASK)),
  }))
  const visit = (node: JsonNode, path: readonly (string | number)[], before: string | undefined): void => {
    if (node.kind === 'object')
      for (const { key, node: member } of node.members) visit(member, [...path, key], undefined)
    else if (node.kind === 'array')
      for (const [index, item] of node.items.entries())
        visit(item, [...path, index], textOf(node.items[index - 1]))
    else if (typeof node.value === 'string' || typeof node.value === 'number') {
      const value = String(node.value)
      const visible = shown(path, value, before)
      if (visible !== value)
        edits.push({ start: node.start, end: node.end, text: JSON.stringify(visible ?? MASK) })
    }
  }
  visit(root, [], undefined)
  return applyEdits(text, edits)
}

function textOf(node: JsonNode | undefined): string | undefined {
  return node?.kind === 'scalar' ? String(node.value) : undefined
}

/** Objects at a path; a key on the way that stands twice is refused, since hosts differ in which one they read. */
function objectsAt(
  root: JsonObject,
  pattern: readonly string[],
): { path: readonly string[]; node: JsonObject }[] {
  let level: { path: readonly string[]; node: JsonObject }[] = [{ path: [], node: root }]
  for (const part of pattern) {
    level = level.flatMap(({ path, node }) => {
      const members = part === '*' ? node.members : node.members.filter(({ key }) => key === part)
      refuseTwins(members)
      return members.flatMap(({ key, node: member }) => {
        if (member.kind === 'object') return [{ path: [...path, key], node: member }]
        if (part === '*') return []
        throw new Unusable(`has \`${key}\` that is not an object`, member.start)
      })
    })
  }
  return level
}

function refuseTwins(members: readonly JsonMember[]): void {
  const seen = new Set<string>()
  for (const { key, start } of members) {
    if (seen.has(key)) throw new Unusable(`has the key \`${key}\` twice; remove one`, start)
    seen.add(key)
  }
}

function entriesOf(text: string, place: JsonObject): HostEntry[] {
  refuseTwins(place.members)
  return place.members.map((member) => ({
    name: member.key,
    value: valueOf(member.node),
    text: text.slice(member.start, member.node.end),
  }))
}

/** The edits of one place: what is written takes the place of the first entry that is removed, or goes to the end. */
function editsOf(text: string, place: JsonObject, change: PlaceChange, depth: number): Edit[] {
  const removed = place.members.filter(({ key }) => change.remove.has(key))
  const first = removed[0]
  if (first === undefined) return insertAtEnd(text, place, change.write, depth)
  const edits: Edit[] = []
  let gone = removed
  if (change.write.length > 0) {
    const style = styleOf(text, place, depth)
    const written = change.write.map((entry) => memberText(entry, style)).join(`,${style.between}`)
    edits.push({ start: first.start, end: first.node.end, text: written })
    gone = removed.slice(1)
  }
  for (const member of gone) edits.push(...removal(text, member))
  const last = place.members.at(-1)
  const survivor = place.members.findLast((member) => !gone.includes(member))
  // The last one takes no comma with it; so the one that is last from now on gives up its own.
  if (last !== undefined && gone.includes(last) && last.comma === undefined && survivor?.comma !== undefined)
    edits.push({ start: survivor.comma, end: survivor.comma + 1, text: '' })
  return edits
}

function removal(text: string, { start, node, comma }: JsonMember): Edit[] {
  // A comment may stand between a value and its comma; it stays.
  const together = comma !== undefined && text.slice(node.end, comma).trim() === ''
  const range = wholeLines(text, start, together ? comma + 1 : node.end)
  const edits: Edit[] = [{ ...range, text: '' }]
  if (comma !== undefined && !together) edits.push({ start: comma, end: comma + 1, text: '' })
  return edits
}

function insertAtEnd(text: string, place: JsonObject, write: readonly NewEntry[], depth: number): Edit[] {
  if (write.length === 0) return []
  const style = styleOf(text, place, depth)
  const written = write.map((entry) => memberText(entry, style)).join(`,${style.between}`)
  const last = place.members.at(-1)
  if (last === undefined) {
    const inside = text.slice(place.start + 1, place.end - 1)
    const close = style.outer === undefined ? '' : style.outer
    // Comments inside an empty object stay where they are, before what is written.
    return inside.trim() === ''
      ? [{ start: place.start + 1, end: place.end - 1, text: `${style.open}${written}${close}` }]
      : [{ start: place.end - 1, end: place.end - 1, text: `${style.open}${written}${close}` }]
  }
  const end = last.comma === undefined ? last.node.end : last.comma + 1
  const behind =
    end +
    (/^[ \t]*(?:\/\/[^\r\n]*|\/\*[^\r\n]*?\*\/[ \t]*(?=[\r\n]))?/.exec(text.slice(end))?.[0] ?? '').length
  const at = text.slice(end, behind).trim() === '' ? end : behind
  const comma: Edit[] =
    last.comma === undefined ? [{ start: last.node.end, end: last.node.end, text: ',' }] : []
  const whole = { start: at, end: at, text: style.between + written }
  // Two edits at the same offset would depend on their order.
  return at === last.node.end && comma.length > 0 ? [{ ...whole, text: `,${whole.text}` }] : [...comma, whole]
}

/** Makes the main place where the file has none. */
function insertPlace(text: string, root: JsonObject, change: PlaceChange): Edit[] {
  const [key] = change.path
  if (key === undefined || change.path.length !== 1)
    throw new Unusable(`has no \`${change.path.join('.')}\` any more`)
  const style = styleOf(text, root, 0)
  const inner: Style = style.outer === undefined ? style : deeper(style)
  const members = change.write.map((entry) => memberText(entry, inner)).join(`,${inner.between}`)
  const value = `{${inner.open}${members}${inner.outer ?? ''}}`
  return insertAtEnd(text, root, [{ name: key, text: `${JSON.stringify(key)}: ${value}` }], 0)
}

/** How members of an object are set: each on a line of its own, or all on one line (`outer` is undefined then). */
interface Style {
  readonly newline: string
  readonly unit: string
  readonly indent: string
  /** Between the bracket and the first member. */
  readonly open: string
  /** Between members, after the comma. */
  readonly between: string
  /** Between the last member and the bracket. */
  readonly outer: string | undefined
}

function styleOf(text: string, place: JsonObject, depth: number): Style {
  const newline = lineEndOf(text)
  const unit = unitOf(text)
  const first = place.members[0]
  const lineStart = first === undefined ? 0 : text.lastIndexOf('\n', first.start) + 1
  const ahead = first === undefined ? '' : text.slice(lineStart, first.start)
  const oneLine = first !== undefined && !text.slice(place.start, place.end).includes('\n')
  if (oneLine) return { newline, unit, indent: '', open: '', between: ' ', outer: undefined }
  const indent = first !== undefined && /^[ \t]*$/.test(ahead) ? ahead : unit.repeat(depth + 1)
  return lines(newline, unit, indent)
}

function lines(newline: string, unit: string, indent: string): Style {
  const outer = indent.endsWith(unit) ? indent.slice(0, -unit.length) : ''
  return { newline, unit, indent, open: newline + indent, between: newline + indent, outer: newline + outer }
}

function deeper({ newline, unit, indent }: Style): Style {
  return lines(newline, unit, indent + unit)
}

/** The first indentation of the file; two blanks where it has none. */
function unitOf(text: string): string {
  return /\n([ \t]+)\S/.exec(text)?.[1] ?? '  '
}

function memberText(entry: NewEntry, style: Style): string {
  if ('text' in entry) return entry.text
  const value =
    style.outer === undefined
      ? JSON.stringify(entry.value)
      : JSON.stringify(entry.value, null, style.unit).replaceAll('\n', style.newline + style.indent)
  return `${JSON.stringify(entry.name)}: ${value}`
}
