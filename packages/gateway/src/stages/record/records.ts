import {
  type EvidenceRecord,
  type IntentRecord,
  MAX_SCALAR_PAYLOAD_BYTES,
  type OutcomeRecord,
  type Payload,
  type RecordedDecision,
  type RecordedTarget,
  keyedBytesRoot,
  keyedHash,
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
      return payloads(call, undefined, (args) => intentRecord(call, now, macKey, args))
    },
    outcome(call, outcome, now) {
      const answer = outcome.kind === 'answered' ? outcome.answer : undefined
      return payloads(call, answer, (args, result) => outcomeRecord(call, outcome, now, macKey, args, result))
    },
  }
}

// Members stand in canonical order (RFC 8785), which more than halves the cost of writing its leaf; absent ones are undefined.

function intentRecord(
  call: GrowingCall,
  now: number,
  macKey: MacKey,
  args: Payload | undefined,
): IntentRecord {
  const { principal, session } = call
  return {
    actor: principal && { id: principal.actor.id, type: principal.actor.type },
    approval: call.approved?.id,
    arguments: args,
    call: target(call, macKey),
    chain: call.chain,
    client: principal?.clientId,
    decision: decision(call),
    found: found(call),
    grants: principal?.grants,
    id: call.id,
    kind: 'intent',
    peer: call.caller.peer,
    policy: call.policy,
    session: session?.id,
    session_calls: session?.calls,
    subject: principal?.subject,
    tenant: principal?.tenant,
    ticket: call.confirmed?.id,
    time: timeOf(now),
    token: token(call),
    v: 1,
  }
}

function outcomeRecord(
  call: GrowingCall,
  outcome: Outcome,
  now: number,
  macKey: MacKey,
  args: Payload | undefined,
  result: Payload | undefined,
): OutcomeRecord {
  const { principal, session } = call
  const answer = outcome.kind === 'answered' ? outcome.answer : undefined
  const refusal = outcome.kind === 'answered' ? undefined : outcome.refusal
  return {
    actor: principal && { id: principal.actor.id, type: principal.actor.type },
    answer: answer?.kind,
    approval: call.approved?.id,
    arguments: args,
    call: target(call, macKey),
    chain: call.chain,
    client: principal?.clientId,
    code: refusal?.code,
    decision: decision(call),
    found: found(call),
    grants: principal?.grants,
    id: call.id,
    internal: refusal?.internal ? refusal.internal.slice(0, MAX_INTERNAL) : undefined,
    is_error: answer && (answer.kind === 'error' || answer.value['isError'] === true),
    kind: 'outcome',
    ms: now - call.receivedAt,
    outcome: outcome.kind,
    peer: call.caller.peer,
    policy: call.policy,
    replayed: typeof call.once === 'object' ? call.once.of : undefined,
    result,
    session: session?.id,
    session_calls: session?.calls,
    subject: principal?.subject,
    tenant: principal?.tenant,
    ticket: call.confirmed?.id,
    time: timeOf(now),
    token: token(call),
    // Time on the server is that of the call that ran.
    upstream_ms: typeof call.once === 'object' ? undefined : answer?.upstreamMs,
    v: 1,
  }
}

/**
 * What the call was aimed at. Tools stand there by the name that the catalogue knows. What a host made up itself, a
 * resource's URI or a prompt's name, is unscreened: of it the record holds a keyed hash, and the scheme of a URI.
 */
function target(call: GrowingCall, macKey: MacKey): RecordedTarget {
  const kind = call.target?.kind
  const hidden = () => keyedHash(macKey(call.principal?.tenant ?? ''), call.target?.name ?? '').slice(0, 32)
  return {
    class: call.class,
    digest: call.digest,
    endpoint: call.caller.endpoint.server ?? '*',
    era: call.era,
    method: call.method,
    prompt: kind === 'prompt' ? `#${hidden()}` : undefined,
    resource: kind === 'resource' ? `${schemeOf(call.target?.name ?? '')}#${hidden()}` : undefined,
    server: call.target?.server,
    tool: kind === 'tool' ? call.target?.name : undefined,
  }
}

/** Scheme of a URI with its colon, as far as it is one that somebody could have registered. */
function schemeOf(uri: string): string {
  return /^[a-z][a-z0-9+.-]{0,31}:/i.exec(uri)?.[0] ?? ''
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

/** Absent where nothing was found, as in most calls. */
function found({ screened, restored }: GrowingCall): OutcomeRecord['found'] {
  const found = {
    arguments: counted(screened?.arguments),
    excepted: counted(screened?.excepted),
    places: screened?.places,
    restored: counted(restored),
    result: counted(screened?.result),
  }
  return Object.values(found).every((counts) => counts === undefined) ? undefined : found
}

type Counts = Readonly<Record<string, number>>

const counted = (counts: Counts | undefined): Counts | undefined =>
  counts === undefined || isEmpty(counts) ? undefined : counts

function isEmpty(counts: Counts): boolean {
  for (const _ in counts) return false
  return true
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
