import {
  type EvidenceRecord,
  MAX_SCALAR_PAYLOAD_BYTES,
  type Payload,
  keyedBytesRoot,
  keyedRoot,
} from '@callgate/evidence'
import type { AuthorizedCall, GrowingCall, Outcome, Target } from '../../call/call.ts'
import type { Json } from '../../call/json.ts'

/** Key of a tenant for the keyed hashes in its records. */
export type MacKey = (tenant: string) => Buffer

/** Builds the records of a call. Nothing unscreened enters them: arguments and results stand there as keyed roots. */
export interface Records {
  intent(call: AuthorizedCall, now: number): Promise<EvidenceRecord>
  outcome(call: GrowingCall, outcome: Outcome, now: number): EvidenceRecord | Promise<EvidenceRecord>
}

export function createRecords(macKey: MacKey): Records {
  // Large payloads are hashed as bytes, off the main thread (ARCHITECTURE.md section 4).
  const payload = (tenant: string, value: Json, bytes: Uint8Array): Payload | Promise<Payload> => {
    if (bytes.length <= MAX_SCALAR_PAYLOAD_BYTES) {
      try {
        return { bytes: bytes.length, ...keyedRoot(macKey(tenant), value) }
      } catch (error) {
        // A server may say 1e400, which passes verbatim and has no scalar that could be hashed.
        if (!(error instanceof TypeError)) throw error
      }
    }
    return keyedBytesRoot(macKey(tenant), new Uint8Array(bytes)).then((root) => ({
      bytes: bytes.length,
      ...root,
    }))
  }

  return {
    async intent(call, now) {
      const args = await payload(call.principal.tenant, call.args, call.argsBytes)
      return { v: 1, kind: 'intent', id: call.id, time: timeOf(now), ...base(call), arguments: args }
    },

    outcome(call, outcome, now) {
      const ended = {
        v: 1 as const,
        kind: 'outcome' as const,
        id: call.id,
        time: timeOf(now),
        ...base(call),
        outcome: outcome.kind,
        ms: now - call.receivedAt,
      }
      const tenant = call.principal?.tenant
      if (outcome.kind !== 'answered') {
        const refused = {
          ...ended,
          code: outcome.refusal.code,
          ...(outcome.refusal.internal === '' ? {} : { internal: outcome.refusal.internal.slice(0, 2048) }),
        }
        if (tenant === undefined) return refused
        const args = payload(tenant, call.args, call.argsBytes)
        return args instanceof Promise
          ? args.then((a) => ({ ...refused, arguments: a }))
          : { ...refused, arguments: args }
      }
      const { answer } = outcome
      const answered = {
        ...ended,
        upstream_ms: answer.upstreamMs,
        answer: answer.kind,
        is_error: answer.kind === 'error' || answer.value['isError'] === true,
      }
      if (tenant === undefined) return answered
      const args = payload(tenant, call.args, call.argsBytes)
      const result = payload(tenant, answer.value, answer.bytes)
      if (args instanceof Promise || result instanceof Promise) {
        return Promise.all([args, result]).then(([a, r]) => ({ ...answered, arguments: a, result: r }))
      }
      return { ...answered, arguments: args, result }
    },
  }
}

let lastMs = 0
let lastText = ''

/** RFC 3339 in UTC with milliseconds; the last text is kept because calls share milliseconds under load. */
function timeOf(ms: number): string {
  if (ms !== lastMs) {
    lastMs = ms
    lastText = new Date(ms).toISOString()
  }
  return lastText
}

function targetMembers(target: Target) {
  if (target.kind === 'tool') return { server: target.server, tool: target.name }
  if (target.kind === 'prompt') return { server: target.server, prompt: target.name }
  return { server: target.server, resource: target.name }
}

/** What every record of a call says, as far as the call grew. A name that no catalogue knows is not recorded: it is unscreened. */
function base(call: GrowingCall) {
  const { principal, session, decision } = call
  return {
    call: {
      method: call.method,
      era: call.era,
      endpoint: call.caller.endpoint.server ?? '*',
      ...(call.target === undefined ? {} : targetMembers(call.target)),
      ...(call.class === undefined ? {} : { class: call.class }),
      ...(call.digest === undefined ? {} : { digest: call.digest }),
    },
    peer: call.caller.peer,
    ...(principal === undefined
      ? {}
      : {
          actor: { id: principal.actor.id, type: principal.actor.type },
          subject: principal.subject,
          tenant: principal.tenant,
          client: principal.clientId,
          grants: [...principal.grants],
          token: { iss: principal.token.iss, jti_hash: principal.token.jtiHash, exp: principal.token.exp },
        }),
    ...(session === undefined ? {} : { session: session.id, session_calls: session.calls }),
    ...(call.chain === undefined ? {} : { chain: call.chain }),
    ...(decision === undefined
      ? {}
      : {
          decision: {
            effect: decision.effect,
            reason: decision.reason,
            rules: [...decision.rules],
            observed: [...decision.observed],
            errors: decision.errors.map((error) => ({ rule: error.rule, message: error.message })),
            ...(call.facts === undefined ? {} : { facts: call.facts }),
          },
        }),
    ...(call.policy === undefined ? {} : { policy: call.policy }),
  }
}
