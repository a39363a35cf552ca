import { SchemaRefused } from './schema-refused.ts'
import type { Place } from './schema-object.ts'

/**
 * Which edition of JSON Schema a document speaks. `open` is a document without `$schema`: 2020-12 (the MCP default)
 * with the draft-07 spellings that cannot mean anything else.
 */
export type Dialect = 'draft-06' | 'draft-07' | '2019-09' | '2020-12' | 'open'

const DIALECTS: ReadonlyMap<string, Dialect> = new Map([
  ['json-schema.org/draft-06/schema', 'draft-06'],
  ['json-schema.org/draft-07/schema', 'draft-07'],
  ['json-schema.org/draft/2019-09/schema', '2019-09'],
  ['json-schema.org/draft/2020-12/schema', '2020-12'],
])

/** Keywords that an older edition does not know. There they are annotations by the letter and rules by intent. */
const LATER: Partial<Record<Dialect, readonly string[]>> = {
  'draft-06': ['if', 'then', 'else'],
  '2019-09': ['prefixItems', '$dynamicRef', '$dynamicAnchor', 'unevaluatedItems'],
}
const AFTER_DRAFT_07 = [
  'prefixItems',
  'unevaluatedItems',
  'unevaluatedProperties',
  'dependentRequired',
  'dependentSchemas',
  'minContains',
  'maxContains',
  '$anchor',
  '$dynamicRef',
  '$dynamicAnchor',
]

/** Never supported, in any edition: the recursive references of 2019-09. */
const UNSUPPORTED = ['$recursiveRef', '$recursiveAnchor']

/** Edition named by `$schema`. @throws SchemaRefused `schema.dialect` for any other, own vocabularies included. */
export function dialectOf(place: Place, inherited: Dialect): Dialect {
  const uri = place.string('$schema')
  if (uri === undefined) return inherited
  const dialect = DIALECTS.get(uri.replace(/^https?:\/\//, '').replace(/#$/, ''))
  if (dialect !== undefined) return dialect
  throw new SchemaRefused(
    'schema.dialect',
    place.at('$schema'),
    `\`$schema\` at \`${place.pointer}\` names a dialect that is not known here (expected 2020-12, 2019-09, draft-07 or draft-06)`,
  )
}

/**
 * Refuses what this edition does not define: to skip such a keyword or to apply it are both a guess.
 * @throws SchemaRefused `keyword.dialect` or `keyword.<name>`.
 */
export function refuseForeignKeywords(place: Place, dialect: Dialect): void {
  for (const keyword of UNSUPPORTED) {
    if (place.has(keyword)) place.malformed(keyword, 'no such keyword; use `$ref` or 2020-12')
  }
  const old = dialect === 'draft-06' || dialect === 'draft-07'
  const later = [...(LATER[dialect] ?? []), ...(old ? AFTER_DRAFT_07 : [])]
  const keyword = later.find((name) => place.has(name))
  if (keyword === undefined) return
  throw new SchemaRefused(
    'keyword.dialect',
    place.at(keyword),
    `\`${keyword}\` at \`${place.pointer}\` came after ${dialect}, which \`$schema\` names; name 2020-12 or leave it out`,
  )
}

/** Whether an array of schemas under `items` has a meaning (it became `prefixItems` in 2020-12). */
export function hasTupleItems(dialect: Dialect): boolean {
  return dialect !== '2020-12'
}
