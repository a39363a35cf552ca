import { charge, descend, fail, failAt, type Check, type Run } from './run.ts'
import { Evaluated } from './evaluated.ts'
import { isArray, isObject } from './schema-object.ts'

/** What the caller reads when a member is not among the declared ones. */
export const NO_STRANGERS = 'no member that the schema does not declare'

/**
 * Callgate's strict rule for a schema that describes an object in several parts: the parts are judged as they stand,
 * then every object that some part declared must have all its members evaluated.
 * Judging first and closing last means that strict only ever adds refusals: a closed branch inside `not`, `if` or
 * `oneOf` would turn verdicts round. Source: ARCHITECTURE.md section 3, "Strict schema".
 */
export function closeAfter(open: Check): Check {
  return (value, run) => {
    if (typeof value !== 'object' || value === null) return open(value, run, null)
    const seen = new Evaluated(true)
    return open(value, run, seen) && isClosed(value, seen, run)
  }
}

function isClosed(value: unknown, seen: Evaluated, run: Run): boolean {
  descend(run)
  if (seen.declared && isObject(value)) {
    const keys = Object.keys(value)
    charge(run, keys.length)
    for (const key of keys) {
      if (!seen.names.has(key)) {
        failAt(run, key)
        return fail(run, 'unevaluatedProperties', NO_STRANGERS)
      }
    }
  }
  for (const [step, child] of seen.children()) {
    const inner = memberAt(value, step)
    if (typeof inner === 'object' && inner !== null && !isClosed(inner, child, run)) return failAt(run, step)
  }
  run.nesting--
  return true
}

function memberAt(value: unknown, step: string | number): unknown {
  if (typeof step === 'number') return isArray(value) ? value[step] : undefined
  return isObject(value) && Object.hasOwn(value, step) ? value[step] : undefined
}
