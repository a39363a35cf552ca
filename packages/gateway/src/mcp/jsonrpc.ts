import type { Json, JsonObject } from '../call/json.ts'
import type { ScannedJson } from './json-scan.ts'

/** Ids that MCP allows: strings and integers; `null` stands only in an error that answers no readable request. */
export type RpcId = string | number

/** Codes of JSON-RPC 2.0 that the gate itself answers with. Its own codes stay outside -32768..-32000. */
export const RPC = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
} as const

/** Whether a code belongs to JSON-RPC and MCP, so that the gate must not invent a meaning for it. */
export function isReservedCode(code: number): boolean {
  return code >= -32768 && code <= -32000
}

/** One message from a peer, its envelope checked, its payload still bytes. */
export type Message =
  | {
      readonly kind: 'response'
      /** Null only for an error that the peer could not tie to a request. */
      readonly id: RpcId | null
      readonly outcome: 'result' | 'error'
      /** Bytes of `result` or `error`: always an object. */
      readonly body: Uint8Array
    }
  | {
      readonly kind: 'request'
      readonly id: RpcId
      readonly method: string
      readonly params: Uint8Array | undefined
    }
  | { readonly kind: 'notification'; readonly method: string; readonly params: Uint8Array | undefined }

/** A message whose envelope is not JSON-RPC 2.0 as MCP uses it. The text holds nothing of the payload. */
export class EnvelopeFault extends Error {
  override readonly name = 'EnvelopeFault'
}

/** Longest id or method that is read, in bytes of its JSON text. */
const MAX_NAME_BYTES = 1_024

/** Parses a span that the scanner proved unambiguous, and so valid UTF-8. */
export function parseProven(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
}

/**
 * Tells what a proven document is, strictly: exactly the members that its kind has, `jsonrpc` "2.0", ids string or safe
 * integer, `params`, `result` and `error` objects, an error with integer code and string message. A batch is refused.
 * @throws EnvelopeFault for anything else
 */
export function decodeMessage(scanned: ScannedJson, bytes: Uint8Array): Message {
  if (scanned.kind !== 'object') {
    throw new EnvelopeFault(
      `json-rpc: message is of kind \`${scanned.kind}\` (expected one object, no batch)`,
    )
  }
  for (const key of scanned.members.keys()) {
    if (!ENVELOPE.has(key))
      throw new EnvelopeFault('json-rpc: envelope has a member that JSON-RPC does not know')
  }
  const at = (key: string): Uint8Array | undefined => {
    const span = scanned.members.get(key)
    return span === undefined ? undefined : bytes.subarray(span.start, span.end)
  }
  const version = at('jsonrpc')
  if (!isPlainVersion(version) && short(version, 'jsonrpc') !== '2.0')
    throw new EnvelopeFault('json-rpc: `jsonrpc` is not "2.0"')
  const idBytes = at('id')
  const method = short(at('method'), 'method')
  const params = at('params')
  const result = at('result')
  const error = at('error')

  if (method !== undefined) {
    if (result !== undefined || error !== undefined) {
      throw new EnvelopeFault('json-rpc: message is a request and a response at once')
    }
    if (typeof method !== 'string') throw new EnvelopeFault('json-rpc: `method` is not a string')
    if (params !== undefined && !isObject(params))
      throw new EnvelopeFault('json-rpc: `params` is not an object')
    if (idBytes === undefined) return { kind: 'notification', method, params }
    const id = idOf(idBytes)
    if (id === null) throw new EnvelopeFault('json-rpc: a request has the id null')
    return { kind: 'request', id, method, params }
  }

  if (params !== undefined) throw new EnvelopeFault('json-rpc: `params` without `method`')
  if ((result === undefined) === (error === undefined)) {
    throw new EnvelopeFault('json-rpc: a response needs `result` or `error`, not both')
  }
  const id = idBytes === undefined ? null : idOf(idBytes)
  if (result !== undefined) {
    if (id === null) throw new EnvelopeFault('json-rpc: a result without an id')
    if (!isObject(result)) throw new EnvelopeFault('json-rpc: `result` is not an object')
    return { kind: 'response', id, outcome: 'result', body: result }
  }
  if (error === undefined || !isError(error)) {
    throw new EnvelopeFault('json-rpc: `error` needs an integer `code` and a string `message`')
  }
  return { kind: 'response', id, outcome: 'error', body: error }
}

const ENVELOPE: ReadonlySet<string> = new Set(['jsonrpc', 'id', 'method', 'params', 'result', 'error'])

function short(bytes: Uint8Array | undefined, name: string): unknown {
  if (bytes === undefined) return undefined
  if (bytes.length > MAX_NAME_BYTES) {
    throw new EnvelopeFault(`json-rpc: \`${name}\` is longer than ${MAX_NAME_BYTES} bytes`)
  }
  return parseProven(bytes)
}

function idOf(bytes: Uint8Array): RpcId | null {
  const id = plainInteger(bytes) ?? short(bytes, 'id')
  if (id === null || typeof id === 'string') return id
  if (typeof id === 'number' && Number.isSafeInteger(id)) return id
  throw new EnvelopeFault('json-rpc: `id` is neither a string nor a safe integer')
}

// The two spans that every answer has are nearly always written like this, and then need no text and no parser.

/** `"2.0"`, written without an escape. */
function isPlainVersion(bytes: Uint8Array | undefined): boolean {
  if (bytes?.length !== 5 || bytes[0] !== 0x22) return false
  return bytes[1] === 0x32 && bytes[2] === 0x2e && bytes[3] === 0x30
}

/** A non-negative integer of at most 15 digits, which no double rounds. @returns undefined for any other text */
function plainInteger(bytes: Uint8Array): number | undefined {
  if (bytes.length === 0 || bytes.length > 15) return undefined
  let value = 0
  for (const byte of bytes) {
    if (byte < 0x30 || byte > 0x39) return undefined
    value = value * 10 + (byte - 0x30)
  }
  return value
}

function isObject(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7b
}

function isError(bytes: Uint8Array): boolean {
  if (!isObject(bytes)) return false
  const error = parseProven(bytes)
  if (typeof error !== 'object' || error === null) return false
  return (
    'code' in error &&
    Number.isSafeInteger(error.code) &&
    'message' in error &&
    typeof error.message === 'string'
  )
}

/**
 * One request whose envelope is ours and whose `params.arguments` are the given bytes, verbatim.
 * INVARIANT: argsBytes and inputResponses came out of the scanner unchanged, or are our own (ARCHITECTURE.md section 5, rule 4).
 * @param head members of `params` beside those that this function writes
 * @param retry members that go on with a call (2026-07-28, MRTR)
 * @throws TypeError when `head` holds a member that this function writes
 */
export function encodeRequest(
  id: RpcId,
  method: string,
  head: JsonObject,
  argsBytes: Uint8Array | undefined,
  meta: JsonObject | undefined,
  retry?: RetryMembers | undefined,
): Buffer {
  if (Object.hasOwn(head, 'arguments') || Object.hasOwn(head, '_meta')) {
    throw new TypeError('`head` must not hold `arguments` or `_meta`')
  }
  const members = JSON.stringify(head).slice(1, -1)
  const before = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":${JSON.stringify(method)},"params":{${members}`
  const comma = members === '' ? '' : ','
  if (retry !== undefined) {
    if (Object.hasOwn(head, 'inputResponses') || Object.hasOwn(head, 'requestState')) {
      throw new TypeError('`head` must not hold `inputResponses` or `requestState`')
    }
    return encodeRetry(before, comma, argsBytes, meta, retry)
  }
  if (argsBytes === undefined) {
    return Buffer.from(
      meta === undefined ? `${before}}}` : `${before}${comma}"_meta":${JSON.stringify(meta)}}}`,
    )
  }
  const tail = meta === undefined ? '}}' : `,"_meta":${JSON.stringify(meta)}}}`
  return splice(`${before}${comma}"arguments":`, argsBytes, tail)
}

/** What a second call brings of the first one. */
interface RetryMembers {
  /** JSON text. */
  readonly inputResponses: Uint8Array | undefined
  readonly requestState: string | undefined
}

function encodeRetry(
  before: string,
  comma: string,
  argsBytes: Uint8Array | undefined,
  meta: JsonObject | undefined,
  { inputResponses, requestState }: RetryMembers,
): Buffer {
  const parts: (string | Uint8Array)[] = [before]
  let separator = comma
  const add = (key: string, value: string | Uint8Array | undefined): void => {
    if (value === undefined) return
    parts.push(`${separator}"${key}":`, value)
    separator = ','
  }
  add('arguments', argsBytes)
  add('inputResponses', inputResponses)
  add('requestState', requestState === undefined ? undefined : JSON.stringify(requestState))
  add('_meta', meta === undefined ? undefined : JSON.stringify(meta))
  parts.push('}}')
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
}

/** One request with params of our own making. */
export function encodeOwnRequest(id: RpcId, method: string, params: JsonObject): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
}

/** One notification; without params the member is left out. */
export function encodeNotification(method: string, params?: JsonObject): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', method, ...(params === undefined ? {} : { params }) }))
}

/** One response with the given bytes as `result`, verbatim: they must be proven or our own. */
export function encodeResult(id: RpcId, resultBytes: Uint8Array): Buffer {
  return splice(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":`, resultBytes, '}')
}

/** One error; `null` as id when the request had none that could be read. */
export function encodeError(id: RpcId | null, code: number, message: string, data?: Json): Buffer {
  const error = data === undefined ? { code, message } : { code, message, data }
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, error }))
}

/** One error whose `error` member is the given bytes, verbatim: they must be proven. */
export function encodeErrorBytes(id: RpcId, errorBytes: Uint8Array): Buffer {
  return splice(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"error":`, errorBytes, '}')
}

function splice(before: string, middle: Uint8Array, after: string): Buffer {
  const head = Buffer.byteLength(before)
  const out = Buffer.allocUnsafe(head + middle.length + Buffer.byteLength(after))
  out.write(before, 0)
  out.set(middle, head)
  out.write(after, head + middle.length)
  return out
}
