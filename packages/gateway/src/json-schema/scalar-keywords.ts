import { canonical } from './canonical.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { createMultipleOf } from './multiple-of.ts'
import { charge, createRun, fail, type Check } from './run.ts'
import { isArray, isObject } from './schema-object.ts'
import { quote, type Site } from './site.ts'

const IS: Readonly<Record<string, (value: unknown) => boolean>> = {
  null: (value) => value === null,
  boolean: (value) => typeof value === 'boolean',
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: (value) => Number.isInteger(value),
  array: isArray,
  object: isObject,
}

/** `type`, `enum`, `const`, and the assertions on numbers and strings (2020-12 validation s6.1-6.3). */
export function scalarChecks(site: Site): Check[] {
  return [...typeChecks(site), ...valueChecks(site), ...numberChecks(site), ...stringChecks(site)]
}

function typeChecks({ place }: Site): Check[] {
  const type = place.get('type')
  if (type === undefined) return []
  const names = isArray(type) ? type : [type]
  const tests = names.map((name) => {
    const test = typeof name === 'string' && Object.hasOwn(IS, name) ? IS[name] : undefined
    return test ?? place.malformed('type', 'one of the seven type names, or an array of them')
  })
  const expected = names.length === 1 ? `type ${String(names[0])}` : `one of the types ${names.join(', ')}`
  const [only] = tests
  if (only === undefined) return place.malformed('type', 'at least one type name')
  // The common types as direct tests: a call through `only` costs as much as the test itself.
  if (tests.length === 1) {
    if (type === 'string') return [(value, run) => typeof value === 'string' || fail(run, 'type', expected)]
    if (type === 'boolean') return [(value, run) => typeof value === 'boolean' || fail(run, 'type', expected)]
    if (type === 'number') return [(value, run) => typeof value === 'number' || fail(run, 'type', expected)]
    return [(value, run) => only(value) || fail(run, 'type', expected)]
  }
  return [(value, run) => tests.some((test) => test(value)) || fail(run, 'type', expected)]
}

function valueChecks({ place }: Site): Check[] {
  const checks: Check[] = []
  const values = place.array('enum')
  if (values !== undefined) checks.push(oneOfValues('enum', values))
  if (place.has('const')) checks.push(oneOfValues('const', [place.get('const')]))
  return checks
}

function oneOfValues(keyword: string, values: readonly unknown[]): Check {
  const atLoad = createRun({ ...DEFAULT_LIMITS, steps: Infinity })
  const scalars = new Set(values.filter((value) => typeof value !== 'object' || value === null))
  const composite = new Set(
    values
      .filter((value) => typeof value === 'object' && value !== null)
      .map((value) => canonical(value, atLoad)),
  )
  const expected = keyword === 'const' ? `the constant ${listed(values)}` : `one of ${listed(values)}`
  return (value, run) => {
    if (typeof value !== 'object' || value === null) return scalars.has(value) || fail(run, keyword, expected)
    return (composite.size > 0 && composite.has(canonical(value, run))) || fail(run, keyword, expected)
  }
}

/** The schema's own values when they are few and plain: they tell the caller how to mend the call. */
function listed(values: readonly unknown[]): string {
  if (values.length <= 16 && values.every((value) => typeof value !== 'object' || value === null)) {
    const text = values.map((value) => (typeof value === 'string' ? quote(value) : String(value))).join(', ')
    if (text.length <= 160) return text
  }
  return values.length === 1 ? 'that the schema names' : `the ${values.length} values that the schema lists`
}

function numberChecks({ place }: Site): Check[] {
  const checks: Check[] = []
  const bound = (keyword: string, words: string, holds: (value: number, limit: number) => boolean): void => {
    const limit = place.number(keyword)
    if (limit === undefined) return
    const expected = `a number ${words} ${limit}`
    checks.push(
      (value, run) => typeof value !== 'number' || holds(value, limit) || fail(run, keyword, expected),
    )
  }
  bound('minimum', 'of at least', (value, limit) => value >= limit)
  bound('maximum', 'of at most', (value, limit) => value <= limit)
  bound('exclusiveMinimum', 'greater than', (value, limit) => value > limit)
  bound('exclusiveMaximum', 'less than', (value, limit) => value < limit)
  const divisor = place.number('multipleOf')
  if (divisor === undefined) return checks
  if (divisor <= 0) place.malformed('multipleOf', 'a number greater than 0')
  const isMultiple = createMultipleOf(divisor)
  const expected = `a multiple of ${divisor}`
  checks.push(
    (value, run) => typeof value !== 'number' || isMultiple(value) || fail(run, 'multipleOf', expected),
  )
  return checks
}

function stringChecks({ place, pattern }: Site): Check[] {
  const checks: Check[] = []
  const min = place.count('minLength')
  if (min !== undefined) {
    const expected = `a string of at least ${min} characters`
    checks.push((value, run) => {
      if (typeof value !== 'string' || value.length >= 2 * min) return true
      if (value.length < min) return fail(run, 'minLength', expected)
      charge(run, value.length >> 6)
      return codePoints(value) >= min || fail(run, 'minLength', expected)
    })
  }
  const max = place.count('maxLength')
  if (max !== undefined) {
    const expected = `a string of at most ${max} characters`
    checks.push((value, run) => {
      if (typeof value !== 'string' || value.length <= max) return true
      if (value.length > 2 * max) return fail(run, 'maxLength', expected)
      charge(run, value.length >> 6)
      return codePoints(value) <= max || fail(run, 'maxLength', expected)
    })
  }
  const source = place.string('pattern')
  if (source !== undefined) {
    const { matches } = pattern(source, place.at('pattern'))
    const expected = `a string that matches the pattern ${quote(source)}`
    checks.push(
      (value, run) => typeof value !== 'string' || matches(value, run) || fail(run, 'pattern', expected),
    )
  }
  return checks
}

/** Length as JSON Schema counts it (RFC 8259 characters), a surrogate pair as one. */
function codePoints(text: string): number {
  let pairs = 0
  for (let at = 0; at + 1 < text.length; at++) {
    const high = text.charCodeAt(at)
    if (high < 0xd800 || high > 0xdbff) continue
    const low = text.charCodeAt(at + 1)
    if (low < 0xdc00 || low > 0xdfff) continue
    pairs += 1
    at += 1
  }
  return text.length - pairs
}
