import type { Answer, GrowingCall, Outcome, ReceivedCall } from '../call/call.ts'
import type { ReasonCode } from '../call/reason-code.ts'
import { Refusal } from '../call/refusal.ts'
import type { EvidenceLog } from '../ports/evidence-log.ts'
import type { Records } from '../stages/record/records.ts'
import type { Entry, InFlight } from './in-flight.ts'
import type { AnyStage } from './pipeline.ts'
import type { RefusalCounter } from './refusal-counter.ts'

/** How a call ended and how far it grew. */
export interface Ended {
  readonly call: GrowingCall
  readonly outcome: Outcome
}

export interface RunnerOptions {
  readonly inFlight: InFlight
  readonly log: EvidenceLog
  readonly records: Records
  readonly refusals: RefusalCounter
  /** Milliseconds since the epoch, for the records. */
  readonly now: () => number
  /** Milliseconds that only grow, for budgets. Default `performance.now`: a clock that is set must not refuse calls. */
  readonly clock?: () => number
  /** Milliseconds that this thread has computed. Default: as the operating system counts them. */
  readonly computedMs?: () => number
  /** Longest life of a call on a server, in milliseconds, waiting for the upstream included. */
  readonly deadlineMs: (server: string | undefined) => number
}

/** What the agent reads of a call that was sent and whose answer must be withheld: the usual text would have it tried again. */
const RAN_UNRECORDED =
  'the call was sent, but its outcome could not be recorded, so its answer is withheld; check before you repeat it'

/**
 * Walks a call through its stages. It owns deadlines, cancelling, fail closed, settling and the outcome record;
 * a stage only decides. INVARIANT: a call is answered only after its outcome record is durable.
 */
export function createRunner(stages: readonly AnyStage[], options: RunnerOptions) {
  const { inFlight, log, records, refusals, now } = options
  const clock = options.clock ?? (() => performance.now())
  const computedMs = options.computedMs ?? threadMs

  return async function run(received: ReceivedCall): Promise<Ended> {
    const entry = inFlight.begin(received, options.deadlineMs(undefined))
    const { signal } = entry.controller
    const computedBefore = computedMs()
    let begun = 0
    let outcome: Outcome
    try {
      for (const stage of stages) {
        if (signal.aborted) throw abortReason(signal)
        begun++
        const startedAt = clock()
        const grown = stage.run(entry.call, signal)
        entry.call = grown instanceof Promise ? await within(grown, stage, signal) : grown
        // A synchronous stage cannot be interrupted: it is bounded at load and by input caps, and refused after the fact.
        // What it computed counts, not what a busy machine took away from the whole process meanwhile.
        if (clock() - startedAt > stage.budgetMs && computedMs() - computedBefore > stage.budgetMs)
          throw budgetSpent(stage)
        if (stage.name === 'catalog')
          entry.deadlineAt = entry.begunAt + options.deadlineMs(entry.call.target?.server)
      }
      outcome = { kind: 'answered', answer: answerOf(entry.call) }
    } catch (error) {
      const refusal = asRefusal(error, stages[begun - 1])
      entry.call = { ...entry.call, ...grownBy(error) }
      outcome = { kind: outcomeKind(refusal.code), refusal }
    }
    settle(stages, begun, entry.call, outcome)
    const recorded = await recordOutcome(entry, outcome)
    inFlight.end(entry)
    return { call: entry.call, outcome: recorded }
  }

  async function recordOutcome(entry: Entry, outcome: Outcome): Promise<Outcome> {
    const { call } = entry
    if (call.principal === undefined && outcome.kind !== 'answered') {
      // Rows 0-1: an unauthenticated flood must neither wait for the disk nor fill it.
      refusals.count(call.caller.peer, outcome.refusal.code)
      return outcome
    }
    try {
      await log.append(await records.outcome(call, outcome, now()))
      return outcome
    } catch (error) {
      const ran = outcome.kind === 'answered' || outcome.kind === 'unknown'
      const refusal = new Refusal('CG_EVIDENCE_UNAVAILABLE', {
        ...(ran ? { publicText: RAN_UNRECORDED } : {}),
        internal: 'the outcome could not be made durable',
        cause: error,
      })
      return { kind: 'refused', refusal }
    }
  }
}

function threadMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

/** Waits for a stage, but never longer than its budget and never past the end of the call. */
function within(growing: Promise<GrowingCall>, stage: AnyStage, signal: AbortSignal): Promise<GrowingCall> {
  // `forward` has no budget of its own, and its adapter answers an abort with what it knows of the call's fate.
  if (!Number.isFinite(stage.budgetMs)) return growing
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(budgetSpent(stage)), stage.budgetMs)
    const onAbort = () => reject(abortReason(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    growing.then(resolve, reject).finally(() => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    })
  })
}

function settle(stages: readonly AnyStage[], begun: number, call: GrowingCall, outcome: Outcome): void {
  for (let i = begun - 1; i >= 0; i--) {
    try {
      stages[i]?.settle?.(call, outcome)
    } catch (error) {
      // A stage that cannot settle must not keep the others from settling, nor the record from being written.
      process.emitWarning(`stage \`${stages[i]?.name}\` failed to settle`, { detail: String(error) })
    }
  }
}

function answerOf(call: GrowingCall): Answer {
  if (call.answer === undefined) throw new TypeError('the last stage must answer the call')
  return call.answer
}

/** Anything but a Refusal is a fault of ours, and refuses too: fail closed. */
function asRefusal(error: unknown, stage: AnyStage | undefined): Refusal {
  if (error instanceof Refusal) return error
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return new Refusal('CG_STAGE_FAILED', {
    internal: `stage \`${stage?.name}\` failed: ${what}`,
    cause: error,
  })
}

/** What the refusing stage had found out: target and decision belong into the record of the refused call. */
function grownBy(error: unknown): Partial<GrowingCall> {
  if (!(error instanceof Refusal)) return {}
  const { judgement, target, screened } = error
  return {
    ...judgement,
    ...(target === undefined ? {} : { target }),
    ...(screened === undefined ? {} : { screened }),
  }
}

function budgetSpent(stage: AnyStage): Refusal {
  return new Refusal('CG_STAGE_BUDGET', {
    internal: `stage \`${stage.name}\` took longer than ${stage.budgetMs} ms`,
  })
}

function abortReason(signal: AbortSignal): unknown {
  return signal.reason instanceof Refusal
    ? signal.reason
    : new Refusal('CG_CALL_CANCELLED', { internal: 'aborted', cause: signal.reason })
}

/** How the record names the end of a refused call. */
export function outcomeKind(code: ReasonCode): 'refused' | 'failed' | 'cancelled' | 'unknown' {
  if (code === 'CG_CALL_CANCELLED') return 'cancelled'
  if (code === 'CG_UPSTREAM_UNKNOWN_FATE') return 'unknown'
  return code.startsWith('CG_UPSTREAM_') || code.startsWith('CG_HOST_') || code === 'CG_CALL_DEADLINE'
    ? 'failed'
    : 'refused'
}
