import { charge, descend, type Run } from './run.ts'
import { isArray, isObject } from './schema-object.ts'

/**
 * One text for all values that JSON Schema holds equal (2020-12 core s4.2.2): members in one order, 1.0 as 1, -0 as 0.
 * Linear in the size of the value, which pairwise comparison of `uniqueItems` is not. Charges a step for each value.
 */
export function canonical(value: unknown, run: Run): string {
  if (typeof value === 'number') return String(value === 0 ? 0 : value)
  if (typeof value === 'string') {
    charge(run, value.length >> 6)
    return JSON.stringify(value)
  }
  if (typeof value !== 'object' || value === null) return String(value)
  descend(run)
  const text = isArray(value)
    ? `[${value.map((item) => canonical(item, run)).join(',')}]`
    : isObject(value)
      ? `{${membersOf(value, run).join(',')}}`
      : ''
  run.nesting--
  return text
}

function membersOf(value: Readonly<Record<string, unknown>>, run: Run): string[] {
  const keys = Object.keys(value).sort()
  charge(run, keys.length)
  return keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key], run)}`)
}
