import { Evaluated } from './evaluated.ts'
import { charge, descend, fail, forget, type Check } from './run.ts'
import { isArray, isObject, own } from './schema-object.ts'
import { quote, type Site } from './site.ts'

/** Keywords that judge the same value by further schemas (2020-12 core s8.2.3, s10.2, validation s6.5.4). */
export function applicatorChecks(site: Site): Check[] {
  return [
    ...referenceChecks(site),
    ...allOfChecks(site),
    ...anyOfChecks(site),
    ...oneOfChecks(site),
    ...notChecks(site),
    ...conditionChecks(site),
    ...dependentChecks(site),
  ]
}

function referenceChecks(site: Site): Check[] {
  const checks: Check[] = []
  if (site.place.has('$ref')) {
    const slot = site.reference()
    checks.push(nested((value, run, seen) => slot.check(value, run, seen)))
  }
  if (site.place.has('$dynamicRef')) {
    const { fixed, pick } = site.dynamicReference()
    checks.push(nested((value, run, seen) => (pick?.(run.scope) ?? fixed).check(value, run, seen)))
  }
  return checks
}

/** One level and one step around a check. */
export function nested(check: Check): Check {
  return (value, run, seen) => {
    descend(run)
    const holds = check(value, run, seen)
    run.nesting -= 1
    return holds
  }
}

function branches({ place, open }: Site, keyword: string): Check[] | undefined {
  return place.schemas(keyword)?.map((schema, at) => open(schema, place.at(keyword, at)))
}

function allOfChecks(site: Site): Check[] {
  const all = branches(site, 'allOf')
  if (all === undefined) return []
  return [
    nested((value, run, seen) => {
      charge(run, all.length)
      for (const check of all) if (!check(value, run, seen)) return false
      return true
    }),
  ]
}

/** What a branch evaluated counts only when the branch matches, so each one gets a sheet of its own. */
function sheet(seen: Evaluated | null): Evaluated | null {
  return seen === null ? null : new Evaluated(seen.deep)
}

function anyOfChecks(site: Site): Check[] {
  const any = branches(site, 'anyOf')
  if (any === undefined) return []
  const expected = `a value that matches at least one of ${any.length} alternatives`
  return [
    nested((value, run, seen) => {
      let found = false
      for (const check of any) {
        charge(run, 1)
        const branch = sheet(seen)
        if (!check(value, run, branch)) {
          forget(run)
          continue
        }
        found = true
        if (seen === null || branch === null) break
        seen.merge(branch, run)
      }
      return found || fail(run, 'anyOf', expected)
    }),
  ]
}

function oneOfChecks(site: Site): Check[] {
  const one = branches(site, 'oneOf')
  if (one === undefined) return []
  const expected = `a value that matches exactly one of ${one.length} alternatives`
  return [
    nested((value, run, seen) => {
      let matches = 0
      for (const check of one) {
        charge(run, 1)
        const branch = sheet(seen)
        if (!check(value, run, branch)) {
          forget(run)
          continue
        }
        matches += 1
        if (matches > 1) return fail(run, 'oneOf', expected)
        if (seen !== null && branch !== null) seen.merge(branch, run)
      }
      return matches === 1 || fail(run, 'oneOf', expected)
    }),
  ]
}

function notChecks({ place, open }: Site): Check[] {
  if (!place.has('not')) return []
  const check = open(place.get('not'), place.at('not'))
  return [
    nested((value, run) => {
      if (check(value, run, null)) return fail(run, 'not', 'a value that the schema does not exclude')
      forget(run)
      return true
    }),
  ]
}

function conditionChecks({ place, open }: Site): Check[] {
  const optional = (keyword: string): Check | undefined =>
    place.has(keyword) ? open(place.get(keyword), place.at(keyword)) : undefined
  const condition = optional('if')
  if (condition === undefined) return []
  const yes = optional('then')
  const no = optional('else')
  return [
    nested((value, run, seen) => {
      charge(run, 2)
      const branch = sheet(seen)
      if (condition(value, run, branch)) {
        if (seen !== null && branch !== null) seen.merge(branch, run, false)
        return yes === undefined || yes(value, run, seen)
      }
      forget(run)
      return no === undefined || no(value, run, seen)
    }),
  ]
}

/** `dependentSchemas`, `dependentRequired`, and `dependencies`, which was both before 2019-09. */
function dependentChecks(site: Site): Check[] {
  const { place, open } = site
  const required = new Map<string, readonly string[]>()
  const schemas = new Map<string, Check>()
  const lists = place.object('dependentRequired') ?? {}
  for (const name of Object.keys(lists)) {
    const list = own(lists, name)
    if (!isArray(list)) return place.malformed('dependentRequired', 'an object of arrays of member names')
    required.set(name, place.namesIn('dependentRequired', list))
  }
  const further = place.object('dependentSchemas') ?? {}
  for (const name of Object.keys(further)) {
    schemas.set(name, open(own(further, name), place.at('dependentSchemas', name)))
  }
  const checks = [...requiredTogether('dependentRequired', required), ...schemasTogether(schemas)]
  const mixed = place.object('dependencies') ?? {}
  const oldRequired = new Map<string, readonly string[]>()
  const oldSchemas = new Map<string, Check>()
  for (const name of Object.keys(mixed)) {
    const value = own(mixed, name)
    if (isArray(value)) oldRequired.set(name, place.namesIn('dependencies', value))
    else oldSchemas.set(name, open(value, place.at('dependencies', name)))
  }
  return [...checks, ...requiredTogether('dependencies', oldRequired), ...schemasTogether(oldSchemas)]
}

function requiredTogether(keyword: string, lists: ReadonlyMap<string, readonly string[]>): Check[] {
  if (lists.size === 0) return []
  return [
    (value, run) => {
      if (!isObject(value)) return true
      charge(run, lists.size)
      for (const [name, list] of lists) {
        if (!Object.hasOwn(value, name)) continue
        charge(run, list.length)
        const missing = list.find((other) => !Object.hasOwn(value, other))
        if (missing !== undefined) {
          return fail(run, keyword, `the member ${quote(missing)} beside ${quote(name)}`)
        }
      }
      return true
    },
  ]
}

function schemasTogether(schemas: ReadonlyMap<string, Check>): Check[] {
  if (schemas.size === 0) return []
  return [
    nested((value, run, seen) => {
      if (!isObject(value)) return true
      charge(run, schemas.size)
      for (const [name, check] of schemas) {
        if (Object.hasOwn(value, name) && !check(value, run, seen)) return false
      }
      return true
    }),
  ]
}
