import { Evaluated } from './evaluated.ts'
import { charge, descend, failAt, type Check, type Run } from './run.ts'
import { isArray, isObject } from './schema-object.ts'
import type { Site } from './site.ts'

/**
 * `unevaluatedProperties` and `unevaluatedItems` (2020-12 core s11): they judge what the neighbours and all that these
 * refer to have left, so they wrap the rest of the schema. What cousins evaluated does not count.
 */
export function withUnevaluated(site: Site, neighbours: Check): Check {
  const { place, inner } = site
  const members = place.has('unevaluatedProperties')
    ? inner(place.get('unevaluatedProperties'), place.at('unevaluatedProperties'))
    : null
  const items = place.has('unevaluatedItems')
    ? inner(place.get('unevaluatedItems'), place.at('unevaluatedItems'))
    : null
  if (members === null && items === null) return neighbours
  const judge = (value: unknown, run: Run, here: Evaluated): boolean => {
    if (!neighbours(value, run, here)) return false
    if (members !== null && isObject(value)) return restOfMembers(value, members, run, here)
    if (items !== null && isArray(value)) return restOfItems(value, items, run, here)
    return true
  }
  return (value, run, seen) => {
    if (typeof value !== 'object' || value === null) return neighbours(value, run, null)
    descend(run)
    const here = new Evaluated(seen !== null && seen.deep)
    const holds = judge(value, run, here)
    if (holds && seen !== null) seen.merge(here, run)
    run.nesting -= 1
    return holds
  }
}

function restOfMembers(
  value: Readonly<Record<string, unknown>>,
  check: Check,
  run: Run,
  here: Evaluated,
): boolean {
  const keys = Object.keys(value)
  charge(run, keys.length)
  for (const key of keys) {
    if (here.names.has(key)) continue
    if (!check(value[key], run, here.child(key, value[key]))) return failAt(run, key)
    here.names.add(key)
  }
  return true
}

function restOfItems(value: readonly unknown[], check: Check, run: Run, here: Evaluated): boolean {
  charge(run, value.length)
  for (const [at, item] of value.entries()) {
    if (!here.hasItem(at) && !check(item, run, here.child(at, item))) return failAt(run, at)
  }
  here.itemsBefore = Infinity
  return true
}
