/** JSON as data. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** Deepest nesting of a record. A hostile log must not overflow the verifier's stack. */
export const MAX_DEPTH = 64

/**
 * Canonical JSON text of a value: members sorted by UTF-16 code units, no white space, numbers as ECMAScript prints them.
 * Two equal values have one text, so a leaf that is not canonical was not written by the gate. Source: RFC 8785.
 * A member that is undefined is absent, as for JSON.stringify.
 * @throws TypeError for what has no canonical form: undefined elsewhere, NaN, infinities, lone surrogates, functions, bigint,
 *   objects with a prototype of their own, nesting beyond MAX_DEPTH. The message names the member, never the value.
 */
export function canonicalize(value: unknown): string {
  // What already stands in canonical order is written natively, at less than half of the cost: RFC 8785 takes its texts of
  // strings and numbers from ECMAScript. A writer on a hot path builds its records in that order.
  return isInOrder(value, 0) ? JSON.stringify(value) : text(value, '$', 0)
}

/** Whether JSON.stringify gives the canonical text: members in order, nothing that it would change, drop or refuse. */
function isInOrder(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed()
    case 'number':
      return Number.isFinite(value)
    case 'boolean':
      return true
    case 'object':
      if (value === null) return true
      if (depth === MAX_DEPTH) return false
      return Array.isArray(value) ? areInOrder(value, depth + 1) : isObjectInOrder(value, depth + 1)
    default:
      return false
  }
}

function areInOrder(values: readonly unknown[], depth: number): boolean {
  // By index: `every` would pass over holes, which JSON.stringify writes as null.
  for (let i = 0; i < values.length; i++) if (!isInOrder(values[i], depth)) return false
  return true
}

function isObjectInOrder(value: object, depth: number): boolean {
  if (Object.getPrototypeOf(value) !== Object.prototype) return false
  let last = ''
  for (const key of Object.keys(value)) {
    const inner: unknown = Reflect.get(value, key)
    if (key < last || !key.isWellFormed() || (inner !== undefined && !isInOrder(inner, depth))) return false
    last = key
  }
  return true
}

function text(value: unknown, member: string, depth: number): string {
  switch (typeof value) {
    case 'string':
      return quoted(value, member)
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`canonical JSON: \`${member}\` is not a finite number`)
      return String(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      if (depth === MAX_DEPTH)
        throw new TypeError(`canonical JSON: \`${member}\` lies deeper than ${MAX_DEPTH} levels`)
      return Array.isArray(value) ? arrayText(value, member, depth) : objectText(value, member, depth)
    default:
      throw new TypeError(`canonical JSON: \`${member}\` is ${typeof value}, which JSON cannot hold`)
  }
}

function arrayText(value: readonly unknown[], member: string, depth: number): string {
  let out = '['
  for (let i = 0; i < value.length; i++) {
    if (i > 0) out += ','
    out += text(value[i], member, depth + 1)
  }
  return `${out}]`
}

function objectText(value: object, member: string, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`canonical JSON: \`${member}\` is not a plain object`)
  }
  let out = '{'
  for (const key of sortedKeys(value)) {
    // Own members only, so `__proto__` is data like any other: JSON.parse makes it an own member, and so it is read.
    const inner: unknown = Reflect.get(value, key)
    if (inner === undefined) continue
    out += `${out.length > 1 ? ',' : ''}${quoted(key, member)}:${text(inner, key, depth + 1)}`
  }
  return `${out}}`
}

/** Own keys by UTF-16 code units, which is what `<` compares (RFC 8785 s3.2.3); localeCompare would not. */
export function sortedKeys(value: object): string[] {
  const keys = Object.keys(value)
  if (keys.length > 32) return keys.sort()
  // Records have few members: an insertion sort needs no call per comparison.
  for (let i = 1; i < keys.length; i++) {
    const key = keys[i] ?? ''
    let at = i
    for (; at > 0; at--) {
      const left = keys[at - 1] ?? ''
      if (left <= key) break
      keys[at] = left
    }
    keys[at] = key
  }
  return keys
}

// Printable ASCII but quote and backslash stands for itself; that is nearly every string of a record.
const PLAIN = /^[ !#-[\]-~]*$/

function quoted(value: string, member: string): string {
  if (PLAIN.test(value)) return `"${value}"`
  if (!value.isWellFormed()) throw new TypeError(`canonical JSON: \`${member}\` holds a lone surrogate`)
  return JSON.stringify(value)
}
