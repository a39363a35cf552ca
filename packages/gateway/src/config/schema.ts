import { z } from 'zod'
import { declaration } from './declaration.ts'
import type { ConfigPath } from './problem.ts'

/** The keywords of JSON Schema that the declaration gives rise to. */
export interface SchemaNode {
  readonly description?: string
  /** The form of a text, in words. */
  readonly title?: string
  readonly type?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly pattern?: string
  readonly items?: SchemaNode
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly required?: readonly string[]
  readonly propertyNames?: SchemaNode
  readonly additionalProperties?: SchemaNode | false
  /** Forms of a map that one of its keys tells apart. */
  readonly oneOf?: readonly SchemaNode[]
}

/** JSON Schema (draft 2020-12) of callgate.yaml as people write it; docs/callgate.schema.json is made from it. */
export function configSchema(): SchemaNode & { readonly $schema?: string } {
  const { $schema, ...schema } = z.toJSONSchema(declaration, { io: 'input' })
  const server = schema as { properties?: { servers?: { additionalProperties?: Record<string, unknown> } } }
  const entry = server.properties?.servers?.additionalProperties
  // Said in code by superRefine, which JSON Schema does not see.
  if (entry !== undefined) entry['oneOf'] = [{ required: ['command'] }, { required: ['url'] }]
  return { $schema, title: 'callgate.yaml', ...schema } as SchemaNode & { $schema?: string }
}

/**
 * The part of the schema that a path of the configuration falls under; undefined for unknown keys.
 * @param value what the file holds: it tells which form of a map is meant
 */
export function schemaAt(path: ConfigPath, root: SchemaNode, value?: unknown): SchemaNode | undefined {
  let node: SchemaNode | undefined = root
  let held = value
  for (const part of path) {
    const map: SchemaNode | undefined = node && formOf(node, held)
    held = memberOf(held, part)
    if (typeof part === 'number') node = map?.items
    else if (map?.properties && Object.hasOwn(map.properties, part)) node = map.properties[part]
    else node = map?.additionalProperties === false ? undefined : map?.additionalProperties
  }
  return node && formOf(node, held)
}

/** The form that a map is written in; the node itself where it has one form, or where the key that tells is wrong. */
function formOf(node: SchemaNode, value: unknown): SchemaNode {
  if (node.oneOf === undefined || node.properties) return node
  const key = tellingKey(node.oneOf)
  const form = node.oneOf.find(({ properties = {} }) => tells(properties[key]).includes(memberOf(value, key)))
  if (form !== undefined) return form
  return {
    ...node,
    properties: { [key]: { enum: node.oneOf.flatMap(({ properties = {} }) => tells(properties[key])) } },
  }
}

/** The key whose values tell the forms of a map apart. */
function tellingKey(forms: readonly SchemaNode[]): string {
  const keys = Object.entries(forms[0]?.properties ?? {})
  return keys.find(([, node]) => tells(node).length > 0)?.[0] ?? ''
}

function tells(node: SchemaNode | undefined): readonly unknown[] {
  return node?.enum ?? (node?.const === undefined ? [] : [node.const])
}

/** What stands below a map or list by its own key. */
export function memberOf(value: unknown, part: string | number): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
  return (value as Readonly<Record<string | number, unknown>>)[part]
}

/** What a value must be, in words: `an integer from 1 to 600`. */
export function expectation(node: SchemaNode): string {
  if (node.enum) return listOf(node.enum.map((value) => `\`${String(value)}\``))
  switch (node.type) {
    case 'boolean':
      return '`true` or `false`'
    case 'number':
      return `a number${bounds(node.minimum, node.maximum)}`
    case 'integer':
      return `an integer${bounds(node.minimum, node.maximum)}`
    case 'array':
      return `a list${count(node.minItems, node.maxItems, 'entry', 'entries')}`
    case 'object':
      return node.required
        ? `a map with ${listOf(
            node.required.map((key) => `\`${key}\``),
            'and',
          )}`
        : (node.title ?? 'a map of keys and values')
    default:
      if (node.oneOf) {
        const key = tellingKey(node.oneOf)
        return `a map whose \`${key}\` is ${expectation(formOf(node, undefined).properties?.[key] ?? {})}`
      }
      return node.title ?? `a text${count(node.minLength, node.maxLength, 'character', 'characters')}`
  }
}

function listOf(words: readonly string[], joint = 'or'): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} ${joint} ${words.at(-1)}`
}

function bounds(minimum: number | undefined, maximum: number | undefined): string {
  if (minimum === undefined || maximum === undefined) return ''
  return ` from ${minimum} to ${maximum}`
}

function count(least: number | undefined, most: number | undefined, one: string, many: string): string {
  if (most !== undefined) return ` of ${least ?? 0} to ${most} ${many}`
  if (least !== undefined) return ` of at least ${least} ${least === 1 ? one : many}`
  return ''
}
