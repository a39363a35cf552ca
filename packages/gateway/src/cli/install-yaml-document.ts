import { Unusable, type HostDocument, type HostEntry, type PlaceChange } from './install-document.ts'
import { applyEdits, lineEndOf, type Edit } from './install-edit.ts'
import { addItems, block, listItems } from './install-yaml.ts'

/**
 * Reads a YAML configuration of a host, in which servers are a list under one key of the root.
 * @throws Unusable when it is not YAML of that form
 */
export function readYamlDocument(text: string, key: string): HostDocument {
  const items = listItems(text, key).map((item, index) => ({ ...item, name: nameOf(item.value, index) }))
  const entries = items.map(({ name, value, start, end }): HostEntry => ({
    name,
    value,
    text: text.slice(start, end),
  }))
  const rewrite = ([change, ...others]: readonly PlaceChange[]): string => {
    if (change === undefined) return text
    if (others.length > 0) throw new TypeError('a YAML configuration has one place')
    const gone = items.filter(({ name }) => change.remove.has(name))
    const first = gone[0]
    const written = change.write.map((entry) => {
      if ('text' in entry) return entry.text.endsWith('\n') ? entry.text : entry.text + lineEndOf(text)
      const dash = /^[ ]*/.exec(text.slice(items[0]?.start ?? 0))?.[0].length ?? 0
      return block([{ name: entry.name, ...entry.value }], dash).replaceAll('\n', lineEndOf(text))
    })
    if (first === undefined) {
      const values = change.write.map((entry) => {
        if ('text' in entry) throw new Unusable(`has no server to put \`${entry.name}\` in the place of`)
        return { name: entry.name, ...entry.value }
      })
      return addItems(text, [key], values)
    }
    const edits: Edit[] = gone.map((item) => ({
      start: item.start,
      end: item.end,
      text: item === first ? written.join('') : '',
    }))
    return applyEdits(text, edits)
  }
  return { places: [{ path: [key], entries }], rewrite }
}

/** A list has names inside of its items; one that is taken from the hub has only `uses`. */
function nameOf(value: unknown, index: number): string {
  if (typeof value === 'object' && value !== null) {
    if ('name' in value && typeof value.name === 'string') return value.name
    if ('uses' in value && typeof value.uses === 'string') return value.uses
  }
  return `server ${index + 1}`
}
