import type { EvidenceRecord } from '@callgate/evidence'
import { safeText } from '../text/safe-text.ts'

type CallRecord = Extract<EvidenceRecord, { kind: 'intent' | 'outcome' }>

/** What a call was aimed at, in the words of policy: `fs.read_text_file`, or the method where no target is known. */
export function targetOf(record: CallRecord): string {
  const { server, tool, prompt, resource, method } = record.call
  const name = tool ?? prompt ?? resource
  return safeText(server === undefined || name === undefined ? method : `${server}.${name}`)
}

/** Who called, and on whose behalf when that is somebody else. */
export function callerOf(record: CallRecord): string {
  if (record.actor === undefined) return `somebody at ${record.peer}`
  const forWhom =
    record.subject === undefined || record.subject === record.actor.id ? '' : ` for ${record.subject}`
  return safeText(`${record.actor.type} ${record.actor.id}${forWhom}`)
}

/** One record as one plain line. */
export function sentence(record: EvidenceRecord): string {
  switch (record.kind) {
    case 'intent':
      return `${record.time} ${record.id} ${callerOf(record)} is about to call ${targetOf(record)}`
    case 'outcome':
      return `${record.time} ${record.id} ${callerOf(record)} called ${targetOf(record)}: ${endOf(record)}`
    case 'refusals':
      return `${record.time} ${record.id} ${record.count} x ${record.code} from ${record.peer}`
    case 'gate':
      return `${record.time} ${record.id} gate: ${gateEvent(record)}`
  }
}

function endOf(record: Extract<EvidenceRecord, { kind: 'outcome' }>): string {
  const rules = record.decision?.rules ?? []
  const by = rules.length === 0 ? '' : ` by ${safeText(rules.join(', '))}`
  const took = ` (${Math.round(record.ms)} ms)`
  if (record.outcome === 'answered')
    return record.replayed === undefined
      ? `answered${by}${took}`
      : `answered as ${safeText(record.replayed)} was, without running${by}${took}`
  return `${record.outcome} with ${record.code ?? 'no code'}${by}${took}`
}

function gateEvent({ event, detail }: Extract<EvidenceRecord, { kind: 'gate' }>): string {
  const { server, why } = detail
  if (event === 'server.unavailable') return safeText(`server ${server} is unavailable: ${why}`)
  if (event === 'server.available') return safeText(`server ${server} is back`)
  return `${safeText(event)} ${safeText(JSON.stringify(detail))}`
}
