import type { Answer, AnsweredCall, RecordedCall } from '../../call/call.ts'
import { member } from '../../call/json.ts'
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
        const asked = asksTheHost(answer)
        if (asked !== undefined) throw new UpstreamFailed('protocol', asked)
        return { ...call, answer }
      } catch (error) {
        throw refusalOf(error, call, signal)
      }
    },
  }
}

/** `URLElicitationRequired` of 2025-11-25: an error whose data sends the user to a page of the server's choice. */
const URL_ELICITATION = -32042

/**
 * Why an answer is none. Nothing was declared to the server that it could ask of the host, so a result that asks for input
 * (2026-07-28, SEP-2322) or an error that does is an attempt to talk past the gate: elicitation phishing, sampling theft
 * (SECURITY.md 3.1 #21). Any other `resultType` is unknown, and the specification calls that invalid.
 */
function asksTheHost({ kind, value }: Answer): string | undefined {
  if (kind === 'error') {
    return member(value, 'code') === URL_ELICITATION
      ? 'the server asks for an elicitation by an error'
      : undefined
  }
  const type = member(value, 'resultType')
  if (type === undefined || type === 'complete') return undefined
  return 'the result is not complete: the server asks for something that was not declared to it'
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
