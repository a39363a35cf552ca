import type { Redaction } from '../../call/decision.ts'
import { hash } from 'node:crypto'
import type { Target } from '../../call/call.ts'
import { EvaluationFault, Frame } from './cel-runtime.ts'
import type { BranchWatch } from './coverage.ts'
import type { PolicyDocument, RuleSource } from './document.ts'
import { decide, type PolicyAnswer, type PolicyWorld } from './engine.ts'
import { factsOf, METHOD_OF, STANDING_FACTS, type PolicyCall, type PolicyCaller } from './facts.ts'
import type { Problem } from './problem.ts'
import {
  concernsCaller,
  createRule,
  isExpired,
  type EnforcedEarly,
  type Rule,
  type RuleTarget,
} from './rule.ts'
import { RuleIndex, type Entry, type PolicyTool } from './rule-index.ts'
import { MAX_WINDOWED, type WindowedRead } from './windowed-fact.ts'

/** A policy, whole and sound, as it decides calls. Swapped whole, never edited. */
export interface PolicySet {
  /** SHA-256 (hex) over the SHA-256 of each file, in order: what `sha256sum` of the files gives, hashed again. */
  readonly digest: string
  readonly rules: readonly Rule[]
  /** Whether a rule reads what sessions have seen: only then is it worth finding out. */
  readonly readsLabels: boolean
  /** Windowed facts that rules read: what must be counted. */
  readonly windowed: readonly WindowedRead[]
  decide(call: PolicyCall, world: PolicyWorld): PolicyAnswer
  /**
   * Whether some call of this caller to this target could be allowed. A condition on args, url, ctx or session counts
   * as maybe. False is final: every such call would be refused.
   */
  mayAllow(caller: PolicyCaller, target: RuleTarget, labels: readonly string[], now: number): boolean
  /**
   * Whether a caller could be allowed something of a kind on a server, whatever it turns out to offer: what rules say of names,
   * classes and labels counts as maybe. False is final, as in mayAllow.
   */
  mayAllowServer(caller: PolicyCaller, server: string, kind: Target['kind'], now: number): boolean
  /** What rules might take out of a call of this caller to this target, whatever their conditions. */
  redactionsOf(caller: PolicyCaller, target: RuleTarget): readonly Redaction[]
  /** Takes the tools that are pinned now. A rule that does not fit its tool errs on every call of it. */
  recheck(tools: Iterable<PolicyTool>): { problems: Problem[]; warnings: Problem[] }
}

/**
 * Compiles documents to a policy, or tells everything that is wrong with them.
 * @param watch told what branches of conditions come to, for coverage. Default: nobody
 * @param early for whom rules on trial are enforced already. Default: for nobody
 */
export function compilePolicy(
  documents: readonly PolicyDocument[],
  watch?: BranchWatch,
  early?: EnforcedEarly,
): { set: PolicySet } | { problems: Problem[] } {
  const problems = documents.flatMap((document) => document.problems)
  const rules: Rule[] = []
  const seen = new Map<string, string>()
  for (const source of documents.flatMap((document) => document.rules)) {
    const { file, line, column } = source
    const first = seen.get(source.id)
    if (first !== undefined) {
      problems.push({
        file,
        line,
        column,
        message: `rule id \`${source.id}\` is taken by ${first} (expected another id)`,
      })
    }
    seen.set(source.id, `${file}:${line}`)
    const rule = createRule(source, rules.length, watch, early)
    if ('problem' in rule) problems.push(rule.problem)
    else rules.push(rule)
  }
  const windowed = windowedOf(rules)
  const beyond = [...windowed.values()][MAX_WINDOWED]
  if (beyond !== undefined)
    problems.push({
      file: beyond.rule.file,
      line: beyond.rule.line,
      column: beyond.rule.column,
      message: `rules read more than ${MAX_WINDOWED} windowed facts (this one is \`${beyond.fact.name}\`); write equal ones alike`,
    })
  if (problems.length > 0) return { problems }
  return { set: createPolicySet(rules, digestOf(documents)) }
}

/** Windowed facts by mode and name, each with the first rule that reads it so. */
function windowedOf(rules: readonly Rule[]): ReadonlyMap<string, WindowedRead & { rule: RuleSource }> {
  const all = new Map<string, WindowedRead & { rule: RuleSource }>()
  for (const { source, condition, modes } of rules) {
    for (const fact of condition?.windowed ?? []) {
      for (const mode of modes)
        if (!all.has(`${mode} ${fact.name}`)) all.set(`${mode} ${fact.name}`, { fact, mode, rule: source })
    }
  }
  return all
}

function createPolicySet(rules: readonly Rule[], digest: string): PolicySet {
  const index = new RuleIndex(rules)
  return {
    digest,
    rules,
    readsLabels: rules.some(({ condition }) =>
      condition?.paths.some(({ root, members }) => root === 'session' && members[0] === 'labels'),
    ),
    windowed: [...windowedOf(rules).values()].map(({ fact, mode }) => ({ fact, mode })),
    decide: (call, world) => decide(index.entries({ ...call.target, class: call.class }), call, world),
    mayAllow(caller, target, labels, now) {
      let granted = false
      const entries = index.entries(target)
      for (const entry of entries) {
        if (entry.rule.modeFor(caller, target.server) === 'observe') continue
        const answer = standingAnswer(entry, caller, target, labels)
        if (entry.rule.source.decision === 'deny') {
          if (answer === true) return false
        } else if (entry.rule.source.decision === 'allow' && answer !== false && !isExpired(entry.rule, now))
          granted = true
      }
      return granted
    },
    mayAllowServer(caller, server, kind, now) {
      let granted = false
      for (const rule of rules) {
        if (rule.modeFor(caller, server) === 'observe') continue
        const answer = answerForServer(rule, caller, server, kind)
        if (rule.source.decision === 'deny') {
          if (answer === true) return false
        } else if (rule.source.decision === 'allow' && answer !== false && !isExpired(rule, now))
          granted = true
      }
      return granted
    },
    redactionsOf(caller, target) {
      return index.entries(target).flatMap(({ rule }) => {
        const { redaction } = rule.source
        if (redaction === undefined || rule.modeFor(caller, target.server) === 'observe') return []
        return concernsCaller(rule, caller, 'maybe') === false ? [] : [redaction]
      })
    },
    recheck: (tools) => index.pin(tools),
  }
}

/** What is certain of a rule before any call: true, it will apply; false, it never will. */
function standingAnswer(
  entry: Entry,
  caller: PolicyCaller,
  target: RuleTarget,
  labels: readonly string[],
): boolean | 'maybe' {
  const { rule, condition, broken } = entry
  const isDeny = rule.source.decision === 'deny'
  const who = concernsCaller(rule, caller, 'maybe')
  if (who !== true) return who
  if (broken !== undefined) return isDeny
  if (condition === undefined) return true
  for (const root of rule.reads) if (!STANDING_FACTS.has(root)) return 'maybe'
  try {
    return condition.test(new Frame(standingFacts(caller, target, labels)))
  } catch (error) {
    if (error instanceof EvaluationFault) return isDeny
    throw error
  }
}

/** What is certain of a rule and all of a kind on a server before any of it is known: it will apply, or it never will. */
function answerForServer(
  rule: Rule,
  caller: PolicyCaller,
  server: string,
  kind: Target['kind'],
): boolean | 'maybe' {
  const { when } = rule.source
  const { [kind]: name, ...others } = { tool: when.tool, resource: when.resource, prompt: when.prompt }
  if (Object.values(others).some((other) => other !== undefined)) return false
  if (when.method !== undefined && !when.method.test(METHOD_OF[kind])) return false
  if (when.server !== undefined && !when.server.test(server)) return false
  // The URI of a resource names no server.
  if (name !== undefined && kind !== 'resource' && !name.reaches(`${server}.`)) return false
  if (kind !== 'tool' && when.class !== undefined && !when.class.test('read')) return false
  if (kind === 'resource' && rule.reads.has('args')) return false
  const target = { kind, server, name: '', class: kind === 'tool' ? 'write' : 'read' } as const
  const entry = { rule, condition: rule.condition, broken: undefined }
  const answer = rule.reads.has('tool')
    ? concernsCaller(rule, caller, 'maybe') && 'maybe'
    : standingAnswer(entry, caller, target, [])
  const ofClass = kind === 'tool' && when.class !== undefined
  const ofName = name !== undefined && (kind === 'resource' || !name.covers(`${server}.`))
  return answer === true && (ofClass || ofName) ? 'maybe' : answer
}

function standingFacts(caller: PolicyCaller, target: RuleTarget, labels: readonly string[]) {
  return factsOf({
    target,
    class: target.class,
    labels,
    args: {},
    caller,
    session: { id: '', calls: 0, labels: [], key: '' },
    ctx: { ticket: null, purpose: null, region: null, chain: '' },
  })
}

function digestOf(documents: readonly PolicyDocument[]): string {
  return hash('sha256', documents.map((document) => hash('sha256', document.text)).join('\n'))
}
