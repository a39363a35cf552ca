import { RE2JS } from 're2js'
import { isObject, kindOf, type Frame, type Value } from './cel-runtime.ts'
import { ORDINARY, type Part, type Size } from './cel-part.ts'
import { CelTime, epochSeconds, readDuration, readTimestamp, timeOf, timeText } from './cel-time.ts'
import { BOOL, DOUBLE, DURATION, INT, isTime, STRING, TIMESTAMP, typeName, type CelType } from './cel-type.ts'

/** Steps of reading or telling a time: some 1 to 3 us. */
export const TIME_STEPS = 40

/** Longest pattern of `matches`, in UTF-16 units. */
const MAX_PATTERN = 512

/** A function of conditions. `takes` are the kinds that each argument may have, the receiver first. */
export interface CelFunction {
  readonly takes: readonly (readonly CelType['kind'][])[]
  readonly returns: CelType
  /** Of a literal it is computed when the condition is loaded, and a wrong one refused there. Default: no. */
  readonly folds?: boolean
  /** Steps that a call may spend on an ordinary call, by its arguments. Default 0. */
  readonly extra?: (...args: readonly Part[]) => number
  readonly call: (frame: Frame, first: Value, second: Value) => Value
}

const text = ['string'] as const
const textTest = (test: (a: string, b: string) => boolean): CelFunction => ({
  takes: [text, text],
  returns: BOOL,
  extra: searched,
  call: (frame, a, b) => {
    if (typeof a !== 'string' || typeof b !== 'string')
      throw wrong(frame, typeof a === 'string' ? b : a, 'string')
    frame.spend(searchSteps(a.length, b.length))
    return test(a, b)
  },
})

/** V8's search can cost length times length when both come from the arguments. */
function searchSteps(length: number, wanted: number): number {
  return 1 + (length >> 6) + Math.ceil((length * wanted) / 256)
}

/** One of two texts of a call may hold all of its text, whatever an element of a loop holds on average. */
function searched(of: Part | undefined, wanted: Part | undefined): number {
  const longest = wanted?.constant === undefined ? ORDINARY.text : wanted.size.text
  return searchSteps(of?.size.text ?? 0, longest)
}

/** Called as `text.contains("x")`. */
export const METHODS: Readonly<Record<string, CelFunction>> = {
  contains: textTest((a, b) => a.includes(b)),
  startsWith: textTest((a, b) => a.startsWith(b)),
  endsWith: textTest((a, b) => a.endsWith(b)),
  size: { takes: [['string', 'list', 'object']], returns: INT, extra: (of) => counted(of?.size), call: size },
}

/** Called as `size(x)`. */
export const FUNCTIONS: Readonly<Record<string, CelFunction>> = {
  size: { takes: [['string', 'list', 'object']], returns: INT, extra: (of) => counted(of?.size), call: size },
  int: { takes: [['int', 'double', 'string', 'timestamp']], returns: INT, call: toInt },
  double: { takes: [['int', 'double', 'string']], returns: DOUBLE, call: toDouble },
  string: {
    takes: [['int', 'double', 'string', 'bool', 'timestamp', 'duration']],
    returns: STRING,
    extra: (of) => (of !== undefined && isTime(of.type) ? TIME_STEPS : 0),
    call: toText,
  },
  timestamp: {
    takes: [['string', 'int', 'timestamp']],
    returns: TIMESTAMP,
    folds: true,
    extra: () => TIME_STEPS,
    call: toTimestamp,
  },
  duration: {
    takes: [['string', 'duration']],
    returns: DURATION,
    folds: true,
    extra: () => TIME_STEPS,
    call: toDuration,
  },
}

/** Names of macros and of `matches`, for messages about unknown functions. */
export const OTHER_NAMES = ['has', 'all', 'exists', 'exists_one', 'filter', 'map', 'matches'] as const

/** A pattern that was compiled. */
export interface Pattern {
  readonly test: (frame: Frame, value: Value) => boolean
  /** Steps that it may spend on a text of this size. */
  readonly extra: (of: Size) => number
}

/**
 * Compiles the pattern of `matches` on a linear-time engine: V8's takes exponential time on patterns such as `(a+)+$`.
 * @returns a message when the pattern is refused
 */
export function compilePattern(pattern: string): Pattern | string {
  if (pattern.length > MAX_PATTERN)
    return `pattern is ${pattern.length} characters long (expected at most ${MAX_PATTERN})`
  let compiled: RE2JS
  try {
    compiled = RE2JS.compile(pattern)
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : ''
    return `pattern is refused: ${why} (expected RE2 syntax, without look-around and back references)`
  }
  // Linear in the text, but each character may cost a walk over the program: counted repeats make it hundreds long.
  const stepsPerCharacter = Math.max(1, compiled.programSize() / 8)
  const steps = (length: number): number => 1 + Math.ceil(length * stepsPerCharacter)
  return {
    test: (frame, value) => {
      if (typeof value !== 'string') throw wrong(frame, value, 'string')
      frame.spend(steps(value.length))
      return compiled.matcher(value).find()
    },
    extra: ({ text }) => steps(text),
  }
}

/** Why a function does not take arguments of these types; undefined when it does. */
export function refusedArgument(
  fn: CelFunction,
  types: readonly CelType[],
): { index: number; message: string } | undefined {
  for (const [index, type] of types.entries()) {
    const kinds = fn.takes[index] ?? []
    if (type.kind === 'dyn' || kinds.includes(type.kind)) continue
    return { index, message: `${typeName(type)} is no argument here (expected ${kinds.join(' or ')})` }
  }
  return undefined
}

export function wrong(frame: Frame, value: Value, expected: string): Error {
  return frame.fault(`value is ${kindOf(value)} (expected ${expected})`)
}

/** Steps that counting may spend. */
function counted({ text, items }: Size = ORDINARY): number {
  return 1 + (text >> 4) + (items >> 3)
}

/** Length of a text in code points, of a list in elements, of an object in members. */
function size(frame: Frame, value: Value): Value {
  if (typeof value === 'string') {
    frame.spend(1 + (value.length >> 4))
    let count = 0
    for (let i = 0; i < value.length; i++) {
      const unit = value.charCodeAt(i)
      const pairs = unit >= 0xd800 && unit < 0xdc00 && (value.charCodeAt(i + 1) & 0xfc00) === 0xdc00
      if (pairs) i++
      count++
    }
    return count
  }
  if (Array.isArray(value)) return value.length
  if (isObject(value)) {
    const count = Object.keys(value).length
    frame.spend(1 + (count >> 3))
    return count
  }
  throw wrong(frame, value, 'string, list or object')
}

function toInt(frame: Frame, value: Value): Value {
  if (value instanceof CelTime && value.kind === 'timestamp') return epochSeconds(value)
  const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number') throw wrong(frame, value, 'a number or a decimal text')
  const integer = Math.trunc(number)
  if (!Number.isSafeInteger(integer)) throw frame.fault('integer is out of range (expected at most 2^53 - 1)')
  return integer === 0 ? 0 : integer
}

function toDouble(frame: Frame, value: Value): Value {
  const isDecimal =
    typeof value === 'string' && /^-?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?$/.test(value)
  const number = isDecimal ? Number(value) : value
  if (typeof number !== 'number') throw wrong(frame, value, 'a number or a decimal text')
  return number
}

function toText(frame: Frame, value: Value): Value {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (value instanceof CelTime) {
    frame.spend(TIME_STEPS)
    return timeText(value)
  }
  throw wrong(frame, value, 'a scalar')
}

/** Of RFC 3339, or of whole seconds since 1970. */
function toTimestamp(frame: Frame, value: Value): Value {
  if (value instanceof CelTime && value.kind === 'timestamp') return value
  frame.spend(TIME_STEPS)
  if (typeof value === 'number' && Number.isSafeInteger(value)) {
    const time = timeOf('timestamp', BigInt(value) * 1_000_000_000n)
    if (time === undefined) throw frame.fault('timestamp is out of range (expected years 0001 to 9999)')
    return time
  }
  if (typeof value !== 'string') throw wrong(frame, value, 'a text or whole seconds since 1970')
  const time = readTimestamp(value)
  if (time === undefined)
    throw frame.fault(
      'text is no timestamp (expected one such as `2026-01-31T09:00:00Z`, years 0001 to 9999)',
    )
  return time
}

function toDuration(frame: Frame, value: Value): Value {
  if (value instanceof CelTime && value.kind === 'duration') return value
  frame.spend(TIME_STEPS)
  if (typeof value !== 'string') throw wrong(frame, value, 'a text')
  const time = readDuration(value)
  if (time === undefined)
    throw frame.fault('text is no duration (expected one such as `90s`, `1h30m` or `-5m`, at most 292 years)')
  return time
}
