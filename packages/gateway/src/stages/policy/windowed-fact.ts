import type { ASTNode } from '@marcbachmann/cel-js'
import { isJsonObject, type Json } from '../../call/json.ts'
import type { Principal, Session, Target } from '../../call/call.ts'
import type { JsonObject } from '../../call/json.ts'
import { ConditionError } from './cel.ts'
import { typeName, type CelType } from './cel-type.ts'
import type { RuleMode } from './document.ts'
import { compileGlob, MAX_GLOB_LENGTH, type Glob } from './glob.ts'
import { didYouMean, nearestName, quoted } from './problem.ts'

/**
 * How much of something happened lately, the call that is judged included: `session.sum("crm.bulk_update", "args.count", "1h")`
 * (ARCHITECTURE.md section 3, "Facts for conditions"). A sum adds numbers as they are and lists by their length.
 */
export interface WindowedFact {
  /** As written, in one spelling. */
  readonly name: string
  /** Whose calls count: those of one session, or those of one actor in its tenant. */
  readonly of: 'session' | 'actor'
  readonly tool: Glob
  /** Members of `args` that lead to what is added; undefined: calls are counted. */
  readonly path: readonly string[] | undefined
  readonly windowMs: number
}

/**
 * A windowed fact as rules of one mode read it. To a rule on trial a call that it would have refused adds nothing, so that it would
 * refuse the same calls once it is enforced.
 */
export interface WindowedRead {
  readonly fact: WindowedFact
  readonly mode: RuleMode
}

/** Windowed facts that one policy may read. */
export const MAX_WINDOWED = 64

const WINDOWED = /^(?:session|actor)\.(?:sum|count)$/
const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
/** Shortest and longest window, in milliseconds. */
const [MIN_MS, MAX_MS] = [1_000, 7 * UNIT_MS.d]

/** Whether a call in a condition reads a windowed fact. */
export function isWindowed(receiver: ASTNode | undefined, name: string): receiver is ASTNode {
  return receiver?.op === 'id' && WINDOWED.test(`${receiver.args}.${name}`)
}

/** @throws ConditionError with the argument that is wrong */
export function windowedFact(receiver: ASTNode, name: string, args: readonly ASTNode[]): WindowedFact {
  const of = receiver.args === 'actor' ? 'actor' : 'session'
  const sums = name === 'sum'
  const written = sums ? 'tool, path, window' : 'tool, window'
  const example = sums ? '"crm.bulk_update", "args.count", "1h"' : '"crm.*", "1h"'
  if (args.length !== (sums ? 3 : 2))
    throw new ConditionError(
      receiver.start,
      `\`${of}.${name}\` is given ${args.length} ${args.length === 1 ? 'argument' : 'arguments'} (expected ${written}, such as \`${of}.${name}(${example})\`)`,
    )
  const texts = args.map((arg) => {
    if (arg.op === 'value' && typeof arg.args === 'string') return arg.args
    throw new ConditionError(
      arg.start,
      `argument of \`${of}.${name}\` is computed (expected a literal text, such as in \`${of}.${name}(${example})\`)`,
    )
  })
  const [tool = ''] = texts
  const path = sums ? pathOf(args[1], texts[1] ?? '') : undefined
  if (tool === '' || tool.length > MAX_GLOB_LENGTH || !/[.*?]/.test(tool))
    throw new ConditionError(
      args[0]?.start ?? 0,
      `${quoted(tool)} names no tool (expected \`server.tool\`, \`*\` and \`?\` as wildcards)`,
    )
  return {
    name: `${of}.${name}(${texts.map((text) => JSON.stringify(text)).join(', ')})`,
    of,
    tool: compileGlob([tool]),
    path,
    windowMs: windowOf(args.at(-1), texts.at(-1) ?? ''),
  }
}

function pathOf(arg: ASTNode | undefined, text: string): readonly string[] {
  const [root, ...path] = text.split('.')
  if (root !== 'args' || path.length === 0 || path.some((name) => name === ''))
    throw new ConditionError(
      arg?.start ?? 0,
      `${quoted(text)} is no path of arguments (expected one such as \`args.count\`)`,
    )
  return path
}

function windowOf(arg: ASTNode | undefined, text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const windowMs = Number(digits) * (UNIT_MS[unit as keyof typeof UNIT_MS] ?? 0)
  if (windowMs >= MIN_MS && windowMs <= MAX_MS) return windowMs
  throw new ConditionError(
    arg?.start ?? 0,
    `${quoted(text)} is no window (expected a number and \`s\`, \`m\`, \`h\` or \`d\`, from \`1s\` to \`7d\`)`,
  )
}

/** Whose window a call falls into. */
export function scopeOf(
  { of }: WindowedFact,
  { actor, tenant }: Pick<Principal, 'actor' | 'tenant'>,
  session: Pick<Session, 'key'>,
): string {
  // NUL stands in neither: claims with control characters are refused.
  return of === 'session' ? session.key : `${tenant}\u0000${actor.id}`
}

/**
 * What a call adds to a fact: 0 where it is of another tool.
 * @returns Infinity for what cannot be added, such as a text or a number below 0: nobody knows how much it stands for
 */
export function amountOf({ tool, path }: WindowedFact, target: Target, args: JsonObject): number {
  if (target.kind !== 'tool' || !tool.test(`${target.server}.${target.name}`)) return 0
  if (path === undefined) return 1
  let value: Json = args
  for (const name of path) {
    if (value === null) return 0
    if (!isJsonObject(value)) return Infinity
    value = Object.hasOwn(value, name) ? (value[name] ?? null) : null
  }
  if (value === null) return 0
  if (Array.isArray(value)) return value.length
  return typeof value === 'number' && value >= 0 ? value : Infinity
}

/** Why a sum does not fit a tool whose arguments have this type; undefined: it fits, or nobody knows. */
export function misfitOf({ name, path = [] }: WindowedFact, args: CelType): string | undefined {
  let type = args
  let at = 'args'
  for (const member of path) {
    if (type.kind === 'dyn') return undefined
    if (type.kind !== 'object')
      return `\`${name}\`: \`${at}\` is ${typeName(type)} and has no member ${quoted(member)}`
    const next = type.members.get(member) ?? type.rest
    if (next === undefined) {
      const near = nearestName(member, [...type.members.keys()])
      return `\`${name}\`: unknown member ${quoted(`${at}.${member}`)}${didYouMean(near && `${at}.${near}`)}`
    }
    type = next
    at = `${at}.${member}`
  }
  return path.length === 0 || ['int', 'double', 'list', 'dyn', 'null'].includes(type.kind)
    ? undefined
    : `\`${name}\`: \`${at}\` is ${typeName(type)} (expected a number or a list)`
}
