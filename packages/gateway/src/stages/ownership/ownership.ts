import type { AuthorizedCall } from '../../call/call.ts'
import { Refusal, type Target } from '../../call/refusal.ts'
import type { Stage } from '../../call/stage.ts'
import { type Owners, OwnersDown } from '../../ports/owners.ts'
import { idsAt, NoId, type OwnedPlace } from './ids.ts'

export interface OwnershipOptions {
  readonly mode: 'observe' | 'enforce'
  /** Places of a target's arguments that hold ids; none for most. */
  readonly placesOf: (target: Target) => readonly OwnedPlace[]
  /** Sources by type of id. */
  readonly owners: ReadonlyMap<string, Owners>
}

/** Longest wait for all sources, in milliseconds; each has a shorter limit of its own. */
const BUDGET_MS = 15_000

/**
 * Row 6a2: every id in the arguments is the caller's to use (playbook Play 7, "BOLA"; OWASP API1:2023). Behind policy and scope, so
 * that who may not call the tool learns nothing of ids; one answer for ids of others and ids that do not exist.
 */
export function createOwnershipStage({
  mode,
  placesOf,
  owners,
}: OwnershipOptions): Stage<AuthorizedCall, AuthorizedCall> {
  async function foreign(
    call: AuthorizedCall,
    places: readonly OwnedPlace[],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const problems = await Promise.all(
      places.map(async (place) => {
        const { type, relation, required } = place
        let ids: readonly string[]
        try {
          ids = idsAt(call.args, place)
        } catch (cause) {
          if (!(cause instanceof NoId)) throw cause
          return `${type}: ${cause.message}`
        }
        if (ids.length === 0) return required ? `${type}: no id` : undefined
        const owned = await owners.get(type)?.owned(ids, call.principal, relation, signal)
        const others = ids.filter((id) => owned?.has(id) !== true).length
        return others === 0 ? undefined : `${type}: ${others} of ${ids.length} ids are not the caller's`
      }),
    )
    return problems.find((problem) => problem !== undefined)
  }

  return {
    name: 'ownership',
    budgetMs: BUDGET_MS,
    run(call, signal) {
      const places = call.task === undefined ? placesOf(call.target) : []
      return places.length === 0 ? call : judged(call, places, signal)
    },
  }

  async function judged(
    call: AuthorizedCall,
    places: readonly OwnedPlace[],
    signal: AbortSignal,
  ): Promise<AuthorizedCall> {
    const { decision, facts, policy } = call
    let problem: string | undefined
    try {
      problem = await foreign(call, places, signal)
    } catch (cause) {
      if (!(cause instanceof OwnersDown)) throw cause
      if (mode === 'observe') return observed(call, 'nobody could say')
      throw new Refusal('CG_OWNER_UNAVAILABLE', {
        internal: cause.message,
        cause,
        judgement: { decision, facts, policy },
      })
    }
    if (problem === undefined) return call
    if (mode === 'observe') return observed(call, problem)
    throw new Refusal('CG_OWNER_FOREIGN', { internal: problem, judgement: { decision, facts, policy } })
  }
}

function observed(call: AuthorizedCall, problem: string): AuthorizedCall {
  const type = problem.split(':', 1)[0] ?? ''
  const { decision } = call
  return {
    ...call,
    decision: { ...decision, observed: [...decision.observed, `(ownership: ${type})`] },
  }
}
