import { charge, descend, fail, failAt, type Check, type Run } from './run.ts'
import { isObject, own } from './schema-object.ts'
import { NO_STRANGERS } from './strict.ts'
import { quote, type Site } from './site.ts'
import type { Evaluated } from './evaluated.ts'
import type { Pattern } from './pattern.ts'

/** What the schema says about one member name. `check` is null for a name that is only required. */
interface Member {
  readonly check: Check | null
  required: boolean
}

interface Matching {
  readonly pattern: Pattern
  readonly check: Check
}

/** What becomes of members that neither `properties` nor `patternProperties` name. */
type Rest = { readonly check: Check } | { readonly refuse: string } | null

/** The keywords on objects, save `unevaluatedProperties` and the dependent ones (2020-12 core s10.3.2). */
export function objectChecks(site: Site): Check[] {
  return [...memberChecks(site), ...sizeChecks(site), ...nameChecks(site)]
}

function memberChecks(site: Site): Check[] {
  const { place } = site
  const properties = place.object('properties')
  const members = new Map<string, Member>()
  for (const name of Object.keys(properties ?? {})) {
    const check = site.inner(own(properties ?? {}, name), place.at('properties', name))
    members.set(name, { check, required: false })
  }
  const required = [...new Set(place.names('required'))]
  for (const name of required) {
    const member = members.get(name)
    if (member === undefined) members.set(name, { check: null, required: true })
    else member.required = true
  }
  const matching = matchingMembers(site)
  const rest = restOf(site, properties !== undefined)
  if (members.size === 0 && matching.length === 0 && rest === null && properties === undefined) return []
  return [createMembersCheck(members, required, matching, rest, properties !== undefined)]
}

function matchingMembers({ place, inner, pattern }: Site): Matching[] {
  const patterns = place.object('patternProperties') ?? {}
  return Object.keys(patterns).map((source) => {
    const pointer = place.at('patternProperties', source)
    return { pattern: pattern(source, pointer), check: inner(own(patterns, source), pointer) }
  })
}

function restOf({ place, inner, closed }: Site, declares: boolean): Rest {
  const schema = place.get('additionalProperties')
  if (schema === false) return { refuse: 'additionalProperties' }
  if (schema !== undefined) return { check: inner(schema, place.at('additionalProperties')) }
  return closed && declares ? { refuse: 'unevaluatedProperties' } : null
}

function createMembersCheck(
  members: ReadonlyMap<string, Member>,
  required: readonly string[],
  matching: readonly Matching[],
  rest: Rest,
  declares: boolean,
): Check {
  const judge = (value: Readonly<Record<string, unknown>>, run: Run, seen: Evaluated | null): boolean => {
    if (seen !== null && declares) seen.declared = true
    const keys = Object.keys(value)
    charge(run, keys.length)
    let found = 0
    for (const key of keys) {
      const member = members.get(key)
      if (member?.required === true) found += 1
      let known = false
      if (member !== undefined && member.check !== null) {
        known = true
        if (!member.check(value[key], run, seen === null ? null : seen.child(key, value[key])))
          return failAt(run, key)
      }
      for (const { pattern, check } of matching) {
        if (!pattern.matches(key, run)) continue
        known = true
        if (!check(value[key], run, seen === null ? null : seen.child(key, value[key])))
          return failAt(run, key)
      }
      if (!known && rest !== null) {
        if ('refuse' in rest) {
          failAt(run, key)
          return fail(run, rest.refuse, NO_STRANGERS)
        }
        known = true
        if (!rest.check(value[key], run, seen === null ? null : seen.child(key, value[key])))
          return failAt(run, key)
      }
      if (known && seen !== null) seen.names.add(key)
    }
    if (found === required.length) return true
    charge(run, required.length)
    const missing = required.find((name) => !Object.hasOwn(value, name)) ?? ''
    return fail(run, 'required', `the member ${quote(missing)}`)
  }
  return (value, run, seen) => {
    if (!isObject(value)) return true
    descend(run)
    const holds = judge(value, run, seen)
    run.nesting -= 1
    return holds
  }
}

function sizeChecks({ place }: Site): Check[] {
  const checks: Check[] = []
  const size = (keyword: string, words: string, holds: (size: number, limit: number) => boolean): void => {
    const limit = place.count(keyword)
    if (limit === undefined) return
    const expected = `an object with at ${words} ${limit} members`
    checks.push((value, run) => {
      if (!isObject(value)) return true
      const { length } = Object.keys(value)
      charge(run, length >> 3)
      return holds(length, limit) || fail(run, keyword, expected)
    })
  }
  size('minProperties', 'least', (length, limit) => length >= limit)
  size('maxProperties', 'most', (length, limit) => length <= limit)
  return checks
}

function nameChecks({ place, open }: Site): Check[] {
  const schema = place.get('propertyNames')
  if (schema === undefined) return []
  const check = open(schema, place.at('propertyNames'))
  return [
    (value, run) => {
      if (!isObject(value)) return true
      descend(run)
      for (const key of Object.keys(value)) {
        charge(run, 1)
        if (check(key, run, null)) continue
        run.nesting -= 1
        return failAt(run, key)
      }
      run.nesting -= 1
      return true
    },
  ]
}
