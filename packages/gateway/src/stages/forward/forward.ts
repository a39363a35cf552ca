import type { AnsweredCall, RecordedCall } from '../../call/call.ts'
import type { ReasonCode } from '../../call/reason-code.ts'
import { Refusal } from '../../call/refusal.ts'
import type { Stage } from '../../call/stage.ts'
import { UpstreamFailed, type Upstream, type UpstreamFault } from '../../ports/upstream.ts'

const CODES: Record<UpstreamFault, ReasonCode> = {
  unavailable: 'CG_UPSTREAM_UNAVAILABLE',
  busy: 'CG_UPSTREAM_BUSY',
  timeout: 'CG_UPSTREAM_TIMEOUT',
  protocol: 'CG_UPSTREAM_PROTOCOL',
  too_large: 'CG_UPSTREAM_TOO_LARGE',
  unknown_fate: 'CG_UPSTREAM_UNKNOWN_FATE',
  cancelled: 'CG_CALL_CANCELLED',
}

/**
 * Row 11: sends the call with the gate's own credentials.
 * INVARIANT: takes only a RecordedCall, so no path reaches an upstream without a durable intent.
 */
export function createForwardStage(upstream: Upstream): Stage<RecordedCall, AnsweredCall> {
  return {
    name: 'forward',
    // The call's own deadline bounds it: a slow tool is not a slow gate.
    budgetMs: Number.POSITIVE_INFINITY,
    async run(call, signal) {
      const { target } = call
      try {
        const answer = await upstream.request(
          {
            server: target.server,
            session: call.session.id,
            method: call.method,
            head: target.kind === 'resource' ? { uri: target.name } : { name: target.name },
            argsBytes: target.kind === 'resource' || call.argsBytes.length === 0 ? undefined : call.argsBytes,
            meta: call.meta,
            onProgress: call.onProgress,
          },
          signal,
        )
        return { ...call, answer }
      } catch (error) {
        throw refusalOf(error, call, signal)
      }
    },
  }
}

/** Faults that may come after the server has already done what it was asked. */
const AFTER_THE_FACT: ReadonlySet<UpstreamFault> = new Set<UpstreamFault>([
  'protocol',
  'too_large',
  'timeout',
])

function refusalOf(error: unknown, call: RecordedCall, signal: AbortSignal): unknown {
  if (!(error instanceof UpstreamFailed)) return error
  const ended = signal.reason instanceof Refusal ? signal.reason.code : undefined
  // The gate stopped: a read can be asked again, of anything else nobody knows how far it came.
  if (ended === 'CG_WIRE_DRAINING' && call.class === 'read') return signal.reason
  const fault = ended === 'CG_CALL_DEADLINE' || ended === 'CG_WIRE_DRAINING' ? 'timeout' : error.fault
  // Nobody can say whether a side effect happened: never report it as failed, never retry it.
  const unknown = call.class !== 'read' && AFTER_THE_FACT.has(fault)
  return new Refusal(unknown ? 'CG_UPSTREAM_UNKNOWN_FATE' : CODES[fault], {
    internal: error.message,
    cause: error,
  })
}
