import {
  type EvidenceRecord,
  type IntentRecord,
  MAX_SCALAR_PAYLOAD_BYTES,
  type OutcomeRecord,
  type Payload,
  type RecordedDecision,
  type RecordedTarget,
  keyedBytesRoot,
  keyedRoot,
} from '@callgate/evidence'
import type { Answer, AuthorizedCall, GrowingCall, Outcome } from '../../call/call.ts'
import type { Json } from '../../call/json.ts'

/** Longest internal text of a refusal in a record, in UTF-16 units. */
const MAX_INTERNAL = 2_048

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

  /** Keyed roots of arguments and result; a promise only where one of them is hashed off the main thread. */
  const payloads = <T>(
    call: GrowingCall,
    answer: Answer | undefined,
    use: (args?: Payload, result?: Payload) => T,
  ) => {
    const tenant = call.principal?.tenant
    if (tenant === undefined) return use()
    const args = payload(tenant, call.args, call.argsBytes)
    const result = answer === undefined ? undefined : payload(tenant, answer.value, answer.bytes)
    if (args instanceof Promise || result instanceof Promise) {
      return Promise.all([args, result]).then(([one, other]) => use(one, other))
    }
    return use(args, result)
  }

  return {
    async intent(call, now) {
      return payloads(call, undefined, (args) => intentRecord(call, now, args))
    },
    outcome(call, outcome, now) {
      const answer = outcome.kind === 'answered' ? outcome.answer : undefined
      return payloads(call, answer, (args, result) => outcomeRecord(call, outcome, now, args, result))
    },
  }
}

// Members stand in canonical order (RFC 8785), which makes the leaf of a record a fifth as dear; absent ones are undefined.

function intentRecord(call: GrowingCall, now: number, args: Payload | undefined): IntentRecord {
  const { principal, session } = call
  return {
    actor: principal && { id: principal.actor.id, type: principal.actor.type },
    arguments: args,
    call: target(call),
    chain: call.chain,
    client: principal?.clientId,
    decision: decision(call),
    grants: principal?.grants,
    id: call.id,
    kind: 'intent',
    peer: call.caller.peer,
    policy: call.policy,
    session: session?.id,
    session_calls: session?.calls,
    subject: principal?.subject,
    tenant: principal?.tenant,
    time: timeOf(now),
    token: token(call),
    v: 1,
  }
}

function outcomeRecord(
  call: GrowingCall,
  outcome: Outcome,
  now: number,
  args: Payload | undefined,
  result: Payload | undefined,
): OutcomeRecord {
  const { principal, session } = call
  const answer = outcome.kind === 'answered' ? outcome.answer : undefined
  const refusal = outcome.kind === 'answered' ? undefined : outcome.refusal
  return {
    actor: principal && { id: principal.actor.id, type: principal.actor.type },
    answer: answer?.kind,
    arguments: args,
    call: target(call),
    chain: call.chain,
    client: principal?.clientId,
    code: refusal?.code,
    decision: decision(call),
    grants: principal?.grants,
    id: call.id,
    internal: refusal?.internal ? refusal.internal.slice(0, MAX_INTERNAL) : undefined,
    is_error: answer && (answer.kind === 'error' || answer.value['isError'] === true),
    kind: 'outcome',
    ms: now - call.receivedAt,
    outcome: outcome.kind,
    peer: call.caller.peer,
    policy: call.policy,
    result,
    session: session?.id,
    session_calls: session?.calls,
    subject: principal?.subject,
    tenant: principal?.tenant,
    time: timeOf(now),
    token: token(call),
    upstream_ms: answer?.upstreamMs,
    v: 1,
  }
}

/** What the call was aimed at. A name that no catalogue knows is not recorded: it is unscreened. */
function target(call: GrowingCall): RecordedTarget {
  const kind = call.target?.kind
  return {
    class: call.class,
    digest: call.digest,
    endpoint: call.caller.endpoint.server ?? '*',
    era: call.era,
    method: call.method,
    prompt: kind === 'prompt' ? call.target?.name : undefined,
    resource: kind === 'resource' ? call.target?.name : undefined,
    server: call.target?.server,
    tool: kind === 'tool' ? call.target?.name : undefined,
  }
}

function decision(call: GrowingCall): RecordedDecision | undefined {
  const decided = call.decision
  return (
    decided && {
      effect: decided.effect,
      errors: decided.errors.map((error) => ({ message: error.message, rule: error.rule })),
      facts: call.facts,
      observed: decided.observed,
      reason: decided.reason,
      rules: decided.rules,
    }
  )
}

function token({ principal }: GrowingCall): OutcomeRecord['token'] {
  return (
    principal && { exp: principal.token.exp, iss: principal.token.iss, jti_hash: principal.token.jtiHash }
  )
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
