import { Refusal } from '../call/refusal.ts'
import type { Era } from '../call/call.ts'
import type { ReasonCode } from '../call/reason-code.ts'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { JsonFault, type JsonFaultKind, type ScanOptions, type ScannedJson, scanJson } from './json-scan.ts'
import { META, decodeHeaderValue, eraOf, namedBy } from './era.ts'

/** One JSON-RPC message of a host: unambiguous, with its parameters parsed and the bytes of its arguments kept. */
export interface HostMessage {
  /** Undefined for a notification. */
  readonly id: string | number | undefined
  readonly method: string
  readonly params: JsonObject
  readonly meta: JsonObject
  /** Received bytes of `params.arguments`; empty when absent. */
  readonly argsBytes: Uint8Array
  readonly exactNumbers: boolean
}

/** Standard headers of a request, as received; undefined when absent. */
export interface HostHeaders {
  readonly protocolVersion: string | undefined
  readonly method: string | undefined
  readonly name: string | undefined
}

/** What a refused message was called, so that its error can answer it. */
export class MessageRefused extends Error {
  override readonly name = 'MessageRefused'
  readonly id: string | number | undefined
  readonly refusal: Refusal

  constructor(id: string | number | undefined, refusal: Refusal) {
    super(refusal.message, { cause: refusal })
    this.id = id
    this.refusal = refusal
  }
}

const FAULTS: Record<JsonFaultKind, ReasonCode> = {
  bytes: 'CG_WIRE_TOO_LARGE',
  utf8: 'CG_WIRE_UTF8',
  syntax: 'CG_WIRE_SYNTAX',
  depth: 'CG_WIRE_DEPTH',
  keys: 'CG_WIRE_KEYS',
  duplicate: 'CG_WIRE_DUPLICATE_KEY',
  twin: 'CG_WIRE_TWIN_KEY',
  surrogate: 'CG_WIRE_SURROGATE',
}

const NO_BYTES = new Uint8Array(0)
const NO_MEMBERS: JsonObject = {}
const TOP = new Set(['jsonrpc', 'id', 'method', 'params'])

/** Scan options of host messages; one constant object a cap, because the scanner is compiled once an object. */
export function hostScanOptions(maxBytes: number): ScanOptions {
  return { maxBytes, want: ['params', 'params.arguments'] }
}

/**
 * Row 0: bytes to one message. Nothing is parsed before the scanner has proven the bytes unambiguous.
 * @throws MessageRefused with a CG_WIRE_* refusal
 */
export function readHostMessage(bytes: Uint8Array, options: ScanOptions): HostMessage {
  const scanned = scan(bytes, options)
  if (scanned.kind === 'array') throw envelope(undefined, 'a batch; send one message a request')
  if (scanned.kind !== 'object') throw envelope(undefined, `a JSON ${scanned.kind}, expected an object`)
  const parsed: unknown = JSON.parse(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'),
  )
  if (!isJsonObject(parsed)) throw envelope(undefined, 'not an object')

  const id = idOf(parsed)
  for (const key of scanned.members.keys()) {
    if (!TOP.has(key)) {
      const what =
        key === 'result' || key === 'error' ? 'a response; this endpoint asked nothing' : 'an unknown member'
      throw envelope(id, `${what} beside jsonrpc, id, method and params`)
    }
  }
  if (member(parsed, 'jsonrpc') !== '2.0') throw envelope(id, '`jsonrpc` is not "2.0"')
  const method = stringMember(parsed, 'method')
  if (method === undefined || method.length > 128) throw envelope(id, '`method` is not a short string')

  const params = member(parsed, 'params') ?? NO_MEMBERS
  if (!isJsonObject(params)) throw refused(id, 'CG_WIRE_PARAMS', '`params` is not an object')
  const meta = member(params, '_meta') ?? NO_MEMBERS
  if (!isJsonObject(meta)) throw refused(id, 'CG_WIRE_PARAMS', '`params._meta` is not an object')
  const args = scanned.child('params.arguments')
  return {
    id,
    method,
    params,
    meta,
    argsBytes: args === undefined ? NO_BYTES : bytes.subarray(args.start, args.end),
    exactNumbers: scanned.exactIn('params.arguments'),
  }
}

function scan(bytes: Uint8Array, options: ScanOptions): ScannedJson {
  try {
    return scanJson(bytes, options)
  } catch (error) {
    if (error instanceof JsonFault) throw refused(undefined, FAULTS[error.fault], error.message)
    throw error
  }
}

function idOf(message: JsonObject): string | number | undefined {
  if (!Object.hasOwn(message, 'id')) return undefined
  const id = member(message, 'id')
  if (typeof id === 'string' && id.length <= 256) return id
  if (typeof id === 'number' && Number.isSafeInteger(id)) return id
  throw envelope(undefined, '`id` is neither a short string nor an integer')
}

/** Which era a message belongs to and which version it speaks. */
export interface Spoken {
  readonly era: Era
  readonly version: string
}

/** Version assumed for a legacy message without a version header (PROTOCOL.md section 5: VS Code sends none). */
const ASSUMED_LEGACY = '2025-03-26'

/**
 * Tells the era from the body, never from headers, and holds the headers against the body where the version demands it
 * (2026-07-28, SEP-2243).
 * @throws MessageRefused with CG_WIRE_VERSION, CG_WIRE_HEADER_MISMATCH or CG_WIRE_PARAMS
 */
export function spokenBy(message: HostMessage, headers: HostHeaders): Spoken {
  const { id, method, meta } = message
  const claimed = member(meta, META.protocolVersion)
  if (claimed === undefined) {
    // Before a version is agreed its header means nothing: initialize carries the version in its body.
    if (method === 'initialize') return { era: 'legacy', version: ASSUMED_LEGACY }
    if (method === 'server/discover' || eraOf(headers.protocolVersion ?? '') === 'modern') {
      throw refused(id, 'CG_WIRE_PARAMS', `\`params._meta\` lacks \`${META.protocolVersion}\``)
    }
    const version = headers.protocolVersion ?? ASSUMED_LEGACY
    if (eraOf(version) !== 'legacy') {
      throw refused(id, 'CG_WIRE_VERSION', 'the version header names no supported version')
    }
    return { era: 'legacy', version }
  }
  if (typeof claimed !== 'string' || eraOf(claimed) !== 'modern') {
    throw refused(id, 'CG_WIRE_VERSION', 'the version in `_meta` is not supported')
  }
  if (id !== undefined && !isJsonObject(member(meta, META.clientCapabilities))) {
    throw refused(id, 'CG_WIRE_PARAMS', `\`params._meta\` lacks \`${META.clientCapabilities}\``)
  }
  expectHeader(id, 'MCP-Protocol-Version', headers.protocolVersion, claimed)
  expectHeader(id, 'Mcp-Method', headers.method, method)
  const named = namedTarget(message)
  if (named !== undefined) {
    expectHeader(
      id,
      'Mcp-Name',
      headers.name === undefined ? undefined : decodeHeaderValue(headers.name),
      named,
    )
  }
  return { era: 'modern', version: claimed }
}

/** The member that `Mcp-Name` mirrors: the tool's or prompt's name, or the resource's URI. */
export function namedTarget(message: HostMessage): string | undefined {
  const key = namedBy(message.method)
  return key === undefined ? undefined : stringMember(message.params, key)
}

function expectHeader(
  id: string | number | undefined,
  name: string,
  value: string | undefined,
  body: string,
): void {
  if (value === body) return
  const what = value === undefined ? 'is missing' : 'differs from the body'
  throw refused(id, 'CG_WIRE_HEADER_MISMATCH', `header \`${name}\` ${what}`)
}

// Every text of this file is ours and holds no byte of the payload, so it is public and internal alike.
function refused(id: string | number | undefined, code: ReasonCode, text: string): MessageRefused {
  return new MessageRefused(id, new Refusal(code, { publicText: text, internal: text }))
}

function envelope(id: string | number | undefined, text: string): MessageRefused {
  return refused(id, 'CG_WIRE_ENVELOPE', `the message is ${text}`)
}
