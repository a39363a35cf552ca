import type { Decision, Effect, Redaction, Requirements, RuleError } from '../../call/decision.ts'
import type { Json, JsonObject } from '../../call/json.ts'
import type { FoundUrls } from '../../net/find-urls.ts'
import { findUrls } from '../../net/find-urls.ts'
import { EvaluationFault, Frame, MAX_STEPS } from './cel-runtime.ts'
import { factsOf, withUrl, type PolicyCall } from './facts.ts'
import { recordedFacts, type AskedEntry, type Conceal } from './recorded-facts.ts'
import { concernsCaller, isExpired } from './rule.ts'
import type { Entry } from './rule-index.ts'
import type { RuleMode, RuleSource } from './document.ts'
import { amountOf, type WindowedFact } from './windowed-fact.ts'

/** The answer of policy for one call. */
export interface PolicyAnswer {
  readonly decision: Decision
  /** What the rules require that apply; nothing unless the effect is `step_up`. */
  readonly requires: Requirements
  /** What the rules that apply take out of the call. */
  readonly redactions: readonly Redaction[]
  /** Seconds after which a deferred call may be made again: the longest of its rules; undefined: it is not deferred. */
  readonly retryAfterS: number | undefined
  /** Every fact that the evaluated rules read, ready for the record. */
  readonly facts: JsonObject
  /** Rules of which more than the index was asked. */
  readonly evaluated: number
  /** Whether a rule on trial would refuse the call, or require something of it. */
  readonly wouldRestrict: boolean
}

/** What the engine needs of the world. */
export interface PolicyWorld {
  /** Milliseconds since the epoch. */
  readonly now: number
  /** For facts that come from the caller's arguments: they are unscreened. */
  readonly conceal: Conceal
  /** What earlier calls added to a windowed fact; Infinity: nobody knows how much. Default 0. */
  readonly total?: (fact: WindowedFact, mode: RuleMode) => number
}

type Outcome = 'match' | 'no_match' | RuleError

/**
 * Decides one call by the rules that concern its target. Default deny; deny beats allow whatever the order, and so does what is
 * required until it is there. A restricting rule that cannot be evaluated applies, an allow rule that cannot does not grant.
 */
export function decide(entries: readonly Entry[], call: PolicyCall, world: PolicyWorld): PolicyAnswer {
  const judge = new Judge(call, world.total)
  const asked: AskedEntry[] = []
  const applied: RuleSource[] = []
  const observed: string[] = []
  let restricts = false
  const errors: RuleError[] = []
  let clean = false
  for (const entry of entries) {
    const { rule } = entry
    const { id, decision } = rule.source
    if (concernsCaller(rule, call.caller, call.ctx.purpose) !== true) continue
    if (decision === 'allow' && isExpired(rule, world.now)) continue
    const mode = rule.modeFor(call.caller, call.target.server)
    asked.push({ condition: entry.condition, mode })
    const outcome = judge.outcome(entry, mode)
    const failed = typeof outcome === 'object'
    if (failed) errors.push(outcome)
    const applies = outcome === 'match' || (failed && decision !== 'allow')
    if (!applies) continue
    if (decision === 'require_ticket' && call.ctx.ticket !== null) continue
    if (mode === 'observe') {
      observed.push(id)
      restricts ||= decision !== 'allow' && decision !== 'redact'
    } else {
      applied.push(rule.source)
      if (decision === 'deny') clean ||= !failed
    }
  }
  const of = (...effects: readonly Effect[]) => applied.filter(({ decision }) => effects.includes(decision))
  const deferring = of('defer')
  const required = of('require_ticket', 'require_approval')
  const effect =
    of('deny').length > 0 || of('allow').length === 0
      ? 'deny'
      : deferring.length > 0
        ? 'defer'
        : required.length > 0
          ? 'step_up'
          : 'allow'
  const deciding = { deny: of('deny'), defer: deferring, step_up: required, allow: of('allow', 'redact') }[
    effect
  ]
  const rules = deciding.map(({ id }) => id)
  const reason = rules.length === 0 ? 'no_rule_allows' : effect === 'deny' && !clean ? 'rule_error' : 'rule'
  const passes = effect === 'allow' || effect === 'step_up'
  return {
    decision: { effect, reason, rules, observed, errors },
    requires: {
      ticket: effect === 'step_up' && of('require_ticket').length > 0,
      approvers: effect === 'step_up' ? of('require_approval').map(({ approvers }) => approvers) : [],
    },
    redactions: passes ? of('redact').flatMap(({ redaction }) => redaction ?? []) : [],
    retryAfterS:
      effect === 'defer' ? Math.max(...deferring.map(({ retryAfterS = 0 }) => retryAfterS)) : undefined,
    facts: recordedFacts(asked, judge.facts, judge.found, world.conceal, judge.total),
    evaluated: asked.length,
    wouldRestrict: restricts,
  }
}

/** Evaluates conditions on one call; all of them share one budget of steps, so a call costs what it may cost. */
class Judge {
  readonly facts: JsonObject
  readonly #frame: Frame
  readonly #call: PolicyCall
  /** A windowed fact: what earlier calls added, and what this one would. */
  readonly total: (fact: WindowedFact, mode: RuleMode) => number
  /** Mode of the rule that is asked. */
  #mode: RuleMode = 'enforce'
  #found: FoundUrls | undefined
  #urlFacts: JsonObject[] | undefined

  constructor(call: PolicyCall, before: PolicyWorld['total'] = () => 0) {
    this.#call = call
    this.facts = factsOf(call)
    this.total = (fact, mode) => before(fact, mode) + amountOf(fact, call.target, call.args)
    this.#frame = new Frame(this.facts, MAX_STEPS, (fact) => this.total(fact, this.#mode))
  }

  /** URLs of the arguments, undefined when no rule asked for them. */
  get found(): FoundUrls | undefined {
    return this.#found
  }

  outcome({ rule, condition, broken }: Entry, mode: RuleMode): Outcome {
    if (broken !== undefined) return { rule: rule.source.id, message: broken }
    if (condition === undefined) return 'match'
    this.#mode = mode
    try {
      if (!rule.reads.has('url')) {
        this.#frame.facts = this.facts
        return condition.test(this.#frame) ? 'match' : 'no_match'
      }
      return this.#perUrl(condition.test, rule.source.decision !== 'allow') ? 'match' : 'no_match'
    } catch (error) {
      if (error instanceof EvaluationFault) return { rule: rule.source.id, message: error.message }
      // A fault of ours is an error of the rule, so that it denies instead of passing by.
      return {
        rule: rule.source.id,
        message: `condition failed: ${error instanceof Error ? error.name : 'unknown'}`,
      }
    }
  }

  /** Deny rules match when any URL does, allow rules only when all do and there is one; no URL: no match. */
  #perUrl(test: (frame: Frame) => boolean, isDeny: boolean): boolean {
    const { found, urls } = this.#urls()
    let fault: EvaluationFault | undefined
    for (const facts of urls) {
      this.#frame.facts = facts
      try {
        if (test(this.#frame) === isDeny) return isDeny
      } catch (error) {
        if (!(error instanceof EvaluationFault) || error.exhausted || !isDeny) throw error
        fault ??= error
      }
    }
    if (fault !== undefined) throw fault
    // What could not be read might be the very URL that the rule is about.
    if (found.fault === 'too_many') throw new EvaluationFault('arguments hold too many URLs to judge')
    if (found.fault === 'unreadable') throw new EvaluationFault('arguments hold a URL that cannot be read')
    return !isDeny && urls.length > 0
  }

  #urls(): { found: FoundUrls; urls: readonly JsonObject[] } {
    const { target, args } = this.#call
    // The URI is all that reading a resource has by way of arguments.
    const searched: Json = target.kind === 'resource' ? { uri: target.name } : args
    const found = (this.#found ??= findUrls(searched))
    const urls = (this.#urlFacts ??= found.urls.map((url) => withUrl(this.facts, url)))
    return { found, urls }
  }
}
