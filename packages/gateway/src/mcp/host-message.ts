import { Refusal } from '../call/refusal.ts'
import type { Era } from '../call/call.ts'
import type { ReasonCode } from '../call/reason-code.ts'
import type { InputResponse } from '../call/input.ts'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { JsonFault, type JsonFaultKind, type ScanOptions, type ScannedJson, scanJson } from './json-scan.ts'
import { META, eraOf, namedBy } from './era.ts'
import { decodeHeaderValue } from './param-headers.ts'

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

/** What a legacy host answers to a question of a server. */
export interface HostResponse {
  readonly id: string | number
  readonly response: InputResponse
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
const RESPONSE = new Set(['jsonrpc', 'id', 'result', 'error'])

/** Scan options of host messages; one constant object a cap, because the scanner is compiled once an object. */
export function hostScanOptions(maxBytes: number): ScanOptions {
  return { maxBytes, want: ['params', 'params.arguments'] }
}

/**
 * Row 0: bytes to one message. Nothing is parsed before the scanner has proven the bytes unambiguous.
 * @throws MessageRefused with a CG_WIRE_* refusal
 */
export function readHostMessage(bytes: Uint8Array, options: ScanOptions): HostMessage | HostResponse {
  const scanned = scan(bytes, options)
  if (scanned.kind === 'array') throw envelope(undefined, 'a batch; send one message a request')
  if (scanned.kind !== 'object') throw envelope(undefined, `a JSON ${scanned.kind}, expected an object`)
  const parsed: unknown = JSON.parse(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'),
  )
  if (!isJsonObject(parsed)) throw envelope(undefined, 'not an object')

  const id = idOf(parsed)
  if (member(parsed, 'jsonrpc') !== '2.0') throw envelope(id, '`jsonrpc` is not "2.0"')
  const answers = scanned.members.has('result') || scanned.members.has('error')
  if (answers && !scanned.members.has('method')) return responseOf(parsed, id)
  for (const key of scanned.members.keys()) {
    if (!TOP.has(key)) throw envelope(id, 'an unknown member beside jsonrpc, id, method and params')
  }
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

/** Longest text of an error that a host answers, in UTF-16 units. */
const MAX_ERROR_TEXT = 1_024

function responseOf(message: JsonObject, id: string | number | undefined): HostResponse {
  if (id === undefined) throw envelope(id, 'a response without an id')
  for (const key of Object.keys(message)) {
    if (!RESPONSE.has(key)) throw envelope(id, 'an unknown member beside jsonrpc, id, result and error')
  }
  const result = member(message, 'result')
  const error = member(message, 'error')
  if ((result === undefined) === (error === undefined)) throw envelope(id, 'a result and an error at once')
  if (isJsonObject(result)) return { id, response: { kind: 'result', result } }
  const code = isJsonObject(error) ? member(error, 'code') : undefined
  const text = isJsonObject(error) ? stringMember(error, 'message') : undefined
  if (typeof code !== 'number' || !Number.isSafeInteger(code) || text === undefined)
    throw envelope(id, 'neither an object as result nor an error with code and message')
  return { id, response: { kind: 'error', code, message: text.slice(0, MAX_ERROR_TEXT).toWellFormed() } }
}

/**
 * The messages of a batch, each as one document of its own. Only 2025-03-26 has them. Written anew,
 * so that each is scanned as a message is: the scanner guards the names of an envelope only at the top of a document.
 * @throws MessageRefused CG_WIRE_* for an ambiguous document, more than 64 messages, or a number that would not survive
 */
export function readBatch(bytes: Uint8Array, options: ScanOptions): readonly Buffer[] {
  const scanned = scan(bytes, options)
  const parsed: unknown = JSON.parse(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'),
  )
  if (!Array.isArray(parsed) || parsed.length === 0) throw envelope(undefined, 'an empty batch')
  if (parsed.length > MAX_BATCH) throw envelope(undefined, `a batch of more than ${MAX_BATCH}`)
  if (!scanned.exactNumbers) throw envelope(undefined, 'a batch with a number that does not survive')
  return parsed.map((message: unknown) => Buffer.from(JSON.stringify(message)))
}

/** Most messages of one batch. */
const MAX_BATCH = 64

/** Whether bytes are meant as a batch: the first that is no white space opens an array. */
export function isBatch(bytes: Uint8Array): boolean {
  for (const byte of bytes) {
    if (byte === 0x5b) return true
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return false
  }
  return false
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
 * @param agreed version that the host's session agreed on, for a legacy message without the header
 * @throws MessageRefused with CG_WIRE_VERSION, CG_WIRE_HEADER_MISMATCH or CG_WIRE_PARAMS
 */
export function spokenBy(message: HostMessage, headers: HostHeaders, agreed?: string): Spoken {
  const { id, method, meta } = message
  const claimed = member(meta, META.protocolVersion)
  if (claimed === undefined) {
    // Before a version is agreed its header means nothing: initialize carries the version in its body.
    if (method === 'initialize') return { era: 'legacy', version: ASSUMED_LEGACY }
    if (method === 'server/discover' || eraOf(headers.protocolVersion ?? '') === 'modern') {
      throw refused(id, 'CG_WIRE_PARAMS', `\`params._meta\` lacks \`${META.protocolVersion}\``)
    }
    const version = headers.protocolVersion ?? agreed ?? ASSUMED_LEGACY
    if (eraOf(version) !== 'legacy') {
      throw refused(id, 'CG_WIRE_VERSION', 'the version header names no supported version')
    }
    return { era: 'legacy', version }
  }
  // Two versions in one request are a contradiction before either can be one that is not spoken.
  if (typeof claimed === 'string' && headers.protocolVersion !== undefined)
    expectHeader(id, 'MCP-Protocol-Version', headers.protocolVersion, claimed)
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

/** The member that `Mcp-Name` mirrors: the tool's or prompt's name, the resource's URI or the task's id. */
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
