import type { AuthorizedCall } from './call.ts'

/**
 * A call that goes on because a control is in `mode: observe`. What the control would have done stands in the record; a call that
 * it would have refused adds nothing to the windows of rules on trial, because it will not run once the trial is over.
 *
 * @param observed what the control would have done, as `callgate rollout status` reads it; empty: nothing
 */
export function onTrial<Call extends AuthorizedCall>(
  call: Call,
  observed: readonly string[],
  would: 'refuse' | 'change',
): Call {
  if (observed.length === 0) return call
  const decision = { ...call.decision, observed: [...call.decision.observed, ...observed] }
  return would === 'refuse' ? { ...call, decision, wouldRefuse: true } : { ...call, decision }
}
