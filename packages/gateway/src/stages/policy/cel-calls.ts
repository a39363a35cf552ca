import type { ASTNode } from '@marcbachmann/cel-js'
import { ConditionError } from './cel.ts'
import {
  compilePattern,
  FUNCTIONS,
  METHODS,
  OTHER_NAMES,
  refusedArgument,
  TIME_STEPS,
  type CelFunction,
} from './cel-functions.ts'
import { isMacro, MACROS } from './cel-macros.ts'
import { isKind } from './cel-operators.ts'
import { constantPart, priced, type Part, type Size } from './cel-part.ts'
import { EvaluationFault, Frame, isObject, kindOf, WINDOW_STEPS, type Value } from './cel-runtime.ts'
import { CelTime, FIELDS, inZone, LENGTHS, zoneOf } from './cel-time.ts'
import { BOOL, DOUBLE, DYN, INT, STRING, typeName, type CelType } from './cel-type.ts'
import { didYouMean, nearestName, quoted } from './problem.ts'
import { isWindowed, windowedFact, type WindowedFact } from './windowed-fact.ts'

/** Deepest nesting of loops: a loop in a loop is the most that a rule needs and a decision can pay. */
const MAX_LOOPS = 2

/** Longest text of a number, a bool or a time, in UTF-16 units. */
const MAX_SCALAR_TEXT = 32

/** What a call needs of the compiler around it. */
export interface Scope {
  /** Compiles a piece whose value is used. */
  readonly part: (node: ASTNode) => Part
  /** Compiles a piece of which only a member is used. */
  readonly piece: (node: ASTNode) => Part
  /** @throws ConditionError when the receiver has no such member */
  readonly memberType: (node: ASTNode, receiver: Part, name: string) => unknown
  /** Notes a fact as read. */
  readonly reads: (path: readonly string[]) => void
  /** Notes a windowed fact as read. */
  readonly readsWindow: (fact: WindowedFact) => void
  readonly roots: ReadonlyMap<string, CelType>
  /** Variables of the loops around, outermost first; the index is the slot. */
  readonly variables: { name: string; type: CelType; size: Size }[]
}

/** Compiles `name(...)` or `receiver.name(...)`: a function, `has`, `matches`, or a loop over a list. */
export function compileCall(
  scope: Scope,
  node: ASTNode,
  name: string,
  receiver: ASTNode | undefined,
  args: readonly ASTNode[],
): Part {
  if (name === 'has' && receiver === undefined) return has(scope, node, args)
  if (name === 'matches') return matches(scope, node, receiver === undefined ? args : [receiver, ...args])
  if (isWindowed(receiver, name)) {
    const fact = windowedFact(receiver, name, args)
    scope.readsWindow(fact)
    return { type: DOUBLE, run: (frame) => frame.total(fact), ...priced([], WINDOW_STEPS) }
  }
  if (receiver !== undefined && isMacro(name)) return loop(scope, node, name, receiver, args)
  if (receiver !== undefined && Object.hasOwn(FIELDS, name)) return getter(scope, node, name, receiver, args)
  const table = receiver === undefined ? FUNCTIONS : METHODS
  const fn = Object.hasOwn(table, name) ? table[name] : undefined
  if (fn === undefined) throw unknownFunction(node, name, receiver)
  const given = receiver === undefined ? args : [receiver, ...args]
  if (given.length !== fn.takes.length) {
    throw new ConditionError(
      node.start,
      `\`${name}\` is given ${counted(given.length - (receiver === undefined ? 0 : 1))} (expected ${fn.takes.length - (receiver === undefined ? 0 : 1)})`,
    )
  }
  return apply(scope, fn, given)
}

const counted = (number: number): string => `${number} ${number === 1 ? 'argument' : 'arguments'}`

function apply(scope: Scope, fn: CelFunction, given: readonly ASTNode[]): Part {
  const parts = given.map((arg) => scope.part(arg))
  const refused = refusedArgument(
    fn,
    parts.map((part) => part.type),
  )
  if (refused !== undefined) throw new ConditionError(given[refused.index]?.start ?? 0, refused.message)
  const [first, second] = parts
  if (fn.folds === true && first?.constant !== undefined)
    return constantPart(fn.returns, folded(fn, first.constant, given[0]?.start ?? 0))
  const run = (frame: Frame): Value => fn.call(frame, first?.run(frame) ?? null, second?.run(frame) ?? null)
  const price = priced(parts, fn.extra?.(...parts) ?? 0)
  // A number and a time hold no text, and become some.
  const text = fn.returns.kind === 'string' ? Math.max(price.size.text, MAX_SCALAR_TEXT) : price.size.text
  return { type: fn.returns, run, ...price, size: { ...price.size, text } }
}

/** @throws ConditionError when the function refuses this literal */
function folded(fn: CelFunction, literal: Value, index: number): Value {
  try {
    return fn.call(new Frame({}), literal, null)
  } catch (error) {
    throw error instanceof EvaluationFault ? new ConditionError(index, error.message) : error
  }
}

/** `time.getHours()`, `time.getHours("Europe/Berlin")`, `duration.getHours()`. */
function getter(scope: Scope, node: ASTNode, name: string, of: ASTNode, args: readonly ASTNode[]): Part {
  const [at] = args
  if (args.length > 1)
    throw new ConditionError(
      node.start,
      `\`${name}\` is given ${args.length} arguments (expected at most a zone)`,
    )
  const time = scope.part(of)
  if (!isKind(time.type, 'timestamp', ...(Object.hasOwn(LENGTHS, name) ? ['duration' as const] : [])))
    throw new ConditionError(of.start, `\`${name}\` of ${typeName(time.type)} (expected timestamp)`)
  if (at !== undefined && time.type.kind === 'duration')
    throw new ConditionError(at.start, 'a duration has no zone (expected no argument)')
  const zone = at === undefined ? 'UTC' : zoneWritten(at)
  const run = (frame: Frame): Value => {
    const value = time.run(frame)
    const tells = value instanceof CelTime && value.kind === 'duration' ? LENGTHS[name] : undefined
    if (!(value instanceof CelTime) || (value.kind === 'duration' && tells === undefined))
      throw frame.fault(`\`${name}\` of ${kindOf(value)} (expected timestamp)`)
    frame.spend(TIME_STEPS)
    return tells === undefined ? (FIELDS[name]?.(inZone(value, zone)) ?? 0) : tells(value.nanos)
  }
  return { type: INT, run, ...priced([time], TIME_STEPS) }
}

/** A zone stands in the condition itself: to read one is dear, and a wrong one is seen when the file is loaded. */
function zoneWritten(at: ASTNode): string {
  if (at.op !== 'value' || typeof at.args !== 'string')
    throw new ConditionError(at.start, 'zone is computed (expected a literal text)')
  const zone = zoneOf(at.args)
  if (zone === undefined)
    throw new ConditionError(
      at.start,
      'zone is unknown (expected an IANA name such as `Europe/Berlin`, or `+02:00`)',
    )
  return zone
}

function unknownFunction(node: ASTNode, name: string, receiver: ASTNode | undefined): ConditionError {
  const known = [...Object.keys(receiver === undefined ? FUNCTIONS : METHODS), ...OTHER_NAMES]
  return new ConditionError(
    node.start,
    `unknown function ${quoted(name)} (expected ${known.map((one) => `\`${one}\``).join(', ')})${didYouMean(nearestName(name, [...known, ...Object.keys(FIELDS)]))}`,
  )
}

/** `has(x.y)`: there and not null, because absent and null are one thing in conditions. */
function has(scope: Scope, node: ASTNode, args: readonly ASTNode[]): Part {
  const [arg] = args
  if (arg === undefined || arg.op !== '.' || args.length !== 1) {
    throw new ConditionError(node.start, '`has` takes one member (expected `has(args.name)`)')
  }
  const [of, name] = arg.args
  const receiver = scope.piece(of)
  scope.memberType(arg, receiver, name)
  const run = (frame: Frame): Value => {
    const holder = receiver.run(frame)
    if (!isObject(holder)) throw frame.fault(`${kindOf(holder)} has no members`)
    return Object.hasOwn(holder, name) && holder[name] !== null
  }
  if (receiver.path !== undefined) scope.reads([...receiver.path, name])
  return { type: BOOL, run, ...priced([receiver]) }
}

function matches(scope: Scope, node: ASTNode, args: readonly ASTNode[]): Part {
  const [of, at] = args
  if (of === undefined || at === undefined || args.length !== 2) {
    throw new ConditionError(
      node.start,
      '`matches` takes a text and a pattern (expected `args.name.matches("^a")`)',
    )
  }
  const value = scope.part(of)
  if (!isKind(value.type, 'string'))
    throw new ConditionError(of.start, `\`matches\` of ${typeName(value.type)} (expected string)`)
  if (at.op !== 'value' || typeof at.args !== 'string') {
    throw new ConditionError(at.start, 'pattern of `matches` is computed (expected a literal text)')
  }
  const found = compilePattern(at.args)
  if (typeof found === 'string') throw new ConditionError(at.start, found)
  return {
    type: BOOL,
    run: (frame) => found.test(frame, value.run(frame)),
    ...priced([value], found.extra(value.size)),
  }
}

function loop(
  scope: Scope,
  node: ASTNode,
  name: keyof typeof MACROS,
  over: ASTNode,
  args: readonly ASTNode[],
): Part {
  const [variable, ...bodies] = args
  if (scope.variables.length === MAX_LOOPS) {
    throw new ConditionError(node.start, `loops are nested deeper than ${MAX_LOOPS}`)
  }
  const macro = MACROS[name]
  if (variable === undefined || variable.op !== 'id' || !macro.bodies.includes(bodies.length)) {
    throw new ConditionError(
      node.start,
      `\`${name}\` takes a variable and an expression (expected \`list.${name}(x, ...)\`)`,
    )
  }
  const local = variable.args
  if (scope.roots.has(local) || scope.variables.some((known) => known.name === local)) {
    throw new ConditionError(
      variable.start,
      `variable ${quoted(local)} hides another name (expected a new name)`,
    )
  }
  const range = scope.part(over)
  if (!isKind(range.type, 'list', 'object')) {
    throw new ConditionError(over.start, `\`${name}\` of ${typeName(range.type)} (expected list or object)`)
  }
  const item = itemOf(range.type)
  const slot = scope.variables.length
  scope.variables.push({ name: local, type: item, size: elementOf(range.size) })
  const parts = bodies.map((body) => scope.part(body))
  scope.variables.pop()
  const tests = parts.slice(0, name === 'map' ? parts.length - 1 : parts.length)
  for (const [i, test] of tests.entries()) {
    const at = bodies[i]
    if (at !== undefined && !isKind(test.type, 'bool')) {
      throw new ConditionError(at.start, `\`${name}\` asks ${typeName(test.type)} (expected bool)`)
    }
  }
  return macro.compile({ range, slot, item, bodies: parts })
}

/** Elements share what the list holds: over all of them a loop sees no more than is there. */
function elementOf({ text, items }: Size): Size {
  const count = Math.max(1, items)
  return { text: Math.ceil(text / count), items: Math.ceil(items / count) }
}

/** Loops run over the elements of a list and over the member names of an object. */
function itemOf(range: CelType): CelType {
  if (range.kind === 'list') return range.item
  return range.kind === 'object' ? STRING : { ...DYN, nullable: true }
}
