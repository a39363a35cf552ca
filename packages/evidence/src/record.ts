import { canonicalize } from './canonical.ts'
import type { Json } from './canonical.ts'

/** Longest record, in bytes of its canonical JSON. Source: ARCHITECTURE.md section 4. */
export const MAX_RECORD_BYTES = 32 * 1024

/** What every record has. `v` pins the meaning of all members: a reader that does not know it must not guess. */
interface RecordBase {
  readonly v: 1
  /** Evidence id: the call's id, or one of its own for records without a call. */
  readonly id: string
  /** RFC 3339, UTC, milliseconds. Order is told by the index in the log, never by the clock. */
  readonly time: string
}

/** Which call: names are the operator's words (`<server>.<tool>` split), never the wire's. */
export interface RecordedTarget {
  readonly method: string
  readonly server?: string | undefined
  readonly tool?: string | undefined
  readonly resource?: string | undefined
  readonly prompt?: string | undefined
  /** Operator's class; absent on tools/call means that the call was refused before it was resolved. */
  readonly class?: string | undefined
  /** SHA-256 of the pinned tool definition, hex. */
  readonly digest?: string | undefined
  readonly era: string
  readonly endpoint: string
}

/** What was sent or answered, without the values: its keyed root can be compared by who holds the key. */
export interface Payload {
  readonly bytes: number
  /** Scalars under the root; null when the payload was hashed as bytes for its size. */
  readonly scalars: number | null
  /** Keyed root, hex. */
  readonly root: string
}

/** What policy said. Facts hold a value, or `{ mac }` where the value itself must not be recorded. */
export interface RecordedDecision {
  readonly effect: string
  readonly reason: string
  readonly rules: readonly string[]
  readonly errors: readonly (string | { readonly rule: string; readonly message: string })[]
  /** Rules in `mode: observe` that would have matched. */
  readonly observed?: readonly string[] | undefined
  readonly facts?: { readonly [path: string]: Json } | undefined
}

interface CallRecord extends RecordBase {
  readonly call: RecordedTarget
  readonly actor?: { readonly id: string; readonly type: string } | undefined
  readonly subject?: string | undefined
  readonly tenant?: string | undefined
  readonly client?: string | undefined
  readonly grants?: readonly string[] | undefined
  readonly session?: string | undefined
  /** Calls of the session so far, this one included. */
  readonly session_calls?: number | undefined
  readonly chain?: string | undefined
  /** `exp` in seconds since the epoch. The token itself is never recorded. */
  readonly token?: { readonly jti_hash: string; readonly iss: string; readonly exp: number } | undefined
  readonly peer: string
  readonly decision?: RecordedDecision | undefined
  readonly arguments?: Payload | undefined
  /** How much of which class of data was found, whatever became of it. */
  readonly found?:
    | {
        readonly arguments?: { readonly [found: string]: number } | undefined
        /** Values that were put back in the place of their placeholders. */
        readonly restored?: { readonly [found: string]: number } | undefined
        readonly result?: { readonly [found: string]: number } | undefined
        /** Where it was changed or refused: direction, JSON pointer and class. */
        readonly places?: readonly string[] | undefined
        /** What an exception of the operator let pass. */
        readonly excepted?: { readonly [found: string]: number } | undefined
      }
    | undefined
  /** Digest of the policy that decided. */
  readonly policy?: string | undefined
  /** Approval that people gave to the call. */
  readonly approval?: string | undefined
  /** Ticket that its system confirmed for the call. */
  readonly ticket?: string | undefined
}

/** Durable before a side effect: the gate is about to send this call upstream. */
export interface IntentRecord extends CallRecord {
  readonly kind: 'intent'
}

/** How a call ended. */
export const OUTCOMES = ['answered', 'refused', 'failed', 'cancelled', 'unknown'] as const

/** Durable before the answer. */
export interface OutcomeRecord extends CallRecord {
  readonly kind: 'outcome'
  readonly outcome: (typeof OUTCOMES)[number]
  /** Reason code of a refusal or failure. */
  readonly code?: string | undefined
  /** What the operator reads; never a token, argument value or result. */
  readonly internal?: string | undefined
  /** Whether the server answered with a result or with a JSON-RPC error. */
  readonly answer?: 'result' | 'error' | undefined
  readonly is_error?: boolean | undefined
  /** Id of the call that ran and had this answer: this one did not run. */
  readonly replayed?: string | undefined
  readonly result?: Payload | undefined
  readonly ms: number
  readonly upstream_ms?: number | undefined
}

/** Refusals before anyone was authenticated, counted: a flood must not fill the disk. */
export interface RefusalsRecord extends RecordBase {
  readonly kind: 'refusals'
  readonly peer: string
  readonly code: string
  /** Second since the epoch in which they came. */
  readonly second: number
  readonly count: number
}

/** Something that happened to the gate itself: start, stop, policy, catalog, recovered. */
export interface GateRecord extends RecordBase {
  readonly kind: 'gate'
  readonly event: string
  readonly detail: { readonly [key: string]: Json }
}

/** One leaf of the log. */
export type EvidenceRecord = IntentRecord | OutcomeRecord | RefusalsRecord | GateRecord

/** A record is malformed or too long. The message names the member, never its value. */
export class RecordError extends Error {
  override readonly name = 'RecordError'
}

/**
 * Leaf bytes of a record: its canonical JSON (RFC 8785).
 * @throws RecordError over MAX_RECORD_BYTES, or when a member is missing or of a wrong type
 * @throws TypeError when it has no canonical form
 */
export function encodeRecord(record: EvidenceRecord): Buffer {
  const problem = recordProblem(record)
  if (problem !== undefined) throw new RecordError(problem)
  const leaf = Buffer.from(canonicalize(record))
  if (leaf.length > MAX_RECORD_BYTES) {
    throw new RecordError(`record \`${record.id}\`: ${leaf.length} bytes (at most ${MAX_RECORD_BYTES})`)
  }
  return leaf
}

/**
 * Reads a leaf. Members that this version does not know are kept and allowed.
 * @throws RecordError when it is not a canonical, well-formed record of at most MAX_RECORD_BYTES
 */
export function decodeRecord(leaf: Buffer): EvidenceRecord {
  if (leaf.length > MAX_RECORD_BYTES)
    throw new RecordError(`record: ${leaf.length} bytes (at most ${MAX_RECORD_BYTES})`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(leaf))
    // Duplicate keys, other key orders and other number texts all end here: one value has one text.
    if (!Buffer.from(canonicalize(value)).equals(leaf))
      throw new TypeError('it differs from its canonical form')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new RecordError(`record: not canonical JSON: ${why}`, { cause })
  }
  if (!isRecord(value)) throw new RecordError(recordProblem(value) ?? 'record: malformed')
  return value
}

/** Whether a value is a well-formed record. */
export function isRecord(value: unknown): value is EvidenceRecord {
  return recordProblem(value) === undefined
}

/** What is wrong with a would-be record. @returns undefined when it is well-formed */
export function recordProblem(value: unknown): string | undefined {
  if (!isObject(value)) return 'record: expected a JSON object'
  const shape = SHAPES.get(value['kind'])
  if (shape === undefined) return `record: \`kind\` (expected ${[...SHAPES.keys()].join(', ')})`
  const wrong = wrongMember(value, shape)
  return wrong === undefined ? undefined : `record: member \`${wrong}\` is missing or malformed`
}

type Check = (value: unknown) => boolean
type Shape = { readonly [member: string]: Check | Shape }

/** A shape made ready: this runs for every record. */
interface Member {
  readonly name: string
  readonly path: string
  readonly optional: boolean
  readonly check: Check | undefined
  readonly members: readonly Member[]
}

function membersOf(shape: Shape, path = ''): readonly Member[] {
  return Object.entries(shape).map(([key, check]) => {
    const name = key.replace('?', '')
    const flat = typeof check === 'function'
    return {
      name,
      path: path + name,
      optional: name !== key,
      check: flat ? check : undefined,
      members: flat ? [] : membersOf(check, `${path}${name}.`),
    }
  })
}

const isText: Check = (value) => typeof value === 'string'
const isCount: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0
const isDuration: Check = (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0
const isList: Check = (value) => Array.isArray(value)
const areTexts: Check = (value) => Array.isArray(value) && value.every(isText)
const areCounts: Check = (value) => isObject(value) && Object.values(value).every(isCount)
const isId: Check = (value) => typeof value === 'string' && /^[\w.:-]{1,128}$/.test(value)
let lastTime: unknown

/** Records come in order, many a millisecond: the time that was right a moment ago is right. */
const isTime: Check = (value) => {
  if (value === lastTime) return true
  const right =
    typeof value === 'string' &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value) &&
    Number.isFinite(Date.parse(value))
  if (right) lastTime = value
  return right
}

// A member whose name ends with `?` may be absent; one that is there must fit.
const BASE: Shape = { v: (value) => value === 1, id: isId, time: isTime }
const PAYLOAD: Shape = {
  bytes: isCount,
  scalars: (value) => value === null || isCount(value),
  root: (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value),
}
const CALL: Shape = {
  call: {
    method: isText,
    'server?': isText,
    'tool?': isText,
    'resource?': isText,
    'prompt?': isText,
    'class?': isText,
    'digest?': isText,
    era: isText,
    endpoint: isText,
  },
  'actor?': { id: isText, type: isText },
  'subject?': isText,
  'tenant?': isText,
  'client?': isText,
  'session?': isText,
  'chain?': isText,
  'token?': { jti_hash: isText, iss: isText, exp: isDuration },
  peer: isText,
  'decision?': {
    effect: isText,
    reason: isText,
    rules: areTexts,
    errors: isList,
    'observed?': isList,
    'facts?': (value) => isObject(value),
  },
  'arguments?': PAYLOAD,
  'found?': {
    'arguments?': areCounts,
    'restored?': areCounts,
    'result?': areCounts,
    'places?': areTexts,
    'excepted?': areCounts,
  },
  'policy?': isText,
  'approval?': isText,
  'ticket?': isText,
}
const OUTCOME: Shape = {
  ...CALL,
  outcome: (value) => OUTCOMES.some((one) => one === value),
  'code?': isText,
  'internal?': isText,
  'replayed?': isId,
  'result?': PAYLOAD,
  ms: isDuration,
  'upstream_ms?': isDuration,
}
const REFUSALS: Shape = { peer: isText, code: isText, second: isCount, count: isCount }
const GATE: Shape = { event: isText, detail: (value) => isObject(value) }

const SHAPES: ReadonlyMap<unknown, readonly Member[]> = new Map<unknown, readonly Member[]>([
  ['intent', membersOf({ ...BASE, ...CALL })],
  ['outcome', membersOf({ ...BASE, ...OUTCOME })],
  ['refusals', membersOf({ ...BASE, ...REFUSALS })],
  ['gate', membersOf({ ...BASE, ...GATE })],
])

/** Path of the first member that is missing or does not fit. */
function wrongMember(value: object, members: readonly Member[]): string | undefined {
  for (const { name, path, optional, check, members: inner } of members) {
    const member: unknown = Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
    if (member === undefined) {
      if (!optional) return path
      continue
    }
    if (check !== undefined) {
      if (!check(member)) return path
      continue
    }
    const wrong = isObject(member) ? wrongMember(member, inner) : path
    if (wrong !== undefined) return wrong
  }
  return undefined
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
