import { isJsonObject, member, type Json, type JsonObject } from '../../call/json.ts'

/** What is known of a value before any call: the types of conditions. */
export type CelType = { readonly nullable: boolean } & (
  | { readonly kind: 'dyn' | 'null' | 'bool' | 'int' | 'double' | 'string' | 'timestamp' | 'duration' }
  | { readonly kind: 'list'; readonly item: CelType }
  /** `rest` is the type of members that are not declared; undefined: there are none. */
  | {
      readonly kind: 'object'
      readonly members: ReadonlyMap<string, CelType>
      readonly rest: CelType | undefined
    }
)

export const DYN: CelType = { kind: 'dyn', nullable: false }
export const NULL: CelType = { kind: 'null', nullable: true }
export const BOOL: CelType = { kind: 'bool', nullable: false }
export const INT: CelType = { kind: 'int', nullable: false }
export const DOUBLE: CelType = { kind: 'double', nullable: false }
export const STRING: CelType = { kind: 'string', nullable: false }
export const TIMESTAMP: CelType = { kind: 'timestamp', nullable: false }
export const DURATION: CelType = { kind: 'duration', nullable: false }

/** Deepest schema that is read; below it everything is dynamic. */
const MAX_DEPTH = 16
/** Most schema nodes that one type may cost, `$ref` expansion included; beyond it everything is dynamic. */
const MAX_NODES = 2_000

export function listOf(item: CelType): CelType {
  return { kind: 'list', item, nullable: false }
}

export function objectOf(members: Readonly<Record<string, CelType>>, rest?: CelType): CelType {
  return { kind: 'object', members: new Map(Object.entries(members)), rest, nullable: false }
}

export function nullable(type: CelType): CelType {
  return { ...type, nullable: true }
}

/** A type in the words of a message. */
export function typeName(type: CelType): string {
  const name = type.kind === 'list' ? `list of ${typeName(type.item)}` : type.kind
  return type.nullable && type.kind !== 'null' ? `${name} or null` : name
}

/** Whether a value of one type can equal a value of the other; null and dynamic go with everything. */
export function comparable(a: CelType, b: CelType): boolean {
  if (a.kind === 'dyn' || b.kind === 'dyn' || a.kind === 'null' || b.kind === 'null') return true
  if (isNumeric(a) && isNumeric(b)) return true
  if (a.kind === 'list' && b.kind === 'list') return comparable(a.item, b.item)
  return a.kind === b.kind
}

export function isNumeric(type: CelType): boolean {
  return type.kind === 'int' || type.kind === 'double'
}

export function isTime(type: CelType): boolean {
  return type.kind === 'timestamp' || type.kind === 'duration'
}

/** The type that holds values of both. */
export function unify(a: CelType, b: CelType): CelType {
  const canBeNull = a.nullable || b.nullable
  if (a.kind === 'null') return { ...b, nullable: true }
  if (b.kind === 'null') return { ...a, nullable: true }
  if (a.kind === 'list' && b.kind === 'list') {
    return { kind: 'list', item: unify(a.item, b.item), nullable: canBeNull }
  }
  return a.kind === b.kind && a.kind !== 'object'
    ? { ...a, nullable: canBeNull }
    : { ...DYN, nullable: canBeNull }
}

/**
 * The type of `args` by a tool's inputSchema, as the strict schema stage enforces it: members that an object does not
 * declare do not exist, unless the object opens itself (ARCHITECTURE.md section 3, "Strict schema").
 * What the types cannot express is dynamic and checked at run time.
 */
export function typeOfArguments(schema: Json | undefined): CelType {
  if (!isJsonObject(schema)) return DYN
  const type = new SchemaTypes(schema).read(schema, 0)
  return type.kind === 'object' ? { ...type, nullable: false } : DYN
}

class SchemaTypes {
  readonly #root: JsonObject
  #nodes = 0

  constructor(root: JsonObject) {
    this.#root = root
  }

  read(schema: Json | undefined, depth: number): CelType {
    if (!isJsonObject(schema) || depth > MAX_DEPTH || ++this.#nodes > MAX_NODES)
      return { ...DYN, nullable: true }
    const ref = member(schema, '$ref')
    if (typeof ref === 'string') {
      const target = this.#resolve(ref)
      return target === undefined ? { ...DYN, nullable: true } : this.read(target, depth + 1)
    }
    const branches = member(schema, 'anyOf') ?? member(schema, 'oneOf')
    const declared = this.#declared(schema)
    if (declared === undefined && Array.isArray(branches)) {
      const [first, ...others] = branches.map((branch: Json) => this.read(branch, depth + 1))
      return others.reduce(unify, first ?? DYN)
    }
    if (declared === undefined) return { ...DYN, nullable: true }
    const canBeNull = declared.canBeNull
    switch (declared.type) {
      case 'boolean':
        return { kind: 'bool', nullable: canBeNull }
      case 'integer':
        return { kind: 'int', nullable: canBeNull }
      case 'number':
        return { kind: 'double', nullable: canBeNull }
      case 'string':
        return { kind: 'string', nullable: canBeNull }
      case 'null':
        return NULL
      case 'array':
        return { kind: 'list', item: this.#item(schema, depth), nullable: canBeNull }
      case 'object':
        return { ...this.#object(schema, depth), nullable: canBeNull }
      default:
        return { ...DYN, nullable: canBeNull }
    }
  }

  /** One type, or undefined when the schema does not say. Several types beside null are dynamic. */
  #declared(schema: JsonObject): { type: string; canBeNull: boolean } | undefined {
    const type = member(schema, 'type')
    if (typeof type === 'string') return { type, canBeNull: type === 'null' }
    if (Array.isArray(type)) {
      const names = type.filter((name: Json): name is string => typeof name === 'string' && name !== 'null')
      const only =
        names.length === 2 && names.includes('integer') && names.includes('number') ? 'number' : names[0]
      const single = names.length === 1 || only === 'number' ? only : 'dyn'
      return { type: single ?? 'null', canBeNull: type.includes('null') }
    }
    if (member(schema, 'properties') !== undefined) return { type: 'object', canBeNull: false }
    const constant = member(schema, 'const')
    const values = constant === undefined ? member(schema, 'enum') : [constant]
    if (
      Array.isArray(values) &&
      values.length > 0 &&
      values.every((value: Json) => typeof value === 'string')
    ) {
      return { type: 'string', canBeNull: false }
    }
    return undefined
  }

  #item(schema: JsonObject, depth: number): CelType {
    if (member(schema, 'prefixItems') !== undefined) return { ...DYN, nullable: true }
    return this.read(member(schema, 'items'), depth + 1)
  }

  #object(schema: JsonObject, depth: number): CelType {
    const members = new Map<string, CelType>()
    const properties = member(schema, 'properties')
    const required = member(schema, 'required')
    if (isJsonObject(properties)) {
      for (const [name, part] of Object.entries(properties)) {
        const type = this.read(part, depth + 1)
        const always = Array.isArray(required) && required.includes(name)
        members.set(name, always ? type : nullable(type))
      }
    }
    return {
      kind: 'object',
      members,
      rest: this.#rest(schema, isJsonObject(properties), depth),
      nullable: false,
    }
  }

  #rest(schema: JsonObject, hasProperties: boolean, depth: number): CelType | undefined {
    const additional = member(schema, 'additionalProperties') ?? member(schema, 'unevaluatedProperties')
    if (additional === false) return undefined
    if (isJsonObject(additional)) return this.read(additional, depth + 1)
    if (additional === true) return { ...DYN, nullable: true }
    // Applicators declare members elsewhere: what they add is not followed, so it is dynamic.
    const elsewhere = [
      'patternProperties',
      'allOf',
      'anyOf',
      'oneOf',
      'if',
      'dependentSchemas',
      '$dynamicRef',
    ]
    const opens = elsewhere.some((keyword) => member(schema, keyword) !== undefined)
    return hasProperties && !opens ? undefined : { ...DYN, nullable: true }
  }

  /** A JSON pointer into the same schema; other references are refused when the tool is pinned. */
  #resolve(ref: string): Json | undefined {
    if (ref === '#') return this.#root
    if (!ref.startsWith('#/')) return undefined
    let at: Json | undefined = this.#root
    for (const part of ref.slice(2).split('/')) {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
      if (!isJsonObject(at)) return undefined
      at = member(at, key)
    }
    return at
  }
}
