import type { Target, ToolClass } from '../../call/call.ts'
import { ConditionError } from './cel.ts'
import { compileCondition, type Branch, type Condition } from './cel-compile.ts'
import type { CelType } from './cel-type.ts'
import type { BranchWatch } from './coverage.ts'
import type { RuleMode, RuleSource } from './document.ts'
import { factTypes, METHOD_OF, type PolicyCaller } from './facts.ts'
import type { Problem } from './problem.ts'

/** A rule whose condition is sound as far as no tool is known. */
export interface Rule {
  readonly source: RuleSource
  /** Place in the policy: files in their order, rules in theirs. */
  readonly order: number
  /** Condition with arguments of unknown type; undefined when the rule has none. */
  readonly condition: Condition | undefined
  /** Roots of the facts that the condition reads; `window` for windowed facts. */
  readonly reads: ReadonlySet<string>
  /** Every mode that it has for anybody. */
  readonly modes: readonly RuleMode[]
  /** Its mode for one caller at one server. */
  readonly modeFor: (caller: PolicyCaller, server: string) => RuleMode
  /** Who is told what branches of the condition come to; only while cases are run for coverage. */
  readonly watch?: BranchWatch | undefined
}

/**
 * For whom, and at which servers, a rule on trial is enforced already.
 * @returns undefined: for nobody
 */
export type EnforcedEarly = (rule: string) => ((caller: PolicyCaller, server: string) => boolean) | undefined

/** What a rule is matched against before its condition. */
export interface RuleTarget extends Target {
  readonly class: ToolClass
}

/** Compiles the condition of a rule without knowing the tool. */
export function createRule(
  source: RuleSource,
  order: number,
  watch?: BranchWatch,
  early?: EnforcedEarly,
): Rule | { problem: Problem } {
  const condition = compileFor(source, factTypes(), watch)
  if (condition !== undefined && 'problem' in condition) return condition
  const roots = condition?.paths.map(({ root }) => root) ?? []
  if (condition !== undefined && condition.windowed.length > 0) roots.push('window')
  const enforced = source.mode === 'observe' ? early?.(source.id) : undefined
  const modeFor: Rule['modeFor'] =
    enforced === undefined
      ? () => source.mode
      : (caller, server) => (enforced(caller, server) ? 'enforce' : 'observe')
  const modes = enforced === undefined ? [source.mode] : (['observe', 'enforce'] as const)
  return { source, order, condition, reads: new Set(roots), modes, modeFor, watch }
}

/** Compiles the condition of a rule for tools whose arguments have this type. */
export function compileForTool(rule: Rule, args: CelType): Condition | undefined | { problem: Problem } {
  return rule.reads.has('args') ? compileFor(rule.source, factTypes(args), rule.watch) : rule.condition
}

/** Whether a rule speaks of a target at all; actor, tenant, purpose and the condition come later. */
export function concerns(rule: Rule, target: RuleTarget): boolean {
  const { when } = rule.source
  if (when.tool !== undefined && !(target.kind === 'tool' && when.tool.test(nameOf(target)))) return false
  if (when.resource !== undefined && !(target.kind === 'resource' && when.resource.test(target.name)))
    return false
  if (when.prompt !== undefined && !(target.kind === 'prompt' && when.prompt.test(nameOf(target))))
    return false
  if (when.server !== undefined && !when.server.test(target.server)) return false
  if (when.class !== undefined && !when.class.test(target.class)) return false
  if (when.method !== undefined && !when.method.test(METHOD_OF[target.kind])) return false
  // Reading a resource has no arguments, so a rule about arguments says nothing of it.
  return !(target.kind === 'resource' && rule.reads.has('args'))
}

/** Whether a rule speaks of a caller. `maybe`: only the call's own circumstances can tell. */
export function concernsCaller(
  rule: Rule,
  caller: PolicyCaller,
  purpose: string | null | 'maybe',
): boolean | 'maybe' {
  const { when } = rule.source
  if (when.actor !== undefined && !when.actor.test(caller.actor.id)) return false
  if (when.tenant !== undefined && !when.tenant.test(caller.tenant)) return false
  if (when.purpose === undefined) return true
  if (purpose === 'maybe') return 'maybe'
  return purpose !== null && when.purpose.test(purpose)
}

/** Whether a rule's time is over. */
export function isExpired(rule: Rule, now: number): boolean {
  return rule.source.until !== undefined && now > rule.source.until
}

/** `<server>.<name>`, the one name of tools and prompts in policy and records. */
export function nameOf(target: Target): string {
  return `${target.server}.${target.name}`
}

function compileFor(
  source: RuleSource,
  types: ReadonlyMap<string, CelType>,
  watch?: BranchWatch,
): Condition | undefined | { problem: Problem } {
  const { cond } = source
  if (cond === undefined) return undefined
  try {
    const told = watch && ((branch: Branch, outcome: boolean) => watch(source, branch, outcome))
    return compileCondition(cond.text, types, told)
  } catch (error) {
    if (error instanceof ConditionError) {
      return { problem: { file: source.file, ...cond.place(error.index), message: error.message } }
    }
    // Recursion over a condition that the parser let through; it is refused, never half compiled.
    if (error instanceof RangeError) {
      return { problem: { file: source.file, ...cond.place(0), message: 'condition is nested too deeply' } }
    }
    throw error
  }
}
