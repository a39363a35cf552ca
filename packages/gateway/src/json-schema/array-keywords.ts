import { canonical } from './canonical.ts'
import { hasTupleItems } from './dialect.ts'
import type { Evaluated } from './evaluated.ts'
import { charge, descend, fail, failAt, forget, type Check, type Run } from './run.ts'
import { isArray } from './schema-object.ts'
import type { Site } from './site.ts'

/** The keywords on arrays, save `unevaluatedItems` (2020-12 core s10.3.1, validation s6.4). */
export function arrayChecks(site: Site): Check[] {
  return [...sizeChecks(site), ...itemChecks(site), ...containsChecks(site), ...uniqueChecks(site)]
}

function sizeChecks({ place }: Site): Check[] {
  const checks: Check[] = []
  const min = place.count('minItems')
  if (min !== undefined) {
    const expected = `an array of at least ${min} items`
    checks.push((value, run) => !isArray(value) || value.length >= min || fail(run, 'minItems', expected))
  }
  const max = place.count('maxItems')
  if (max !== undefined) {
    const expected = `an array of at most ${max} items`
    checks.push((value, run) => !isArray(value) || value.length <= max || fail(run, 'maxItems', expected))
  }
  return checks
}

function itemChecks(site: Site): Check[] {
  const { place, inner, dialect } = site
  const items = place.get('items')
  const tuple = isArray(items)
  if (tuple && (!hasTupleItems(dialect) || place.has('prefixItems'))) {
    return place.malformed('items', 'one schema; a list of schemas is `prefixItems`')
  }
  const prefixKeyword = tuple ? 'items' : 'prefixItems'
  const restKeyword = tuple ? 'additionalItems' : 'items'
  // An empty tuple was allowed before 2020-12 and says nothing.
  const list = (tuple ? items : place.schemas('prefixItems')) ?? []
  const prefix = list.map((schema, at) => inner(schema, place.at(prefixKeyword, at)))
  const restSchema = place.get(restKeyword)
  const rest = restSchema === undefined ? null : inner(restSchema, place.at(restKeyword))
  if (prefix.length === 0 && rest === null) return []
  const judge = (value: readonly unknown[], run: Run, seen: Evaluated | null): boolean => {
    const end = rest === null ? Math.min(prefix.length, value.length) : value.length
    charge(run, end)
    for (let at = 0; at < end; at++) {
      const check = prefix[at] ?? rest
      if (check !== null && !check(value[at], run, seen === null ? null : seen.child(at, value[at])))
        return failAt(run, at)
    }
    if (seen !== null) seen.itemsBefore = Math.max(seen.itemsBefore, rest === null ? end : Infinity)
    return true
  }
  return [
    (value, run, seen) => {
      if (!isArray(value)) return true
      descend(run)
      const holds = judge(value, run, seen)
      run.nesting -= 1
      return holds
    },
  ]
}

function containsChecks({ place, open }: Site): Check[] {
  const min = place.count('minContains') ?? 1
  const max = place.count('maxContains') ?? Infinity
  const schema = place.get('contains')
  if (schema === undefined) return []
  // A condition on items, not their declaration: judged as it stands, never closed by the strict rule.
  const check = open(schema, place.at('contains'))
  const few = `an array with at least ${min} matching items`
  const many = `an array with at most ${max} matching items`
  return [
    (value, run, seen) => {
      if (!isArray(value)) return true
      descend(run)
      let matches = 0
      for (const [at, item] of value.entries()) {
        charge(run, 1)
        if (check(item, run, null)) {
          matches += 1
          if (seen !== null) seen.addItem(at)
        } else forget(run)
      }
      run.nesting -= 1
      if (matches < min) return fail(run, min === 1 ? 'contains' : 'minContains', few)
      return matches <= max || fail(run, 'maxContains', many)
    },
  ]
}

function uniqueChecks({ place }: Site): Check[] {
  if (place.boolean('uniqueItems') !== true) return []
  return [
    (value, run) => {
      if (!isArray(value)) return true
      charge(run, value.length)
      const scalars = new Set<unknown>()
      const composite = new Set<string>()
      for (const [at, item] of value.entries()) {
        const nested = typeof item === 'object' && item !== null
        const text = nested ? canonical(item, run) : ''
        if (nested ? composite.has(text) : scalars.has(item)) {
          failAt(run, at)
          return fail(run, 'uniqueItems', 'an item that is not in the array already')
        }
        if (nested) composite.add(text)
        else scalars.add(item)
      }
      return true
    },
  ]
}
