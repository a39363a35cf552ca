import { applicatorChecks } from './applicator-keywords.ts'
import { arrayChecks } from './array-keywords.ts'
import { refuseForeignKeywords } from './dialect.ts'
import type { SchemaLimits } from './limits.ts'
import { objectChecks } from './object-keywords.ts'
import { compilePattern, type Pattern } from './pattern.ts'
import type { Resource, Resources } from './resources.ts'
import { fail, type Check } from './run.ts'
import { scalarChecks } from './scalar-keywords.ts'
import { isObject, Place, type SchemaObject } from './schema-object.ts'
import { SchemaRefused } from './schema-refused.ts'
import type { Site, Slot } from './site.ts'
import { closeAfter } from './strict.ts'
import { withUnevaluated } from './unevaluated-keywords.ts'

/** Keywords that put several descriptions of one value side by side, so that no single one may close it. */
const COMPOSING = [
  '$ref',
  '$dynamicRef',
  'allOf',
  'anyOf',
  'oneOf',
  'if',
  'dependentSchemas',
  'dependencies',
  'patternProperties',
  'unevaluatedProperties',
  'unevaluatedItems',
]

/** Keywords that may stand beside a `$ref` without judging anything. */
const SILENT = new Set([
  '$ref',
  '$schema',
  '$comment',
  '$defs',
  'definitions',
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
])

const ACCEPT: Check = () => true
const REFUSE: Check = (_value, run) => fail(run, 'false', 'no value at this place')

/**
 * Compiles schema objects to checks, each at most twice: open, as JSON Schema says, and closed, with the strict rule.
 * References are compiled from a queue, so that a long chain of them does not nest.
 */
export class NodeCompiler {
  private readonly resources: Resources
  private readonly limits: SchemaLimits
  private readonly checks = { open: new Map<SchemaObject, Check>(), closed: new Map<SchemaObject, Check>() }
  private readonly slots = { open: new Map<SchemaObject, Slot>(), closed: new Map<SchemaObject, Slot>() }
  private readonly queue: (() => void)[] = []
  private readonly dynamicNames = new Set<string>()
  private readonly patterns = new Map<string, Pattern>()
  private patternPrograms = 0

  constructor(resources: Resources, limits: SchemaLimits) {
    this.resources = resources
    this.limits = limits
  }

  /** @throws SchemaRefused */
  whole(schema: unknown, closed: boolean): Check {
    const check = this.compile(schema, '', closed)
    for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) {
      next()
      if (this.queue.length === 0) this.queueDynamicTargets()
    }
    return check
  }

  /** All schema objects that take part in a verdict. */
  compiled(): Set<SchemaObject> {
    return new Set([...this.checks.open.keys(), ...this.checks.closed.keys()])
  }

  private compile(schema: unknown, pointer: string, closed: boolean): Check {
    if (schema === true) return ACCEPT
    if (schema === false) return REFUSE
    if (!isObject(schema)) {
      const message = `the schema at \`${pointer}\` is no schema (expected an object, true or false); correct the tool's schema`
      throw new SchemaRefused('schema.type', pointer, message)
    }
    const known = this.checks[closed ? 'closed' : 'open']
    const done = known.get(schema)
    if (done !== undefined) return done
    const check = this.build(new Place(schema, pointer), closed)
    known.set(schema, check)
    return check
  }

  private build(place: Place, closed: boolean): Check {
    const { resource } = this.resources.standing(place.schema)
    refuseForeignKeywords(place, resource.dialect)
    const reference = Object.keys(place.schema).every((keyword) => SILENT.has(keyword))
    if (closed && !reference && COMPOSING.some((keyword) => place.has(keyword))) {
      return closeAfter(this.compile(place.schema, place.pointer, false))
    }
    const site = this.site(place, resource, closed)
    const neighbours = sequence([
      ...scalarChecks(site),
      ...arrayChecks(site),
      ...objectChecks(site),
      ...applicatorChecks(site),
    ])
    const check = withUnevaluated(site, neighbours)
    return place.schema === resource.root ? this.inScope(resource, check) : check
  }

  private site(place: Place, resource: Resource, closed: boolean): Site {
    return {
      place,
      dialect: resource.dialect,
      closed,
      inner: (schema, pointer) => this.compile(schema, pointer, closed),
      open: (schema, pointer) => this.compile(schema, pointer, false),
      reference: () => {
        const target = this.resources.resolve(place.string('$ref') ?? '', place, '$ref')
        return this.slot(target.schema, target.pointer, closed)
      },
      dynamicReference: () => {
        const target = this.resources.resolve(place.string('$dynamicRef') ?? '', place, '$dynamicRef')
        const fixed = this.slot(target.schema, target.pointer, false)
        const name = target.dynamicAnchor
        if (name === undefined) return { fixed }
        this.dynamicNames.add(name)
        return { fixed, pick: (scope) => this.outermost(name, scope) ?? fixed }
      },
      pattern: (source, pointer) => this.pattern(source, pointer),
    }
  }

  private slot(schema: unknown, pointer: string, closed: boolean): Slot {
    if (!isObject(schema)) return { check: this.compile(schema, pointer, closed) }
    const known = this.slots[closed ? 'closed' : 'open']
    const done = known.get(schema)
    if (done !== undefined) return done
    const slot: Slot = { check: REFUSE }
    known.set(schema, slot)
    this.queue.push(() => {
      slot.check = this.inScope(
        this.resources.standing(schema).resource,
        this.compile(schema, pointer, closed),
      )
    })
    return slot
  }

  /** `$dynamicRef` takes the target of the outermost resource that has one (2020-12 core s8.2.3.2). */
  private outermost(name: string, scope: readonly Resource[]): Slot | undefined {
    for (const resource of scope) {
      const schema = resource.dynamicAnchors.get(name)
      if (schema !== undefined) return this.slots.open.get(schema)
    }
    return undefined
  }

  private queueDynamicTargets(): void {
    for (const resource of this.resources.all()) {
      for (const [name, schema] of resource.dynamicAnchors) {
        if (this.dynamicNames.has(name)) this.slot(schema, this.resources.standing(schema).pointer, false)
      }
    }
  }

  /** Keeps the dynamic scope, only in the rare schemas that read it. */
  private inScope(resource: Resource, check: Check): Check {
    if (!this.resources.dynamic) return check
    return (value, run, seen) => {
      run.scope.push(resource)
      const holds = check(value, run, seen)
      run.scope.pop()
      return holds
    }
  }

  private pattern(source: string, pointer: string): Pattern {
    const known = this.patterns.get(source)
    if (known !== undefined) return known
    const pattern = compilePattern(source, pointer, this.limits)
    this.patternPrograms += pattern.size
    if (this.patterns.size >= this.limits.patterns || this.patternPrograms > this.limits.patternPrograms) {
      const message = `the schema has too many or too large patterns, the last at \`${pointer}\` (at most ${this.limits.patterns}, ${this.limits.patternPrograms} instructions); ask for a smaller one`
      throw new SchemaRefused('limit.patterns', pointer, message)
    }
    this.patterns.set(source, pattern)
    return pattern
  }
}

/** All checks in order, without a loop for the usual few. */
function sequence(checks: readonly Check[]): Check {
  const [first, second, third] = checks
  if (first === undefined) return ACCEPT
  if (second === undefined) return first
  if (third === undefined) return (value, run, seen) => first(value, run, seen) && second(value, run, seen)
  if (checks.length === 3) {
    return (value, run, seen) =>
      first(value, run, seen) && second(value, run, seen) && third(value, run, seen)
  }
  return (value, run, seen) => {
    for (const check of checks) if (!check(value, run, seen)) return false
    return true
  }
}
