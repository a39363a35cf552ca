import { canonicalize } from '@callgate/evidence'
import { hash } from 'node:crypto'
import type { ReceivedCall } from '../../call/call.ts'
import type { InputRequests } from '../../call/input.ts'
import { isJsonObject, stringMember } from '../../call/json.ts'
import type { KeyRing } from '../../ports/key-ring.ts'

/** How long questions may stay unanswered, in milliseconds. Source: ARCHITECTURE.md section 4, parked calls. */
export const ANSWER_MS = 5 * 60_000

/** What the gate must know again when the answers come. */
export interface RequestState {
  /** The call that waits for them on this node; undefined: no call waits, a modern server keeps no state but its own. */
  readonly call?: string | undefined
  /** The server's own `requestState`. */
  readonly upstream?: string | undefined
  /** What was asked, by key, so that an answer is read as the answer to its question; of params no more than that needs. */
  readonly asked?: InputRequests | undefined
}

/** Which call a state belongs to: the same endpoint, method, target and arguments, whatever the order of their members. */
export function bindingOf({ caller, method, requested, args, asked }: ReceivedCall): string {
  const written = asked ?? { requested, args }
  return hash('sha256', canonicalize([caller.endpoint.resource, method, written.requested, written.args]))
}

/**
 * Seals what a host carries between a server's questions and its answers. It opens only for the session and the call that
 * it was given to, and for 5 minutes: a state is attacker-controlled until proven otherwise (2026-07-28, MRTR; SEP-2322).
 */
export function createRequestStates(keys: KeyRing, now: () => number) {
  const bound = (session: string, binding: string): string => `${session} ${binding}`
  return {
    seal(state: RequestState, session: string, binding: string): string {
      const text = JSON.stringify({ ...state, until: now() + ANSWER_MS })
      return keys.seal('request-state', Buffer.from(text), bound(session, binding))
    },

    /** @returns undefined when it is not ours, not of this session and call, or too old */
    open(sealed: string, session: string, binding: string): RequestState | undefined {
      const text = keys.open('request-state', sealed, bound(session, binding))?.toString('utf8')
      if (text === undefined) return undefined
      const state: unknown = JSON.parse(text)
      if (!isJsonObject(state) || !(Number(state['until']) > now())) return undefined
      return { ...state, call: stringMember(state, 'call'), upstream: stringMember(state, 'upstream') }
    },
  }
}

export type RequestStates = ReturnType<typeof createRequestStates>
