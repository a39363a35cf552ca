import type { PinnedCall, Principal, ScreenedCall } from '../../call/call.ts'
import { type Json, isJsonObject } from '../../call/json.ts'
import { onTrial } from '../../call/on-trial.ts'
import type { ReasonCode } from '../../call/reason-code.ts'
import { Refusal, type Target } from '../../call/refusal.ts'
import type { Stage } from '../../call/stage.ts'
import {
  type EgressReason,
  type EgressRules,
  alwaysEnforced,
  judgeAddresses,
  judgeEgress,
} from '../../net/egress.ts'
import { type FoundUrls, findUrls } from '../../net/find-urls.ts'
import { namesOf } from '../../net/names.ts'
import type { Resolver } from '../../ports/resolver.ts'

/** The rules for one target. */
export interface TargetEgress extends EgressRules {
  readonly mode: 'observe' | 'enforce'
}

export interface EgressOptions {
  /** Undefined: URLs in the arguments of this tool are text that nothing connects to, by the operator's word. */
  readonly rulesFor: (target: Target, principal: Principal) => TargetEgress | undefined
  /** Undefined: names are judged by their text alone. */
  readonly resolver: Resolver | undefined
}

const CODES: Readonly<Record<EgressReason, ReasonCode>> = {
  metadata: 'CG_EGRESS_PRIVATE',
  private: 'CG_EGRESS_PRIVATE',
  no_host: 'CG_EGRESS_PRIVATE',
  unreadable: 'CG_EGRESS_UNREADABLE',
  too_many: 'CG_EGRESS_UNREADABLE',
  scheme: 'CG_EGRESS_DENIED',
  port: 'CG_EGRESS_DENIED',
  denied: 'CG_EGRESS_DENIED',
  not_allowed: 'CG_EGRESS_DENIED',
  unresolved: 'CG_EGRESS_UNRESOLVED',
}

/** Schemes of resources that a server fetches over the network, rather than of its own names. */
const FETCHED = /^(?:https?|wss?|ftps?):/i

/**
 * Row 8: no URL in what the server gets leads to a private, link-local or metadata address, or where the operator's lists do not
 * (OWASP API7:2023, playbook Play 3 "block-ssrf"). Names are resolved once and each of their addresses is judged. What the server
 * makes of a name later is its own: only addresses in the gate's own sockets are pinned (adapters/upstream, guarded lookup).
 */
export function createEgressStage({ rulesFor, resolver }: EgressOptions): Stage<ScreenedCall, PinnedCall> {
  return {
    name: 'egress',
    budgetMs: 2_000,
    run(call, signal) {
      const rules = rulesFor(call.target, call.principal)
      if (rules === undefined) return { ...call, egress: 'judged' }
      const { urls, identifiers, fault } = urlsOf(call)
      const byText = new Set(urls.map((url) => judgeEgress(url, rules, identifiers.has(url))))
      byText.add(fault)
      const names = resolver === undefined ? [] : namesOf(urls.filter((url) => !identifiers.has(url)))
      if (resolver === undefined || names.length === 0) return judged(call, byText, rules)
      // What its text refuses already is told to no name server.
      refuseAny(byText, rules)
      return resolved(resolver, names, signal).then((found) =>
        judged(call, new Set([...byText, ...found]), rules),
      )
    },
  }
}

/** The URLs of everything that the server gets: arguments, the host's answers to its questions, a URI that it will fetch. */
function urlsOf({ args, retry, target }: ScreenedCall): FoundUrls {
  const parts: Json[] = [args]
  if (retry?.responses !== undefined) parts.push(...Object.values(retry.responses).map(withoutRoots))
  if (target.kind === 'resource' && FETCHED.test(target.name)) parts.push({ url: target.name })
  return findUrls(parts)
}

/** What a host says of its roots goes nowhere: servers are told those of the operator (docs/life-of-a-call.md). */
function withoutRoots(response: Json): Json {
  if (!isJsonObject(response)) return response
  const { roots: _, ...rest } = response
  return rest
}

async function resolved(
  resolver: Resolver,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly (EgressReason | undefined)[]> {
  return Promise.all(
    names.map(async (name) => {
      try {
        return judgeAddresses(await resolver.resolve(name, signal))
      } catch (error) {
        if (signal.aborted) throw error
        return 'unresolved' as const
      }
    }),
  )
}

type Reasons = ReadonlySet<EgressReason | undefined>

function judged(call: ScreenedCall, reasons: Reasons, rules: TargetEgress): PinnedCall {
  refuseAny(reasons, rules)
  const observed = [...reasons]
    .filter((reason) => reason !== undefined)
    .map((reason) => `(egress: ${reason})`)
  return { ...onTrial(call, observed, 'refuse'), egress: 'judged' }
}

/** @throws Refusal for the first reason that is enforced */
function refuseAny(reasons: Reasons, { mode }: TargetEgress): void {
  for (const reason of reasons) {
    if (reason === undefined || (mode === 'observe' && !alwaysEnforced(reason))) continue
    // Where it would have led stands in the arguments, which are unscreened: the record tells the reason alone.
    throw new Refusal(CODES[reason], { internal: `a URL in the arguments: ${reason}` })
  }
}
