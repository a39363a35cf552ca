import type { Branch } from './cel-compile.ts'
import type { RuleSource } from './document.ts'
import { quoted, type Problem } from './problem.ts'
import type { Rule } from './rule.ts'

/** Told whenever a branch of a rule's condition was asked and came to true or false. */
export type BranchWatch = (rule: RuleSource, branch: Branch, outcome: boolean) => void

/** What cases show of a policy. A branch is one outcome, true or false, of a condition or of one of its operands. */
export interface CoverageReport {
  readonly rules: { readonly total: number; readonly covered: number }
  readonly branches: { readonly total: number; readonly covered: number }
  /** What no case shows, at its place in the policy. */
  readonly missing: readonly Problem[]
}

/**
 * Gathers what the cases of golden files show of the rules: which decided a case, and which operands of `&&`, `||` and `?:` came
 * to true and to false. An operand that failed, or was not asked because the other decided, was not seen.
 */
export class PolicyCoverage {
  /** By file and place, since golden files are compiled each for itself. */
  readonly #rules = new Map<string, Rule>()
  readonly #decided = new Set<string>()
  readonly #seen = new Set<string>()

  readonly watch: BranchWatch = (rule, branch, outcome) => {
    this.#seen.add(`${keyOf(rule)} ${branch.start}-${branch.end} ${outcome}`)
  }

  /** Rules that are to be shown. */
  expect(rules: readonly Rule[]): void {
    for (const rule of rules) this.#rules.set(keyOf(rule.source), rule)
  }

  /** @param ids of the rules that decided a case, or would have on trial */
  decided(rules: readonly Rule[], ids: readonly string[]): void {
    for (const { source } of rules) if (ids.includes(source.id)) this.#decided.add(keyOf(source))
  }

  report(): CoverageReport {
    const rules = [...this.#rules]
    const idle = rules.filter(([key]) => !this.#decided.has(key))
    const outcomes = rules.flatMap(([key, { source, condition }]) =>
      (condition?.branches ?? []).flatMap((branch) =>
        [true, false].map((outcome) => ({
          source,
          branch,
          outcome,
          key: `${key} ${branch.start}-${branch.end} ${outcome}`,
        })),
      ),
    )
    const unseen = outcomes.filter(({ key }) => !this.#seen.has(key))
    return {
      rules: { total: rules.length, covered: rules.length - idle.length },
      branches: { total: outcomes.length, covered: outcomes.length - unseen.length },
      missing: [
        ...idle.map(([, { source }]) => at(source, source, 'decides no case')),
        ...unseen.map(({ source, branch, outcome }) => unseenBranch(source, branch, outcome)),
      ],
    }
  }
}

function unseenBranch(source: RuleSource, branch: Branch, outcome: boolean): Problem {
  const text = branchText(source.cond?.text ?? '', branch)
  return at(source, source.cond?.place(branch.start) ?? source, `${quoted(text)} is never ${outcome}`)
}

/** A branch as it is written, in one line. The parser leaves the last parenthesis of `!(...)` out. */
export function branchText(condition: string, { start, end }: Branch): string {
  const text = condition.slice(start, end)
  const open = text.split('(').length - text.split(')').length
  const rest = /^[\s)]*/.exec(condition.slice(end))?.[0].split(')').length ?? 1
  return (text + ')'.repeat(Math.max(0, Math.min(open, rest - 1)))).replaceAll(/\s+/g, ' ')
}

function at(
  { id, file }: RuleSource,
  { line, column }: { line: number; column: number },
  what: string,
): Problem {
  return { file, line, column, message: `rule \`${id}\`: ${what}` }
}

function keyOf({ file, line, column }: RuleSource): string {
  return `${file}:${line}:${column}`
}
