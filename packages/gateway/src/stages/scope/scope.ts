import type { AuthorizedCall, Principal } from '../../call/call.ts'
import { actionOf, detailFor } from '../../call/authorization.ts'
import { Refusal, type Target } from '../../call/refusal.ts'
import { type Stage, SYNCHRONOUS_MS } from '../../call/stage.ts'

/** Grants that the operator asks for a tool; none for resources and prompts. */
export type ScopesOf = (target: Target) => readonly string[]

/**
 * Whether a token is for a target: some detail of it covers that, where it has details, and it holds every grant that the operator
 * asks for. It only ever narrows: what policy denies stays denied.
 */
export function isInScope(
  { details, grants }: Principal,
  target: Target,
  labels: readonly string[],
  scopes: readonly string[],
): boolean {
  return (
    (details === undefined || detailFor(details, target, labels) !== undefined) &&
    scopes.every((scope) => grants.includes(scope))
  )
}

/** Whether a token can be for anything on a server. */
export function isServerInScope({ details }: Principal, server: string): boolean {
  const isOn = (action: string): boolean => /^[^:]*:([^.]*)/.exec(action)?.[1] === server
  return (
    details === undefined ||
    details.some(({ locations, actions }) => locations.includes(server) && actions.some(isOn))
  )
}

/**
 * Refuses what the token is not for, by one challenge that names all that is needed (MCP authorization, scope challenge; RFC 6750
 * section 3.1). Behind policy: only who could be allowed learns what a better token would have to say.
 */
export function createScopeStage(scopesOf: ScopesOf): Stage<AuthorizedCall, AuthorizedCall> {
  return {
    name: 'scope',
    budgetMs: SYNCHRONOUS_MS,
    run(call) {
      const { principal, target, labels, decision, facts, policy } = call
      const scopes = scopesOf(target)
      if (isInScope(principal, target, labels, scopes)) return call
      const needed = principal.details === undefined ? scopes : [...scopes, actionOf(target)]
      throw new Refusal('CG_IDENTITY_SCOPE', {
        internal: `the token is not for this; needed: ${needed.join(' ')}`,
        scopes: needed,
        judgement: { decision, facts, policy },
      })
    },
  }
}
