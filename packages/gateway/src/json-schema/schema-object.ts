import { SchemaRefused } from './schema-refused.ts'
import { pointerTo } from './pointer.ts'

/** A JSON object that nobody vouches for: read own members only, keys come from strangers. */
export type SchemaObject = Readonly<Record<string, unknown>>

/** Tells a JSON object from arrays, null and scalars. */
export function isObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Tells an array, without letting `any` in. */
export function isArray(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

/** Own member, undefined when absent: `__proto__` and `toString` are never found by inheritance. */
export function own(object: SchemaObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

/** What a value is, for messages: never the value itself. */
function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  return typeof value === 'number' ? `the number ${value}` : `a ${typeof value}`
}

/** One schema object and where it stands; readers of keyword values refuse what the meta-schema refuses. */
export class Place {
  readonly schema: SchemaObject
  readonly pointer: string

  constructor(schema: SchemaObject, pointer: string) {
    this.schema = schema
    this.pointer = pointer
  }

  /** Value of a keyword, undefined when absent. */
  get(keyword: string): unknown {
    return own(this.schema, keyword)
  }

  has(keyword: string): boolean {
    return Object.hasOwn(this.schema, keyword)
  }

  at(keyword: string, ...more: (string | number)[]): string {
    return more.reduce<string>(pointerTo, pointerTo(this.pointer, keyword))
  }

  /** @throws SchemaRefused `keyword.<name>`: a known keyword whose value has no meaning is never skipped. */
  malformed(keyword: string, expected: string): never {
    throw new SchemaRefused(
      `keyword.${keyword}`,
      this.at(keyword),
      `\`${keyword}\` at \`${this.at(keyword)}\` is ${kindOf(this.get(keyword))} (expected ${expected}); correct the tool's schema`,
    )
  }

  number(keyword: string): number | undefined {
    const value = this.get(keyword)
    if (value === undefined) return undefined
    return typeof value === 'number' && Number.isFinite(value) ? value : this.malformed(keyword, 'a number')
  }

  count(keyword: string): number | undefined {
    const value = this.number(keyword)
    if (value === undefined || (Number.isInteger(value) && value >= 0)) return value
    return this.malformed(keyword, 'a whole number from 0')
  }

  string(keyword: string): string | undefined {
    const value = this.get(keyword)
    if (value === undefined || typeof value === 'string') return value
    return this.malformed(keyword, 'a string')
  }

  boolean(keyword: string): boolean | undefined {
    const value = this.get(keyword)
    if (value === undefined || typeof value === 'boolean') return value
    return this.malformed(keyword, 'true or false')
  }

  array(keyword: string): readonly unknown[] | undefined {
    const value = this.get(keyword)
    if (value === undefined || isArray(value)) return value
    return this.malformed(keyword, 'an array')
  }

  /** Subschemas in a list; the meta-schema wants at least one. */
  schemas(keyword: string): readonly unknown[] | undefined {
    const value = this.array(keyword)
    return value?.length === 0 ? this.malformed(keyword, 'an array of one schema or more') : value
  }

  object(keyword: string): SchemaObject | undefined {
    const value = this.get(keyword)
    if (value === undefined || isObject(value)) return value
    return this.malformed(keyword, 'an object')
  }

  /** Member names in a list. Twins are harmless and pass. */
  names(keyword: string): string[] | undefined {
    const value = this.array(keyword)
    return value === undefined ? undefined : this.namesIn(keyword, value)
  }

  namesIn(keyword: string, value: readonly unknown[]): string[] {
    return value.map((name) =>
      typeof name === 'string' ? name : this.malformed(keyword, 'an array of member names'),
    )
  }
}
