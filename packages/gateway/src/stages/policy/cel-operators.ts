import type { BinaryOperator } from '@marcbachmann/cel-js'
import { constantPart, priced, type Part } from './cel-part.ts'
import { CelTime, timeArithmetic, timeOf } from './cel-time.ts'
import { compare, EvaluationFault, isEqual, isObject, kindOf, type Frame, type Value } from './cel-runtime.ts'
import {
  BOOL,
  comparable,
  DOUBLE,
  DYN,
  INT,
  isNumeric,
  isTime,
  STRING,
  typeName,
  unify,
  type CelType,
} from './cel-type.ts'

/** Why an operator is refused at load. */
export interface OperatorRefused {
  readonly side: 'left' | 'right'
  readonly message: string
}

type Arithmetic = '+' | '-' | '*' | '/' | '%'
type Ordering = '<' | '<=' | '>' | '>='

/** Compiles a binary operator that is neither `&&` nor `||`. */
export function binary(op: BinaryOperator, left: Part, right: Part): Part | OperatorRefused {
  switch (op) {
    case '==':
    case '!=':
      return equality(op === '==', left, right)
    case '<':
    case '<=':
    case '>':
    case '>=':
      return ordering(op, left, right)
    case 'in':
      return membership(left, right)
    default:
      return arithmetic(op, left, right)
  }
}

/**
 * `&&` and `||` by CEL's rule: an error on one side is absorbed when the other side decides alone, in either order.
 * Running out of steps is never absorbed.
 */
export function logical(op: '&&' | '||', left: Part, right: Part): Part | OperatorRefused {
  for (const [side, part] of [['left', left] as const, ['right', right] as const]) {
    if (!isKind(part.type, 'bool')) {
      return { side, message: `\`${op}\` joins conditions, this is ${typeName(part.type)} (expected bool)` }
    }
  }
  const decides = op === '||'
  const run = (frame: Frame): Value => {
    let first: Value | EvaluationFault
    try {
      first = left.run(frame)
    } catch (error) {
      if (!(error instanceof EvaluationFault) || error.exhausted) throw error
      first = error
    }
    if (first === decides) return decides
    const second = right.run(frame)
    if (second === decides) return decides
    if (first instanceof EvaluationFault) throw first
    if (typeof first !== 'boolean') throw notBool(frame, op, first)
    if (typeof second !== 'boolean') throw notBool(frame, op, second)
    return !decides
  }
  return { type: BOOL, run, ...priced([left, right]) }
}

/** `!x`: also true for null and for an empty text, so that `!ctx.ticket` reads as a person means it. */
export function not(operand: Part): Part | OperatorRefused {
  if (!isKind(operand.type, 'bool', 'string', 'null')) {
    const other = operand.type.nullable ? '; to ask whether it is absent write `== null`' : ''
    return { side: 'left', message: `\`!\` of ${typeName(operand.type)} (expected bool or string)${other}` }
  }
  const run = (frame: Frame): Value => {
    const value = operand.run(frame)
    if (typeof value === 'boolean') return !value
    if (value === null) return true
    if (typeof value === 'string') return value === ''
    throw frame.fault(`\`!\` of ${kindOf(value)} (expected bool or string)`)
  }
  return { type: BOOL, run, ...priced([operand]) }
}

export function negate(operand: Part): Part | OperatorRefused {
  if (!isKind(operand.type, 'int', 'double')) {
    return { side: 'left', message: `\`-\` of ${typeName(operand.type)} (expected a number)` }
  }
  const run = (frame: Frame): Value => {
    const value = operand.run(frame)
    if (typeof value !== 'number') throw frame.fault(`\`-\` of ${kindOf(value)} (expected a number)`)
    return value === 0 && operand.type.kind === 'int' ? 0 : -value
  }
  const type = { ...operand.type, nullable: false }
  if (typeof operand.constant === 'number') {
    const value = operand.constant === 0 && type.kind === 'int' ? 0 : -operand.constant
    return constantPart(type, value)
  }
  return { type, run, ...priced([operand]) }
}

function equality(wanted: boolean, left: Part, right: Part): Part | OperatorRefused {
  if (!comparable(left.type, right.type)) {
    return {
      side: 'right',
      message: `${typeName(left.type)} never equals ${typeName(right.type)} (expected ${typeName(left.type)})`,
    }
  }
  const run = (frame: Frame): Value => {
    const a = left.run(frame)
    const b = right.run(frame)
    if (typeof a === 'string' && typeof b === 'string') frame.spend(1 + (Math.min(a.length, b.length) >> 6))
    return isEqual(frame, a, b) === wanted
  }
  return { type: BOOL, run, ...priced([left, right], comparedSteps(left, right, 6)) }
}

function ordering(op: Ordering, left: Part, right: Part): Part | OperatorRefused {
  for (const [side, part] of [['left', left] as const, ['right', right] as const]) {
    if (!isKind(part.type, ...ORDERED)) {
      return {
        side,
        message: `\`${op}\` of ${typeName(part.type)} (expected a number, string, bool or time)`,
      }
    }
  }
  if (!comparable(left.type, right.type)) {
    return {
      side: 'right',
      message: `${typeName(left.type)} is not ordered against ${typeName(right.type)} (expected ${typeName({ ...left.type, nullable: false })})`,
    }
  }
  const holds = ORDERINGS[op]
  const run = (frame: Frame): Value => {
    const order = compare(frame, left.run(frame), right.run(frame))
    return order !== undefined && holds(order)
  }
  return { type: BOOL, run, ...priced([left, right], comparedSteps(left, right, 4)) }
}

const ORDERED = ['int', 'double', 'string', 'bool', 'null', 'timestamp', 'duration'] as const

const ORDERINGS: Readonly<Record<Ordering, (order: number) => boolean>> = {
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
}

function membership(left: Part, right: Part): Part | OperatorRefused {
  const into = right.type
  if (into.kind === 'list' && !comparable(left.type, into.item)) {
    return {
      side: 'left',
      message: `${typeName(left.type)} is never in ${typeName(into)} (expected ${typeName(into.item)})`,
    }
  }
  if (into.kind === 'object' && !isKind(left.type, 'string')) {
    return { side: 'left', message: `${typeName(left.type)} is never a member name (expected string)` }
  }
  if (!isKind(into, 'list', 'object')) {
    return { side: 'right', message: `\`in\` needs a list or an object, this is ${typeName(into)}` }
  }
  // A literal list of scalars is looked up, however long an allow list grows.
  const literal = right.constant
  if (Array.isArray(literal) && literal.every((item: Value) => typeof item !== 'object')) {
    const known = new Set<Value>(literal)
    return { type: BOOL, run: (frame) => known.has(left.run(frame)), ...priced([left]) }
  }
  const run = (frame: Frame): Value => {
    const value = left.run(frame)
    const holder = right.run(frame)
    if (Array.isArray(holder)) return holder.some((item: Value) => isEqual(frame, item, value))
    if (!isObject(holder)) {
      throw frame.fault(`\`in\` of ${kindOf(holder)} (expected list or object)`)
    }
    return typeof value === 'string' && Object.hasOwn(holder, value)
  }
  return { type: BOOL, run, ...priced([left, right], 1 + 2 * right.size.items) }
}

/** Arithmetic as CEL has it: both sides int, or both double; `+` also joins texts and lists. */
function arithmetic(op: Arithmetic, left: Part, right: Part): Part | OperatorRefused {
  const a = left.type.kind
  const b = right.type.kind
  if (isTime(left.type) || isTime(right.type)) return times(op, left, right)
  const joins = op === '+' && (a === 'string' || a === 'list') && (b === a || b === 'dyn')
  const joined = op === '+' && a === 'dyn' && (b === 'string' || b === 'list')
  if (joins || joined) {
    const type =
      a === 'string' || b === 'string' ? STRING : { ...unify(left.type, right.type), nullable: false }
    return {
      type,
      run: (frame) => join(frame, left.run(frame), right.run(frame)),
      ...priced([left, right], joinSteps(left, right)),
    }
  }
  if (op === '+' && (a === 'string' || a === 'list'))
    return { side: 'right', message: `\`+\` of ${typeName(right.type)} (expected ${a}, as on the left)` }
  for (const [side, part] of [['left', left] as const, ['right', right] as const]) {
    if (!isKind(part.type, 'int', 'double')) {
      const expected = side === 'right' && !isNumeric(left.type) ? typeName(left.type) : 'a number'
      return { side, message: `\`${op}\` of ${typeName(part.type)} (expected ${expected})` }
    }
  }
  if (isNumeric(left.type) && isNumeric(right.type) && a !== b) {
    return {
      side: 'right',
      message: `\`${op}\` of ${a} and ${b} (expected ${a} on both sides); write \`double(...)\` or \`int(...)\``,
    }
  }
  const type = arithmeticType(left.type, right.type)
  if (op === '%' && type.kind === 'double') return { side: 'left', message: '`%` of double (expected int)' }
  const run = (frame: Frame): Value => {
    const x = left.run(frame)
    const y = right.run(frame)
    if (typeof x !== 'number' || typeof y !== 'number') {
      if (op === '+' && type.kind === 'dyn') return join(frame, x, y)
      throw frame.fault(`\`${op}\` of ${kindOf(x)} and ${kindOf(y)} (expected numbers)`)
    }
    // Where no schema tells, JSON integers are integers: `7 / 2` is 3 there as it is with a schema.
    const whole = type.kind === 'int' || (type.kind === 'dyn' && Number.isInteger(x) && Number.isInteger(y))
    if (op === '%' && !whole) throw frame.fault('`%` of double (expected int)')
    return calculate(frame, op, x, y, whole)
  }
  return { type, run, ...priced([left, right], op === '+' ? joinSteps(left, right) : 0) }
}

/** Times add and subtract where both sides are known to be times. */
function times(op: Arithmetic, left: Part, right: Part): Part | OperatorRefused {
  const kind = timeArithmetic(op, left.type.kind, right.type.kind)
  if (kind === undefined) {
    const message = `\`${op}\` of ${typeName(left.type)} and ${typeName(right.type)} (expected durations, a timestamp and a duration, or timestamp - timestamp)`
    return { side: isTime(left.type) ? 'right' : 'left', message }
  }
  const run = (frame: Frame): Value => {
    const x = left.run(frame)
    const y = right.run(frame)
    if (!(x instanceof CelTime && y instanceof CelTime))
      throw frame.fault(`\`${op}\` of ${kindOf(x)} and ${kindOf(y)} (expected times)`)
    const time = timeOf(kind, op === '+' ? x.nanos + y.nanos : x.nanos - y.nanos)
    if (time === undefined) throw frame.fault(`${kind} is out of range`)
    return time
  }
  return { type: { kind, nullable: false }, run, ...priced([left, right]) }
}

function arithmeticType(a: CelType, b: CelType): CelType {
  if (a.kind === 'double' || b.kind === 'double') return DOUBLE
  return a.kind === 'int' && b.kind === 'int' ? INT : DYN
}

function calculate(frame: Frame, op: Arithmetic, x: number, y: number, integers: boolean): number {
  if (integers && y === 0 && (op === '/' || op === '%')) throw frame.fault(`\`${op}\` by zero`)
  const plain = PLAIN[op](x, y)
  if (!integers) return plain
  const whole = Math.trunc(plain)
  if (!Number.isSafeInteger(whole)) throw frame.fault('integer is out of range (expected at most 2^53 - 1)')
  return whole === 0 ? 0 : whole
}

const PLAIN: Readonly<Record<Arithmetic, (x: number, y: number) => number>> = {
  '+': (x, y) => x + y,
  '-': (x, y) => x - y,
  '*': (x, y) => x * y,
  '/': (x, y) => x / y,
  '%': (x, y) => x % y,
}

function join(frame: Frame, a: Value, b: Value): Value {
  if (typeof a === 'string' && typeof b === 'string') return frame.joined(a, b)
  if (Array.isArray(a) && Array.isArray(b)) {
    frame.spend(a.length + b.length)
    return [...a, ...b]
  }
  throw frame.fault(`\`+\` of ${kindOf(a)} and ${kindOf(b)} (expected two of one kind)`)
}

/** Steps that comparing may spend: the shorter text in blocks of 2^n characters, the smaller list element by element. */
function comparedSteps(left: Part, right: Part, n: number): number {
  const text = Math.min(left.size.text, right.size.text)
  return 2 + (text >> n) + Math.min(left.size.items, right.size.items)
}

function joinSteps(left: Part, right: Part): number {
  return 1 + ((left.size.text + right.size.text) >> 6) + left.size.items + right.size.items
}

function notBool(frame: Frame, op: string, value: Value): EvaluationFault {
  return frame.fault(`\`${op}\` of ${kindOf(value)} (expected bool)`)
}

/** Whether a type may be one of these kinds; dynamic may be anything. */
export function isKind(type: CelType, ...kinds: readonly CelType['kind'][]): boolean {
  return type.kind === 'dyn' || kinds.includes(type.kind)
}
