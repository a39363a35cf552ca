import type { AuthorizedCall, OnceCall, RecordedCall } from '../../call/call.ts'
import { Refusal } from '../../call/refusal.ts'
import type { Stage } from '../../call/stage.ts'
import type { EvidenceHealth, EvidenceLog } from '../../ports/evidence-log.ts'
import type { Records } from './records.ts'

/** Makes durable that a call is about to happen. @throws Refusal CG_EVIDENCE_UNAVAILABLE */
export type RecordIntent = (call: AuthorizedCall) => Promise<void>

export function createRecordIntent(log: EvidenceLog, records: Records, now: () => number): RecordIntent {
  return async (call) => {
    const intent = await records.intent(call, now())
    try {
      await log.append(intent)
    } catch (error) {
      throw new Refusal('CG_EVIDENCE_UNAVAILABLE', {
        internal: 'the intent could not be made durable',
        cause: error,
      })
    }
    // Another write may have failed while this one waited: then nothing of a non-read class goes upstream any more.
    if (log.health !== 'ok') throw unavailable(log.health)
  }
}

/**
 * Row 10: no audit record, no side effect. Every class but read has its intent durable before anything goes upstream;
 * a read has one record, written before its answer, and so has a repeat. SECURITY.md 1.1: after a failed write no call of a non-read class
 * goes upstream, after a failed append none of any class.
 */
export function createRecordStage(
  log: EvidenceLog,
  recordIntent: RecordIntent,
): Stage<OnceCall, RecordedCall> {
  return {
    name: 'record',
    budgetMs: 2_000,
    run(call) {
      if (log.health === 'down' || (log.health === 'degraded' && call.class !== 'read')) {
        throw unavailable(log.health)
      }
      // A repeat has no side effect either: it gets the answer of the call that had it.
      const runs = call.once === 'any' || call.once === 'first'
      if (call.class === 'read' || !runs) return { ...call, recorded: 'outcome-only' }
      return recordIntent(call).then(() => ({ ...call, recorded: 'intent' }))
    },
  }
}

function unavailable(health: EvidenceHealth): Refusal {
  return new Refusal('CG_EVIDENCE_UNAVAILABLE', { internal: `evidence log is ${health}` })
}
