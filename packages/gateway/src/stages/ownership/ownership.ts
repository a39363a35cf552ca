import type { AuthorizedCall } from '../../call/call.ts'
import { onTrial } from '../../call/on-trial.ts'
import { Refusal, type Target } from '../../call/refusal.ts'
import type { Stage } from '../../call/stage.ts'
import { type Owners, OwnersDown } from '../../ports/owners.ts'
import { idsAt, NoId, type OwnedPlace } from './ids.ts'

export interface OwnershipOptions {
  /** Mode for one caller and what it calls. */
  readonly modeFor: (call: Pick<AuthorizedCall, 'principal' | 'target'>) => 'observe' | 'enforce'
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
  modeFor,
  placesOf,
  owners,
}: OwnershipOptions): Stage<AuthorizedCall, AuthorizedCall> {
  async function problemAt(
    call: AuthorizedCall,
    place: OwnedPlace,
    signal: AbortSignal,
  ): Promise<Problem | undefined> {
    const { type, relation, required } = place
    const foreign = (internal: string): Problem => ({
      code: 'CG_OWNER_FOREIGN',
      type,
      internal: `${type}: ${internal}`,
    })
    try {
      const ids = idsAt(call.args, place)
      if (ids.length === 0) return required ? foreign('no id') : undefined
      const owned = await owners.get(type)?.owned(ids, call.principal, relation, signal)
      const others = ids.filter((id) => owned?.has(id) !== true).length
      return others === 0 ? undefined : foreign(`${others} of ${ids.length} ids are not the caller's`)
    } catch (cause) {
      if (cause instanceof NoId) return foreign(cause.message)
      if (cause instanceof OwnersDown) return { code: 'CG_OWNER_UNAVAILABLE', type, internal: cause.message }
      throw cause
    }
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
    const problems = await Promise.all(places.map((place) => problemAt(call, place, signal)))
    const problem = problems.find((each) => each !== undefined)
    if (problem === undefined) return call
    if (modeFor(call) === 'observe') return onTrial(call, [`(ownership: ${problem.type})`], 'refuse')
    const { decision, facts, policy } = call
    const { code, internal } = problem
    throw new Refusal(code, { internal, judgement: { decision, facts, policy } })
  }
}

/** Why a place speaks against a call. */
interface Problem {
  readonly code: 'CG_OWNER_FOREIGN' | 'CG_OWNER_UNAVAILABLE'
  readonly type: string
  readonly internal: string
}
