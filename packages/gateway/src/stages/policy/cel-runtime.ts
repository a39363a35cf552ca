import type { Json } from '../../call/json.ts'
import { CelTime } from './cel-time.ts'
import type { WindowedFact } from './windowed-fact.ts'

/** What a condition computes with: JSON, and the times that it makes of it. */
export type Value =
  null | boolean | number | string | CelTime | readonly Value[] | { readonly [key: string]: Value }

/** Tells an object of facts or of a condition from everything else, times included. */
export function isObject(value: Value): value is { readonly [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof CelTime)
}

/**
 * Steps that all conditions of one decision may cost together; about one step per evaluated node, so some 2 to 5 ms.
 * Arguments are a stranger's: two nested loops over a 1 MiB array would otherwise hold the process for minutes.
 */
export const MAX_STEPS = 200_000
/** Steps of asking a windowed fact. */
export const WINDOW_STEPS = 50
/** Longest string that a condition may build, in UTF-16 units. */
const MAX_STRING = 1_048_576

/** A condition that could not be evaluated. The message never holds argument values. */
export class EvaluationFault extends Error {
  override readonly name = 'EvaluationFault'
  /** True when the steps ran out: no operator may absorb it. */
  readonly exhausted: boolean

  constructor(message: string, exhausted = false) {
    super(message)
    this.exhausted = exhausted
  }
}

/** The facts of one decision; `args` and `url` change between tools and URLs, the shape never. */
export type Facts = Readonly<Record<string, Json>>

/** State of one evaluation. */
export class Frame {
  facts: Facts
  /** Variables of macros, by slot. */
  readonly slots: Value[] = []
  steps: number
  readonly #total: (fact: WindowedFact) => number

  /** @param total value of a windowed fact. Default: 0, as before any call */
  constructor(facts: Facts, steps = MAX_STEPS, total: (fact: WindowedFact) => number = () => 0) {
    this.facts = facts
    this.steps = steps
    this.#total = total
  }

  /** A windowed fact costs what its store may take. */
  total(fact: WindowedFact): number {
    this.spend(WINDOW_STEPS)
    return this.#total(fact)
  }

  spend(steps: number): void {
    this.steps -= steps
    if (this.steps < 0)
      throw new EvaluationFault(`condition costs more than ${MAX_STEPS} steps on this call`, true)
  }

  /** Throwing is the dearest thing a condition can do, so it is paid for. */
  fault(message: string): EvaluationFault {
    this.spend(200)
    return new EvaluationFault(message)
  }

  joined(a: string, b: string): string {
    if (a.length + b.length > MAX_STRING) throw this.fault(`text grew over ${MAX_STRING} characters`)
    this.spend(1 + ((a.length + b.length) >> 6))
    return a + b
  }
}

/** Kind of a run-time value in the words of messages. */
export function kindOf(value: Value): string {
  if (value === null) return 'null'
  if (value instanceof CelTime) return value.kind
  if (Array.isArray(value)) return 'list'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

/** Deep equality of values; values of different kinds are unequal (cel-spec, heterogeneous equality). */
export function isEqual(frame: Frame, a: Value, b: Value): boolean {
  frame.spend(1)
  if (a === b) return true
  if (a instanceof CelTime || b instanceof CelTime)
    return a instanceof CelTime && b instanceof CelTime && a.kind === b.kind && a.nanos === b.nanos
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) {
    return (
      Array.isArray(b) && a.length === b.length && a.every((item, i) => isEqual(frame, item, b[i] ?? null))
    )
  }
  if (Array.isArray(b)) return false
  const left = Object.entries(a)
  if (left.length !== Object.keys(b).length) return false
  const other = new Map<string, Value>(Object.entries(b))
  return left.every(([key, item]) => other.has(key) && isEqual(frame, item, other.get(key) ?? null))
}

/**
 * Order of two values of one kind: negative, 0 or positive; NaN when a number is NaN.
 * Texts are ordered by code point, as CEL says, not by UTF-16 unit.
 * @returns undefined when a side is null: an ordering with null is false
 */
export function compare(frame: Frame, a: Value, b: Value): number | undefined {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  if (a === null || b === null) return undefined
  if (typeof a === 'string' && typeof b === 'string') {
    frame.spend(1 + (Math.min(a.length, b.length) >> 4))
    return compareText(a, b)
  }
  if (a instanceof CelTime && b instanceof CelTime && a.kind === b.kind)
    return a.nanos < b.nanos ? -1 : Number(a.nanos > b.nanos)
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b)
  throw frame.fault(`no order between ${kindOf(a)} and ${kindOf(b)}`)
}

function compareText(a: string, b: string): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return codePointRank(x) - codePointRank(y)
  }
  return a.length - b.length
}

/** Surrogates stand for code points above U+FFFF, so they rank after every other unit. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
