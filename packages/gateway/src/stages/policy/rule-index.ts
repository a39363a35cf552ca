import type { ToolClass } from '../../call/call.ts'
import { member, type JsonObject } from '../../call/json.ts'
import type { Condition } from './cel-compile.ts'
import { typeOfArguments, DYN, type CelType } from './cel-type.ts'
import { PROMPT_ARGUMENTS } from './facts.ts'
import { isLiteral } from './glob.ts'
import type { Problem } from './problem.ts'
import { compileForTool, concerns, nameOf, type Rule, type RuleTarget } from './rule.ts'
import { misfitOf, type WindowedFact } from './windowed-fact.ts'

/** Tools without a pin (a call file, a tool that left) whose rules are kept; a stranger cannot grow the cache. */
const MAX_UNPINNED = 1_024

/** A tool as policy must know it; PinnedTool of ports/catalog.ts is one. */
export interface PolicyTool {
  readonly server: string
  readonly name: string
  readonly class: ToolClass
  readonly labels: readonly string[]
  /** The pinned definition, as the server said it; read for its `inputSchema`. */
  readonly definition: JsonObject
}

/** A rule that concerns a target, with its condition for that target's arguments. */
export interface Entry {
  readonly rule: Rule
  readonly condition: Condition | undefined
  /** Why the condition does not fit the tool: the rule then errs on every call. */
  readonly broken: string | undefined
}

/** Finds the rules of a tool once: by exact name where rules give one, by trying the others. */
export class RuleIndex {
  readonly #exact = new Map<string, Rule[]>()
  readonly #others: Rule[] = []
  readonly #windowed: readonly Rule[]
  #pinned: ReadonlyMap<string, readonly Entry[]> = new Map()
  /** Rules that read a windowed fact which does not fit the tool that it is about, and why. */
  #misfits: ReadonlyMap<Rule, string> = new Map()
  readonly #unpinned = new Map<string, readonly Entry[]>()

  constructor(rules: readonly Rule[]) {
    this.#windowed = rules.filter(({ reads }) => reads.has('window'))
    for (const rule of rules) {
      const patterns = rule.source.when.tool?.patterns
      if (patterns === undefined || !patterns.every(isLiteral)) this.#others.push(rule)
      else
        for (const name of new Set(patterns)) this.#exact.set(name, [...(this.#exact.get(name) ?? []), rule])
    }
  }

  /** Rules of a target in the policy's order. */
  entries(target: RuleTarget): readonly Entry[] {
    // Resource names are the caller's choice and nothing is compiled for them, so nothing is kept.
    if (target.kind === 'resource') return this.#resolve(target, DYN).entries
    const key = keyOf(target)
    const known = this.#pinned.get(key) ?? this.#unpinned.get(key)
    if (known !== undefined) return known
    if (this.#unpinned.size >= MAX_UNPINNED) this.#unpinned.clear()
    const { entries } = this.#resolve(target, target.kind === 'prompt' ? PROMPT_ARGUMENTS : DYN)
    this.#unpinned.set(key, entries)
    return entries
  }

  /** Compiles every rule for the tools that are pinned now, and tells which do not fit. */
  pin(tools: Iterable<PolicyTool>): { problems: Problem[]; warnings: Problem[] } {
    const pinned = new Map<string, readonly Entry[]>()
    const all = [...tools]
    const { problems, warnings } = this.#fitWindows(all)
    for (const tool of all) {
      const target: RuleTarget = { kind: 'tool', server: tool.server, name: tool.name, class: tool.class }
      const found = this.#resolve(target, typeOfArguments(member(tool.definition, 'inputSchema')))
      pinned.set(keyOf(target), found.entries)
      problems.push(...found.problems)
      warnings.push(...found.warnings)
    }
    this.#pinned = pinned
    this.#unpinned.clear()
    return { problems, warnings }
  }

  /**
   * Looks whether windowed facts fit the tools that they are about, which a rule need not be about itself. One that is about the
   * tools of any server (`*...`) cannot know them: to it a tool that lacks the member adds nothing, which is a warning where
   * no fact of the rule fits the tool.
   */
  #fitWindows(tools: readonly PolicyTool[]): { problems: Problem[]; warnings: Problem[] } {
    const misfits = new Map<Rule, string>()
    const problems: Problem[] = []
    const warnings: Problem[] = []
    for (const rule of this.#windowed) {
      for (const tool of tools) {
        const found = misfitIn(rule, tool)
        if (found === undefined) continue
        const message = `for tool \`${tool.server}.${tool.name}\`: ${found.misfit}`
        const { file, cond, line, column } = rule.source
        const problem = { file, ...(cond?.place(0) ?? { line, column }), message }
        if (found.isOpen) warnings.push(problem)
        else {
          problems.push(problem)
          misfits.set(rule, message)
        }
      }
    }
    this.#misfits = misfits
    return { problems, warnings }
  }

  #resolve(target: RuleTarget, args: CelType) {
    const named = target.kind === 'tool' ? (this.#exact.get(nameOf(target)) ?? []) : []
    const rules = [...named, ...this.#others].filter((rule) => concerns(rule, target))
    const problems: Problem[] = []
    const warnings: Problem[] = []
    const entries = rules
      .sort((a, b) => a.order - b.order)
      .map((rule): Entry => {
        const condition = compileForTool(rule, args)
        if (condition !== undefined && 'problem' in condition) {
          const message = `for tool \`${nameOf(target)}\`: ${condition.problem.message}`
          problems.push({ ...condition.problem, message })
          return { rule, condition: undefined, broken: message }
        }
        for (const { index, message } of condition?.warnings ?? []) {
          const place = rule.source.cond?.place(index) ?? rule.source
          warnings.push({ file: rule.source.file, line: place.line, column: place.column, message })
        }
        return { rule, condition, broken: this.#misfits.get(rule) }
      })
    return { entries, problems, warnings }
  }
}

/** How the windowed facts of a rule misfit a tool that they are about; open: facts about any server, and none of them fits. */
function misfitIn(rule: Rule, tool: PolicyTool): { misfit: string; isOpen: boolean } | undefined {
  const name = `${tool.server}.${tool.name}`
  const facts = (rule.condition?.windowed ?? []).filter((fact) => fact.tool.test(name))
  if (facts.length === 0) return undefined
  const args = typeOfArguments(member(tool.definition, 'inputSchema'))
  const isAboutAny = (fact: WindowedFact): boolean => fact.tool.patterns.every((one) => one.startsWith('*'))
  for (const fact of facts.filter((one) => !isAboutAny(one))) {
    const misfit = misfitOf(fact, args)
    if (misfit !== undefined) return { misfit, isOpen: false }
  }
  const open = facts.filter(isAboutAny).map((fact) => misfitOf(fact, args))
  const [misfit] = open
  return misfit === undefined || open.includes(undefined) ? undefined : { misfit, isOpen: true }
}

/** The class stands in the key because the operator may change it while the pin stays. */
function keyOf(target: RuleTarget): string {
  return `${target.kind} ${target.class} ${nameOf(target)}`
}
