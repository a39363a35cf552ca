import { Document, isMap, isSeq, parseDocument } from 'yaml'
import type { Effect } from '../../call/decision.ts'
import { celLiteral, DraftError, findPin, joinConditions, pinCondition, type Pin } from './draft-condition.ts'
import { readPolicy, type RuleSource } from './document.ts'
import type { Selector } from './vocabulary.ts'
import type { PolicyCall } from './facts.ts'
import { isLiteral, MAX_GLOB_LENGTH } from './glob.ts'
import { formatProblem } from './problem.ts'
import { nameOf } from './rule.ts'

/** A rule as it is to stand in a file. */
export interface DraftedRule {
  readonly rule: string
  readonly when: Readonly<Partial<Record<Selector | 'cond', string>>>
  readonly decision: Effect
  readonly why: string
}

export interface DraftOptions {
  readonly decision: Effect
  /** Default: made of decision, tool and actor. */
  readonly id?: string | undefined
  /** Paths of arguments whose values the rule is bound to. Default none. */
  readonly pins?: readonly string[]
  readonly why: string
}

/**
 * The narrowest rule for one call: its target, its class, its actor and tenant, and the arguments that are pinned.
 * INVARIANT: it speaks of no other target, class, actor or tenant, whatever signs their names hold.
 * @throws DraftError when a condition cannot say it
 */
export function draftRule(call: PolicyCall, options: DraftOptions): { rule: DraftedRule; pins: Pin[] } {
  const pins = (options.pins ?? []).map((path) => findPin(call.args, path))
  const selectors: [Selector, string, string | undefined][] = [
    ...targetSelectors(call),
    ['actor', call.caller.actor.id, 'actor.id'],
    ['tenant', call.caller.tenant, 'actor.tenant'],
  ]
  const when: Partial<Record<Selector | 'cond', string>> = {}
  const conditions: string[] = []
  for (const [key, value, fact] of selectors) {
    // A name with a wildcard in it would select more than itself.
    if (isLiteral(value) && value !== '' && value.length <= MAX_GLOB_LENGTH) when[key] = value
    else if (fact !== undefined) conditions.push(`${fact} == ${celLiteral(value)}`)
    else
      throw new DraftError(
        `the name of the ${key} cannot stand in \`when\` as itself (expected 1 to ${MAX_GLOB_LENGTH} characters, none of them \`*\` or \`?\`)`,
      )
  }
  const cond = joinConditions([...conditions, pinCondition(pins, options.decision)])
  const rule = {
    rule: options.id ?? ruleId(call, options.decision),
    when: cond === undefined ? when : { ...when, cond },
    decision: options.decision,
    why: options.why,
  }
  return { rule, pins }
}

/** Selector, value, and the fact that says the same in a condition. */
function targetSelectors(call: PolicyCall): [Selector, string, string | undefined][] {
  const { target } = call
  const server: [Selector, string, undefined] = ['server', target.server, undefined]
  switch (target.kind) {
    case 'tool': {
      const tool: [Selector, string, string] = ['tool', nameOf(target), 'tool.name']
      const named = isLiteral(target.name) && nameOf(target).length <= MAX_GLOB_LENGTH
      return [...(named ? [] : [server]), tool, ['class', call.class, undefined]]
    }
    case 'prompt':
      return [['prompt', nameOf(target), undefined]]
    case 'resource':
      return [server, ['resource', target.name, undefined]]
  }
}

/** An id that a person can read: `allow-fs.write_file-for-claude-code`. */
function ruleId(call: PolicyCall, decision: Effect): string {
  const { target, caller } = call
  const what = target.kind === 'resource' ? `${target.server}.resource` : nameOf(target)
  const plain = (text: string) => text.replaceAll(/[^A-Za-z0-9._-]+/g, '-').slice(0, 56)
  return `${decision}-${plain(what)}-for-${plain(caller.actor.id)}`
}

/**
 * The text of a policy file with one more rule at its end; everything before stays byte for byte.
 * @throws DraftError when the file has a form to which nothing can be added, or the rule is not sound in it
 */
export function appendRule(file: string, text: string, rule: DraftedRule): string {
  const contents = parseDocument(text, { stringKeys: true }).contents
  const newline = text.includes('\r\n') ? '\r\n' : '\n'
  const isList = isSeq(contents)
  if (isList && contents.flow === true && contents.items.length > 0)
    throw new DraftError(`${file} is a list in brackets (expected one of lines that begin with \`- rule:\`)`)
  // An empty list in brackets gives way to its first line.
  const empty = isList && contents.items.length === 0 ? contents.range : undefined
  const start = isList ? (contents.range?.[0] ?? 0) : 0
  const column = empty ? 0 : start - (text.lastIndexOf('\n', start - 1) + 1)
  const kept = empty ? text.slice(0, empty[0]) + text.slice(empty[1]).trimStart() : text
  const ended = kept === '' || kept.endsWith('\n') ? kept : kept + newline
  const gap = isList && !empty ? newline : ''
  const added = ruleText(rule)
    .split('\n')
    .map((line) => (line === '' ? line : ' '.repeat(column) + line))
    .join(newline)
  const whole = ended + gap + added
  const before = text.trim() === '' || !isList ? [] : readPolicy(file, text).rules
  const after = readPolicy(file, whole)
  const [problem] = after.problems
  if (problem !== undefined) throw new DraftError(`the rule does not fit: ${formatProblem(problem)}`)
  const drafted = { ...rule.when, rule: rule.rule, decision: rule.decision, why: rule.why }
  if (JSON.stringify(after.rules.map(plainly)) !== JSON.stringify([...before.map(plainly), sorted(drafted)]))
    throw new DraftError(`${file} has an end to which no rule can be added; name another file`)
  return whole
}

/** A rule as YAML, with a line end. */
function ruleText(rule: DraftedRule): string {
  const document = new Document([rule], { aliasDuplicateObjects: false })
  // Selectors fit in one line; a condition has a line of its own, where a person will read it.
  const when = document.getIn([0, 'when'])
  if (isMap(when)) when.flow = rule.when.cond === undefined
  return document.toString({ lineWidth: 0, flowCollectionPadding: true })
}

/** What a rule says, without its place. */
function plainly(rule: RuleSource): object {
  const { id, when, cond, decision, mode, owner, why, until } = rule
  const globs = Object.entries(when).map(([key, glob]) => [
    key,
    glob.patterns.length === 1 ? glob.patterns[0] : glob.patterns,
  ])
  const optional = { cond: cond?.text, owner, why, until, mode: mode === 'enforce' ? undefined : mode }
  return sorted({ ...Object.fromEntries(globs), ...optional, rule: id, decision })
}

function sorted(members: object): object {
  const there = Object.entries(members).filter(([, value]) => value !== undefined)
  return Object.fromEntries(there.sort(([a], [b]) => (a < b ? -1 : 1)))
}
