import type { SchemaLimits } from './limits.ts'
import type { Resources } from './resources.ts'
import { SchemaRefused } from './schema-refused.ts'
import { isArray, isObject, own, Place, type SchemaObject } from './schema-object.ts'

const LISTS = ['allOf', 'anyOf', 'oneOf']
const SINGLE = ['not', 'if', 'then', 'else']
const MAPS = ['dependentSchemas', 'dependencies']

/** Schemas that judge the very value this one judges. `$dynamicRef` is left to the run: it depends on the way there. */
function sameValue(schema: SchemaObject, resources: Resources): SchemaObject[] {
  const found: unknown[] = SINGLE.map((keyword) => own(schema, keyword))
  for (const keyword of LISTS) {
    const list = own(schema, keyword)
    if (isArray(list)) found.push(...list)
  }
  for (const keyword of MAPS) {
    const map = own(schema, keyword)
    if (isObject(map)) found.push(...Object.values(map))
  }
  const reference = own(schema, '$ref')
  if (typeof reference === 'string') {
    const place = new Place(schema, resources.standing(schema).pointer)
    found.push(resources.resolve(reference, place, '$ref').schema)
  }
  return found.filter(isObject)
}

interface Frame {
  readonly schema: SchemaObject
  readonly next: SchemaObject[]
  cost: number
}

/**
 * Counts, for each schema, how many subschemas one value meets once references are expanded: 22 levels of two `$ref`s
 * each are 4 million, and a schema that refers to itself without going into the value is endless.
 * @throws SchemaRefused `ref.loop` or `limit.expansion`.
 */
export function measureExpansion(
  schemas: Iterable<SchemaObject>,
  resources: Resources,
  limits: SchemaLimits,
): void {
  const costs = new Map<SchemaObject, number>()
  const underway = new Set<SchemaObject>()
  const stack: Frame[] = []
  const enter = (schema: SchemaObject): void => {
    underway.add(schema)
    stack.push({ schema, next: sameValue(schema, resources), cost: 1 })
  }
  for (const start of schemas) {
    if (!costs.has(start)) enter(start)
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const next = frame.next.at(-1)
      const { pointer } = resources.standing(frame.schema)
      if (next === undefined) {
        if (frame.cost > limits.expansion) throw tooWide(pointer, limits)
        costs.set(frame.schema, frame.cost)
        underway.delete(frame.schema)
        stack.pop()
        continue
      }
      const cost = costs.get(next)
      if (cost !== undefined) {
        frame.cost += cost
        frame.next.pop()
      } else if (underway.has(next)) throw loop(pointer)
      else enter(next)
    }
  }
}

function loop(pointer: string): SchemaRefused {
  const message = `the schema at \`${pointer}\` applies itself to the same value without end; refer to it from a member or an item`
  return new SchemaRefused('ref.loop', pointer, message)
}

function tooWide(pointer: string, limits: SchemaLimits): SchemaRefused {
  const message = `the schema at \`${pointer}\` expands to more than ${limits.expansion} subschemas for one value; ask for a smaller one`
  return new SchemaRefused('limit.expansion', pointer, message)
}
