import type { Json, JsonObject } from '../../call/json.ts'
import { isJsonObject } from '../../call/json.ts'

/** Where ids of one type stand in the arguments of a tool. */
export interface OwnedPlace {
  readonly type: string
  readonly relation: string | undefined
  /** Members of a JSON pointer, `*` for any member or item. */
  readonly path: readonly string[]
  /** Names of members instead of their values. */
  readonly keys: boolean
  /** What separates several ids in one text; undefined: a text is one id. */
  readonly split: string | undefined
  /** The first group is the id, wherever it matches; undefined: the text is the id. Linear in the text. */
  readonly idsIn: ((text: string) => readonly string[]) | undefined
  /** Whether a call without any id there is refused. */
  readonly required: boolean
}

/** Most ids of one call: each may be a question to somebody. */
export const MAX_IDS = 100
/** Longest id, in UTF-16 units. */
const MAX_ID = 512

/** What stands at a place is no id. The message holds nothing of it. */
export class NoId extends Error {
  override readonly name = 'NoId'
}

/**
 * The ids at a place, each once. Null is no id and counts as absent, as servers take it.
 * @throws NoId for what cannot be one: an object, a truth value, a fraction, a text that the pattern does not match
 */
export function idsAt(args: JsonObject, place: OwnedPlace): readonly string[] {
  const ids = new Set<string>()
  const take = (value: Json): void => {
    if (value === null) return
    if (Array.isArray(value)) return value.forEach(take)
    for (const id of idsOf(value, place)) ids.add(id)
    if (ids.size > MAX_IDS) throw new NoId(`more than ${MAX_IDS} ids`)
  }
  walk(args, place.path, (found) => {
    if (!place.keys) return take(found)
    if (!isJsonObject(found)) throw new NoId('no object with ids for names')
    Object.keys(found).forEach(take)
  })
  return [...ids]
}

function walk(value: Json, path: readonly string[], found: (value: Json) => void): void {
  const [part, ...rest] = path
  if (part === undefined) return found(value)
  if (Array.isArray(value)) {
    // An item by its number would miss the same id one place on.
    for (const item of value) walk(item, part === '*' || /^\d+$/.test(part) ? rest : path, found)
  } else if (isJsonObject(value)) {
    if (part === '*') for (const member of Object.values(value)) walk(member, rest, found)
    else if (Object.hasOwn(value, part)) walk(value[part] ?? null, rest, found)
  } else if (value !== null) throw new NoId('a value where members were expected')
}

function idsOf(value: Json, place: Pick<OwnedPlace, 'split' | 'idsIn'>): readonly string[] {
  const { split, idsIn } = place
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new NoId('a number that is no id')
    return idsOf(String(value), place)
  }
  if (typeof value !== 'string') throw new NoId('no text and no number')
  const texts = split === undefined ? [value] : value.split(split).map((part) => part.trim())
  return texts.flatMap((text) => {
    const ids = idsIn === undefined ? [text] : idsIn(text)
    if (ids.length === 0) throw new NoId('a text without an id in it')
    if (ids.some((id) => id === '' || id.length > MAX_ID)) throw new NoId('an empty or too long id')
    return ids
  })
}
