import type { Json, JsonObject } from '../call/json.ts'
import { isJsonObject, member } from '../call/json.ts'
import { canonicalize } from '@callgate/evidence'

/**
 * What a changed definition means for the approved one (SECURITY.md 4.8, rug pull).
 * `compatible`: calls that fit the approved input schema still fit the new one, so the approved definition goes on
 * being served while the diff waits. Everything else removes the tool until someone approves.
 */
export type Drift =
  | { readonly kind: 'same' }
  | { readonly kind: 'compatible'; readonly changes: readonly string[] }
  | { readonly kind: 'incompatible' | 'suspicious'; readonly changes: readonly string[] }

/** Compares what a server says today with what was approved. */
export function compareDefinitions(approved: JsonObject, seen: JsonObject): Drift {
  const changes = changedPaths(approved, seen, '')
  if (changes.length === 0) return { kind: 'same' }
  const suspicious = suspicions(approved, seen)
  if (suspicious.length > 0) return { kind: 'suspicious', changes: suspicious }
  const broken = narrowings(member(approved, 'inputSchema'), member(seen, 'inputSchema'))
  if (broken.length > 0) return { kind: 'incompatible', changes: broken }
  return { kind: 'compatible', changes }
}

/** Signs of a server that turns: hints that get laxer, characters that no reader sees. */
function suspicions(approved: JsonObject, seen: JsonObject): string[] {
  const found: string[] = []
  if (hint(approved, 'readOnlyHint') === true && hint(seen, 'readOnlyHint') !== true) {
    found.push('`annotations.readOnlyHint` was true and is not any more')
  }
  if (hint(approved, 'destructiveHint') === false && hint(seen, 'destructiveHint') !== false) {
    found.push('`annotations.destructiveHint` was false and is not any more')
  }
  found.push(...hiddenCharacters(seen))
  return found
}

function hint(definition: JsonObject, name: string): Json | undefined {
  const annotations = member(definition, 'annotations')
  return isJsonObject(annotations) ? member(annotations, name) : undefined
}

// Controls but tab and line breaks, and what hides or reorders text: format characters, fillers, variation selectors (bytes
// can be written in them), line separators, half surrogates, private and unassigned ones (SECURITY.md 3.1, threat 2).
// One U+FE0F may stand behind an emoji, where honest descriptions have it.
const HIDDEN =
  /(?!\u{fe0f})[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u{2800}]|(?<!\p{Emoji})\u{fe0f}|(?![\t\n\r])\p{Cc}/u

/** Paths of strings (member names included) that hold characters which a reader does not see. */
export function hiddenCharacters(value: Json, path = ''): string[] {
  if (typeof value === 'string') return HIDDEN.test(value) ? [`hidden characters at \`${path}\``] : []
  if (Array.isArray(value)) return value.flatMap((item, i) => hiddenCharacters(item, `${path}/${i}`))
  if (!isJsonObject(value)) return []
  return Object.entries(value).flatMap(([key, item]) =>
    HIDDEN.test(key)
      ? [`hidden characters in a member name at \`${path}\``]
      : hiddenCharacters(item, `${path}/${key}`),
  )
}

const same = (a: Json | undefined, b: Json | undefined) =>
  a === undefined || b === undefined ? a === b : canonicalize(a) === canonicalize(b)

/** Where two definitions differ, at most 20 places. */
function changedPaths(a: Json | undefined, b: Json | undefined, path: string): string[] {
  // Objects are walked and never compared whole: at every depth again, that would cost depth times size.
  if (!isJsonObject(a) || !isJsonObject(b)) {
    if (same(a, b)) return []
    const verb = a === undefined ? 'added' : b === undefined ? 'removed' : 'changed'
    return [`\`${path || '/'}\` ${verb}`]
  }
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort()
  return keys.flatMap((key) => changedPaths(member(a, key), member(b, key), `${path}/${key}`)).slice(0, 20)
}

const SPEAKS_OF_OTHERS = new Set([
  '$ref',
  '$dynamicRef',
  'additionalProperties',
  'allOf',
  'anyOf',
  'dependentSchemas',
  'else',
  'if',
  'not',
  'oneOf',
  'patternProperties',
  'then',
  'unevaluatedProperties',
])

const DOCUMENTATION = new Set(['title', 'description', '$comment', 'examples', 'default', 'deprecated'])

/**
 * Reasons why a call that fits the approved schema may not fit the new one. Only what is surely wider passes:
 * the same schema, other documentation, or new optional members beside the old ones.
 */
function narrowings(approved: Json | undefined, seen: Json | undefined): string[] {
  if (same(approved, seen)) return []
  if (!isJsonObject(approved) || !isJsonObject(seen)) return ['`/inputSchema` is of another kind']
  const found: string[] = []
  // A schema that speaks of members beside its `properties` may have said something about a new one: it could be narrower now.
  const closed = Object.keys(approved).every(
    (key) => !SPEAKS_OF_OTHERS.has(key) || member(approved, key) === false,
  )
  for (const key of new Set([...Object.keys(approved), ...Object.keys(seen)])) {
    if (DOCUMENTATION.has(key) || same(member(approved, key), member(seen, key))) continue
    if (key === 'properties' && closed) found.push(...narrowedProperties(approved, seen))
    else found.push(`\`/inputSchema/${key}\` changed`)
  }
  return found
}

function narrowedProperties(approved: JsonObject, seen: JsonObject): string[] {
  const before = member(approved, 'properties')
  const after = member(seen, 'properties')
  if (!isJsonObject(before) || !isJsonObject(after)) return ['`/inputSchema/properties` is of another kind']
  return Object.keys(before).flatMap((name) =>
    same(undocumented(member(before, name)), undocumented(member(after, name)))
      ? []
      : [`\`/inputSchema/properties/${name}\` changed`],
  )
}

function undocumented(schema: Json | undefined): Json | undefined {
  if (!isJsonObject(schema)) return schema
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !DOCUMENTATION.has(key)))
}
