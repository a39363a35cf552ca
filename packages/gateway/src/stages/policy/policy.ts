import { type AuthorizationDetail, detailFor } from '../../call/authorization.ts'
import { keyedHash } from '@callgate/evidence'
import type { AuthorizedCall, ParsedCall, Principal, Target, TaskCall, ToolClass } from '../../call/call.ts'
import { type Json, type JsonObject, member } from '../../call/json.ts'
import { type Judgement, Refusal } from '../../call/refusal.ts'
import { type Stage, SYNCHRONOUS_MS } from '../../call/stage.ts'
import type { LimitStore, Window } from '../../ports/limit-store.ts'
import type { PolicyAnswer } from './engine.ts'
import type { PolicyCall } from './facts.ts'
import type { RuleMode } from './document.ts'
import { loadPolicyFiles, type PolicyFile } from './load.ts'
import { formatProblem, type Problem } from './problem.ts'
import type { EnforcedEarly } from './rule.ts'
import type { PolicyTool } from './rule-index.ts'
import type { PolicySet } from './policy-set.ts'
import { amountOf, scopeOf, type WindowedRead } from './windowed-fact.ts'
import { recordedDecision } from './recorded-decision.ts'
import type { Conceal } from './recorded-facts.ts'

/** Key of a tenant for the keyed hashes of facts; the same that records use, so that both can be tested alike. */
export type MacKey = (tenant: string) => Buffer

/** Longest text about a decision that goes into the record, in UTF-16 units. */
const MAX_INTERNAL = 1_000

/** Rules that come beside the local files, and may become too old to decide. */
export interface BundleInForce {
  readonly files: readonly PolicyFile[]
  /** @throws Refusal when they are too old for calls of a class */
  requireYoung(toolClass: ToolClass): void
}

/** The policy in force: one whole set, replaced by the next sound one. The last good one stays until then. */
export class PolicyHolder {
  #set: PolicySet
  #tools: readonly PolicyTool[] = []
  readonly #files: readonly string[]
  readonly #macKey: MacKey
  readonly #limits: LimitStore
  readonly #now: () => number
  readonly #bundle: BundleInForce | undefined
  readonly #early: EnforcedEarly | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(
    set: PolicySet,
    files: readonly string[],
    macKey: MacKey,
    limits: LimitStore,
    now: () => number = Date.now,
    bundle?: BundleInForce,
    early?: EnforcedEarly,
  ) {
    this.#set = set
    this.#files = files
    this.#macKey = macKey
    this.#limits = limits
    this.#now = now
    this.#bundle = bundle
    this.#early = early
  }

  /** Loads the files. @throws Error with every problem: without a policy the gate does not start (SECURITY.md 1.1) */
  static async open(
    files: readonly string[],
    macKey: MacKey,
    limits: LimitStore,
    now: () => number = Date.now,
    bundle?: BundleInForce,
    early?: EnforcedEarly,
  ): Promise<PolicyHolder> {
    const loaded = await loadPolicyFiles(files, bundle?.files, early)
    if ('problems' in loaded) throw new Error(loaded.problems.map(formatProblem).join('\n'))
    return new PolicyHolder(loaded.set, files, macKey, limits, now, bundle, early)
  }

  get digest(): string {
    return this.#set.digest
  }

  get set(): PolicySet {
    return this.#set
  }

  /** Puts a policy in force, for the tools that are pinned now. @returns rules that do not fit their tools */
  swap(set: PolicySet): Problem[] {
    // Compiled for the tools before any call can see it.
    const { problems } = set.recheck(this.#tools)
    this.#set = set
    return problems
  }

  /**
   * Reads the files again. A policy that is not sound, or that does not fit a pinned tool, is not taken.
   * @returns why the last good policy was kept; empty when the files are in force
   */
  reload(): Promise<Problem[]> {
    return this.#inTurn(() => this.#taken(this.#bundle?.files))
  }

  /**
   * Puts the rules of another bundle in force, beside the local files as they are now.
   * @param keep makes the bundle the one that is kept; what it throws leaves the policy as it is
   * @returns why the last good policy was kept
   */
  take(files: readonly PolicyFile[], keep: () => Promise<void>): Promise<Problem[]> {
    return this.#inTurn(() => this.#taken(files, keep))
  }

  async #taken(bundle: readonly PolicyFile[] = [], keep?: () => Promise<void>): Promise<Problem[]> {
    const loaded = await loadPolicyFiles(this.#files, bundle, this.#early)
    if ('problems' in loaded) return loaded.problems
    const { problems } = loaded.set.recheck(this.#tools)
    if (problems.length > 0) return problems
    await keep?.()
    this.swap(loaded.set)
    return []
  }

  /** One after the other: a look at the files that began before a bundle came must not put the older one back. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.catch(() => undefined).then(work)
    this.#last = turn
    return turn
  }

  /** Takes the tools that are pinned now. @returns rules that do not fit them: until mended, they err on those tools */
  recheck(tools: readonly PolicyTool[]): Problem[] {
    this.#tools = tools
    return this.#set.recheck(tools).problems
  }

  /** Whether a principal could be allowed anything on a target: what could not is left out of lists. */
  mayReach(principal: Principal, target: Target, tool: PolicyTool | undefined): boolean {
    const seen = { ...target, class: tool?.class ?? ('read' as const) }
    return this.#set.mayAllow(principal, seen, tool?.labels ?? [], this.#now())
  }

  /** Whether a principal could be allowed something of a kind on a server, whatever it turns out to offer. */
  mayReachServer(principal: Principal, server: string, kind: Target['kind']): boolean {
    return this.#set.mayAllowServer(principal, server, kind, this.#now())
  }

  /**
   * Decides what is done with a task. The call that made it passed every rule; its arguments are not there to be judged again, so
   * what is asked is whether the caller may still reach the tool, as lists ask it (docs/design/0004).
   */
  #authorizeTask(call: ParsedCall, task: TaskCall): AuthorizedCall {
    const { principal, target, labels } = call
    const set = this.#set
    const allowed = set.mayAllow(principal, { ...target, class: task.class }, labels, this.#now())
    const judgement: Judgement = {
      // No single rule decides: the ids of all that could would say more than was asked.
      decision: {
        effect: allowed ? 'allow' : 'deny',
        reason: allowed ? 'rule' : 'no_rule_allows',
        rules: [],
        observed: [],
        errors: [],
      },
      facts: {},
      policy: set.digest,
    }
    // Nobody knows any more whether a condition held for the call that made the task: what it might take out is taken out.
    const redactions = set.redactionsOf(principal, { ...target, class: task.class })
    if (allowed) return { ...call, ...judgement, ...(redactions.length === 0 ? {} : { redactions }) }
    throw new Refusal('CG_POLICY_NO_ALLOW', { internal: 'no rule allows the tool of the task', judgement })
  }

  /** Rules by id, with the reasons of their authors. */
  rulesNamed(ids: readonly string[]): { readonly id: string; readonly why: string | undefined }[] {
    return this.#set.rules.flatMap(({ source: { id, why } }) => (ids.includes(id) ? [{ id, why }] : []))
  }

  /** Decides a call. @throws Refusal with the judgement, when policy does not allow it */
  authorize(call: ParsedCall): AuthorizedCall {
    this.#bundle?.requireYoung(call.task?.class ?? call.class)
    if (call.task !== undefined) return this.#authorizeTask(call, call.task)
    const set = this.#set
    const key = this.#macKey
    const conceal = (value: Json): Json => ({
      mac: keyedHash(key(call.principal.tenant), JSON.stringify(value)),
    })
    const windowOf = ({ fact, mode }: WindowedRead): Window => ({
      key: `${mode} ${fact.name}\u0000${scopeOf(fact, call.principal, call.session)}`,
      ms: fact.windowMs,
    })
    const decided = (ticket: string | null) =>
      set.decide(policyCall(call, ticket), {
        now: this.#now(),
        conceal,
        total: (fact, mode) => this.#limits.total(windowOf({ fact, mode })),
      })
    let answer = decided(null)
    let ticket = answer.decision.effect === 'allow' ? undefined : ticketOf(call)
    if (ticket !== undefined) {
      const withTicket = decided(ticket)
      // A ticket is asked for only where it makes the difference, so that no other call uses it up.
      if (withTicket.decision.effect === 'step_up' && sameRequirements(answer, withTicket)) ticket = undefined
      else answer = withTicket
    }
    const { decision, facts, requires, redactions, wouldRestrict } = answer
    const told = ticket === undefined ? facts : { ...facts, ...concealedTicket(facts, conceal) }
    const judgement = { ...recordedDecision(decision, told, conceal), policy: set.digest }
    if (decision.effect === 'defer')
      throw new Refusal('CG_POLICY_DEFERRED', {
        internal: why(set, decision.rules, 'deferred'),
        judgement,
        retryAfterS: answer.retryAfterS ?? 1,
      })
    if (decision.effect !== 'deny') {
      const { windowed } = set
      const stepUp =
        decision.effect === 'step_up' || ticket !== undefined
          ? { stepUp: { ...requires, named: ticket } }
          : {}
      const grown: AuthorizedCall = {
        ...call,
        ...judgement,
        ...stepUp,
        ...(redactions.length === 0 ? {} : { redactions }),
      }
      if (windowed.length === 0) return grown
      const amounts = (wanted: RuleMode) =>
        windowed.flatMap((read) => {
          const amount = read.mode === wanted ? amountOf(read.fact, call.target, call.args) : 0
          return amount === 0 ? [] : [{ ...windowOf(read), amount }]
        })
      // In the same breath as it was judged: no other call can come in between.
      const ofEnforced = this.#limits.add(amounts('enforce'))
      const ofTrials = this.#limits.add(wouldRestrict ? [] : amounts('observe'))
      const takeBack = (of: 'all' | 'on trial'): void => {
        ofTrials?.()
        if (of === 'all') ofEnforced?.()
      }
      if (ofEnforced !== undefined && ofTrials !== undefined) return { ...grown, takeBack }
      takeBack('all')
      throw new Refusal('CG_POLICY_WINDOW', { internal: 'no room for another window', judgement })
    }
    if (decision.rules.length === 0) {
      throw new Refusal('CG_POLICY_NO_ALLOW', {
        internal: why(
          set,
          decision.errors.map((error) => error.rule),
          'no rule allows it',
        ),
        judgement,
      })
    }
    throw new Refusal('CG_POLICY_DENIED', { internal: why(set, decision.rules, 'denied'), judgement })
  }
}

/** Row 6: rules to a decision. Synchronous, bounded in steps, and refused after the fact when it took too long. */
export function createPolicy(holder: PolicyHolder): Stage<ParsedCall, AuthorizedCall> {
  return {
    name: 'policy',
    budgetMs: SYNCHRONOUS_MS,
    run: (call) => holder.authorize(call),
    // What was stopped before it could be sent counts for nothing, nor does a repeat; whatever was sent counts, however it ended,
    // but for rules on trial only what will be sent when every trial is over.
    settle({ recorded, once, takeBack, wouldRefuse }) {
      if (recorded === undefined || typeof once === 'object') takeBack?.('all')
      else if (wouldRefuse) takeBack?.('on trial')
    },
  }
}

/** A call from the wire as policy sees it: no region until its provider confirms it. */
function policyCall(call: ParsedCall, ticket: string | null): PolicyCall {
  return {
    target: call.target,
    class: call.class,
    labels: call.labels,
    args: call.args,
    caller: call.principal,
    session: call.session,
    ctx: { ticket, purpose: detailOf(call)?.purpose ?? null, region: null, chain: call.chain },
  }
}

/** What the token says of the call, by the detail that covers it. */
function detailOf({ principal: { details }, target, labels }: ParsedCall): AuthorizationDetail | undefined {
  return details === undefined ? undefined : detailFor(details, target, labels)
}

/** What nobody has confirmed yet is as unscreened as an argument. */
function concealedTicket(facts: JsonObject, conceal: Conceal): JsonObject {
  const ticket = member(facts, 'ctx.ticket')
  return ticket === undefined || ticket === null ? {} : { 'ctx.ticket': conceal(ticket) }
}

/** Whether two answers ask the same of a call. */
function sameRequirements(one: PolicyAnswer, other: PolicyAnswer): boolean {
  return (
    one.decision.effect === other.decision.effect &&
    JSON.stringify(one.requires) === JSON.stringify(other.requires)
  )
}

/** The ticket of the call itself, else that of its token. */
function ticketOf(call: ParsedCall): string | undefined {
  return call.ticket ?? detailOf(call)?.ticket
}

/** For the operator alone: which rules, and the reason that their author gave. */
function why(set: PolicySet, ids: readonly string[], what: string): string {
  const named = ids.map((id) => {
    const reason = set.rules.find((rule) => rule.source.id === id)?.source.why
    return reason === undefined ? id : `${id} (${reason})`
  })
  return named.length === 0 ? what : `${what}: ${named.join(', ')}`.slice(0, MAX_INTERNAL)
}
