import type { ASTNode } from '@marcbachmann/cel-js'
import type { Effect } from '../../call/decision.ts'
import { isJsonObject, member, type Json, type JsonObject } from '../../call/json.ts'
import { ConditionError, parseCondition } from './cel.ts'
import { MAX_CONDITION_LENGTH } from './vocabulary.ts'
import { didYouMean, nearestName, quoted } from './problem.ts'

/** A rule that cannot be drafted from a call. The message says what is in the way and what would be right. */
export class DraftError extends Error {
  override readonly name = 'DraftError'
}

/** An argument of a call by its path, and its value there. */
export interface Pin {
  /** As it stands in conditions: `args.path`, or `args["odd name"]`. */
  readonly path: string
  readonly members: readonly string[]
  readonly value: Json
}

/**
 * Finds the argument that a path such as `args.path` names.
 * @throws DraftError when the path is none, or the call has no such argument
 */
export function findPin(args: JsonObject, path: string): Pin {
  const members = membersOf(path)
  if (members === undefined || members.length === 0)
    throw new DraftError(`pin ${quoted(path)} is no path of an argument (expected one such as \`args.path\`)`)
  let value: Json = args
  let written = 'args'
  for (const name of members) {
    const found: Json | undefined = isJsonObject(value) ? member(value, name) : undefined
    if (found === undefined) {
      const known: string[] = isJsonObject(value) ? Object.keys(value) : []
      const holder = written
      const expected =
        known.length === 0
          ? `\`${holder}\` has no members`
          : known.map((key) => quoted(holder + step(key))).join(', ')
      const best = nearestName(name, known)
      throw new DraftError(
        `the call has no argument ${quoted(path)} (expected ${expected})${didYouMean(best === undefined ? undefined : holder + step(best))}`,
      )
    }
    value = found
    written += step(name)
  }
  return { path: written, members, value }
}

/**
 * The condition that holds for exactly these values.
 * @throws DraftError when a value has no form in a condition
 */
export function pinCondition(pins: readonly Pin[], decision: Effect): string {
  return pins
    .map((pin) => {
      const equal = `${pin.path} == ${celLiteral(pin.value)}`
      // An absent member is null or an error; an error denies where the rule does, so such a rule asks first.
      return decision === 'deny' || pin.value === null
        ? [...presence(pin.members), equal].join(' && ')
        : equal
    })
    .join(' && ')
}

/** Joins conditions; undefined where there is none. @throws DraftError when the whole is no sound condition */
export function joinConditions(conditions: readonly string[]): string | undefined {
  const text = conditions.filter((one) => one !== '').join(' && ')
  if (text === '') return undefined
  if (text.length > MAX_CONDITION_LENGTH)
    throw new DraftError(
      `the condition would be ${text.length} characters long (expected at most ${MAX_CONDITION_LENGTH}); pin fewer or shorter arguments`,
    )
  try {
    parseCondition(text)
  } catch (error) {
    if (!(error instanceof ConditionError)) throw error
    throw new DraftError(`these arguments have no form in a condition: ${error.message}; pin other ones`)
  }
  return text
}

/** A value as a literal of CEL. @throws DraftError for a text that is no Unicode */
export function celLiteral(value: Json): string {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed())
        throw new DraftError('a text with half a character (a lone surrogate) has no form in a condition')
      // CEL knows every escape that JSON writes, and takes no line end in quotes.
      return JSON.stringify(value)
    case 'number':
      return numberLiteral(value)
    case 'object': {
      if (value === null) return 'null'
      if (isJsonObject(value)) {
        const members = Object.entries(value).map(([key, one]) => `${celLiteral(key)}: ${celLiteral(one)}`)
        return `{${members.join(', ')}}`
      }
      return `[${value.map(celLiteral).join(', ')}]`
    }
    default:
      return String(value)
  }
}

/** Integers that JSON keeps exactly are integers of CEL; everything else is a double, and says so by a point or an exponent. */
function numberLiteral(value: number): string {
  const text = String(value)
  return Number.isSafeInteger(value) || /[.e]/.test(text) ? text : `${text}.0`
}

/** `"a" in args && "b" in args.a`. */
function presence(members: readonly string[]): string[] {
  return members.map(
    (name, index) => `${celLiteral(name)} in args${members.slice(0, index).map(step).join('')}`,
  )
}

/** `.name` where CEL reads that as a member, else `["name"]`. */
function step(name: string): string {
  if (/^[A-Za-z_]\w*$/.test(name) && membersOf(`args.${name}`)?.[0] === name) return `.${name}`
  return `[${celLiteral(name)}]`
}

/** Members of a path under `args`; undefined when the text is anything else. */
function membersOf(path: string): string[] | undefined {
  const members: string[] = []
  let node: ASTNode
  try {
    node = parseCondition(path)
  } catch (error) {
    if (error instanceof ConditionError) return undefined
    throw error
  }
  for (;;) {
    if (node.op === 'id') return node.args === 'args' ? members.reverse() : undefined
    if (node.op === '.') {
      members.push(node.args[1])
      node = node.args[0]
    } else if (node.op === '[]' && node.args[1].op === 'value' && typeof node.args[1].args === 'string') {
      members.push(node.args[1].args)
      node = node.args[0]
    } else return undefined
  }
}
