import type { Answer, AnsweredCall, GrowingCall, OnceCall, Outcome, PinnedCall } from '../../call/call.ts'
import type { ReasonCode } from '../../call/reason-code.ts'
import { Refusal, type Target } from '../../call/refusal.ts'
import type { Stage } from '../../call/stage.ts'
import { asksForVisits, isInputRequired } from '../../mcp/mrtr.ts'
import type { Begun, Ending, IdempotencyStore, OnceKey } from '../../ports/idempotency-store.ts'
import type { KeyRing } from '../../ports/key-ring.ts'
import { createKeptAnswers } from './kept-answers.ts'
import { type MacKey, createOnceKeys } from './once-keys.ts'

/**
 * What a key means for a tool. `off`: nothing. `accepted`: a call with one runs once. `required`: a call without one is refused.
 * `derived`: a call without one is known by its session and arguments, for a short time.
 */
export type IdempotencyRule = 'off' | 'accepted' | 'required' | 'derived'

export interface IdempotencyOptions {
  readonly store: IdempotencyStore
  readonly keys: KeyRing
  readonly macKey: MacKey
  readonly ruleFor: (target: Target) => IdempotencyRule
  /** Seconds for which a key is remembered after its call ended; at most 86,400. */
  readonly ttlS: number
  /** The same for a call that is known by itself. */
  readonly derivedS: number
  /** Longest answer that is kept, in bytes; 0: none is. */
  readonly maxAnswerBytes: number
  /** Told when it could not be made durable how a key ended. */
  readonly onProblem: (problem: string) => void
}

/** Row 9, and the end of the list where the answer is kept. */
export interface IdempotencyStages {
  readonly begin: Stage<PinnedCall, OnceCall>
  readonly keep: Stage<AnsweredCall, AnsweredCall>
}

/** Seconds after which it is worth asking for the answer of a call that still runs. */
const RETRY_S = 1
/** Longest that an answer waits for its key to be durable, in milliseconds: after that it is given all the same. */
const KEEP_MS = 1_000
/** Ends of a call that row 11 began and that did not reach its server: it may run again. */
const NOT_SENT: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'CG_UPSTREAM_UNAVAILABLE',
  'CG_UPSTREAM_BUSY',
  'CG_UPSTREAM_CONSENT',
  'CG_WIRE_STATE',
  'CG_WIRE_PARAMS',
])

/**
 * Row 9: a call with a key runs once (draft-ietf-httpapi-idempotency-key-header). It stands behind every check of what the caller
 * may do, so that an answer which is kept outlives no right, and before the record, so that a call which does not run has no intent.
 * INVARIANT: a key whose call may have reached its server is never free.
 */
export function createIdempotencyStages(options: IdempotencyOptions): IdempotencyStages {
  const { store } = options
  const onceKeys = createOnceKeys(options.macKey)
  const answers = createKeptAnswers(options.keys, options.maxAnswerBytes)
  /** Keys that calls in flight hold, by call. */
  const held = new Map<string, OnceKey>()

  function keyOf(call: PinnedCall, rule: IdempotencyRule): OnceKey | undefined {
    const { idempotencyKey: given } = call
    if (given !== undefined) return onceKeys.given(call, given, options.ttlS)
    if (rule === 'required') throw new Refusal('CG_IDEMPOTENCY_MISSING')
    return rule === 'derived' ? onceKeys.derived(call, options.derivedS) : undefined
  }

  async function begin(call: PinnedCall, key: OnceKey): Promise<OnceCall> {
    // From here on settle ends the key, also when this call is over before the store has answered.
    held.set(call.id, key)
    let begun: Begun
    try {
      begun = await store.begin(key)
    } catch (cause) {
      held.delete(call.id)
      // A read has no effect that could be there twice.
      if (call.class === 'read') return { ...call, once: 'any' }
      throw new Refusal('CG_IDEMPOTENCY_STORE', {
        internal: cause instanceof Error ? cause.message : String(cause),
        cause,
      })
    }
    if (begun.state === 'first') {
      // The call was over before the store had answered, and the key that it took then is nobody's.
      if (!held.has(call.id)) void finish(key, { kind: 'free' })
      return { ...call, once: 'first' }
    }
    held.delete(call.id)
    return { ...call, once: repeatOf(call, key, begun) }
  }

  function repeatOf(
    call: PinnedCall,
    key: OnceKey,
    begun: Exclude<Begun, { state: 'first' }>,
  ): OnceCall['once'] {
    const internal = `the key was begun by call ${begun.call}`
    switch (begun.state) {
      case 'differs':
        throw new Refusal('CG_IDEMPOTENCY_DIFFERS', { internal })
      case 'running':
        throw new Refusal('CG_IDEMPOTENCY_RUNNING', { internal, retryAfterS: RETRY_S })
      case 'unknown':
        throw new Refusal('CG_IDEMPOTENCY_UNKNOWN', {
          internal,
          ...(call.idempotencyKey === undefined ? { publicText: unknownText(options.derivedS) } : {}),
        })
      case 'done': {
        const answer = begun.answer === undefined ? undefined : answers.open(key, begun.answer)
        if (answer === undefined) throw new Refusal('CG_IDEMPOTENCY_NOT_KEPT', { internal })
        return { of: begun.call, answer }
      }
    }
  }

  /** Ends the key of a call; rejects never, and gives the disk its time in vain at most. */
  async function finish(key: OnceKey, ending: Ending): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not durable after ${KEEP_MS} ms`)), KEEP_MS)
    })
    try {
      await Promise.race([store.finish(key.id, key.call, ending), late])
    } catch (cause) {
      // In this process it counts; after a restart the key is unknown, which is no lie.
      options.onProblem(cause instanceof Error ? cause.message : String(cause))
    } finally {
      clearTimeout(timer)
    }
  }

  function take(call: string): OnceKey | undefined {
    const key = held.get(call)
    held.delete(call)
    return key
  }

  return {
    begin: {
      name: 'idempotency',
      budgetMs: 2_000,
      run(call) {
        const rule = ruleOf(call, options.ruleFor)
        const key = rule === 'off' ? undefined : keyOf(call, rule)
        return key === undefined ? { ...call, once: 'any' } : begin(call, key)
      },
      settle(call, outcome) {
        const key = take(call.id)
        if (key !== undefined) void finish(key, endOf(call, outcome))
      },
    },
    keep: {
      name: 'idempotency-keep',
      budgetMs: 2 * KEEP_MS,
      run(call) {
        const key = take(call.id)
        if (key === undefined) return call
        return finish(
          key,
          endedBy(call.answer, (answer) => answers.seal(key, answer)),
        ).then(() => call)
      },
    },
  }
}

/** Keys are for tools: everything else reads, or belongs to a call that has run. */
function ruleOf({ method, target }: PinnedCall, ruleFor: IdempotencyOptions['ruleFor']): IdempotencyRule {
  return method === 'tools/call' && target.kind === 'tool' ? ruleFor(target) : 'off'
}

function unknownText(derivedS: number): string {
  return `the same call was begun before, and nobody knows whether it took effect, so it is not run again for now; check what it was to do, and if it is not done, repeat it after ${derivedS} s`
}

/** What an answer says of its key. A question is none: the call is made again with what the user says. */
function endedBy(answer: Answer, seal: (answer: Answer) => string | undefined): Ending {
  const asks = answer.kind === 'error' ? asksForVisits(answer.value) : isInputRequired(answer.value)
  return asks ? { kind: 'free' } : { kind: 'done', answer: seal(answer) }
}

/** How a call ended that no answer was kept of. */
function endOf(call: GrowingCall, outcome: Outcome): Ending {
  // Withheld by row 12, or by the end of the call in the middle of that: it ran.
  if (call.answer !== undefined) return endedBy(call.answer, () => undefined)
  // Behind row 10 nothing but the server can have been asked.
  if (call.recorded === undefined || call.class === 'read') return { kind: 'free' }
  const code = outcome.kind === 'answered' ? undefined : outcome.refusal.code
  return { kind: code !== undefined && NOT_SENT.has(code) ? 'free' : 'unknown' }
}
