import type { Era } from '../call/call.ts'
import { member, stringMember, type Json, type JsonObject } from '../call/json.ts'

/** Versions with `initialize`, newest first. Source: PROTOCOL.md section 1. */
export const LEGACY_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'] as const

/** Versions with per-request metadata, newest first. */
export const MODERN_VERSIONS = ['2026-07-28'] as const

/** What the gate asks a legacy server for. */
export const LATEST_LEGACY: string = LEGACY_VERSIONS[0]

/** What the gate speaks to a modern server. */
export const LATEST_MODERN: string = MODERN_VERSIONS[0]

const ERA_OF: ReadonlyMap<string, Era> = new Map<string, Era>([
  ...LEGACY_VERSIONS.map((version) => [version, 'legacy'] as const),
  ...MODERN_VERSIONS.map((version) => [version, 'modern'] as const),
])

/** The era of a protocol version; undefined for a version that the gate does not speak. */
export function eraOf(version: string): Era | undefined {
  return ERA_OF.get(version)
}

/** Names of the `_meta` members that the modern era gives a meaning (specification 2026-07-28, basic). */
export const META = {
  protocolVersion: 'io.modelcontextprotocol/protocolVersion',
  clientCapabilities: 'io.modelcontextprotocol/clientCapabilities',
  clientInfo: 'io.modelcontextprotocol/clientInfo',
  serverInfo: 'io.modelcontextprotocol/serverInfo',
  logLevel: 'io.modelcontextprotocol/logLevel',
  subscriptionId: 'io.modelcontextprotocol/subscriptionId',
} as const

/** Progress tokens belong to one hop: the gate reads the host's and sends its own. */
export const PROGRESS_TOKEN = 'progressToken'

/**
 * Whether a `_meta` key means something to the protocol itself, so that a host's value must not reach a server:
 * `progressToken`, and every key whose prefix the specification keeps for MCP. Up to 2025-06-18 that is a prefix with the
 * label `modelcontextprotocol` or `mcp` before its last one (`modelcontextprotocol.io/`), later one with it as second
 * label (`io.modelcontextprotocol/`). The W3C trace keys (`traceparent`, ...) have no prefix and pass.
 */
export function isReservedMetaKey(key: string, era: Era): boolean {
  if (key === PROGRESS_TOKEN) return true
  const slash = key.indexOf('/')
  if (slash < 0) return false
  const labels = key.slice(0, slash).toLowerCase().split('.')
  if (isProtocolLabel(labels[1])) return true
  return era === 'legacy' && isProtocolLabel(labels.at(-2))
}

function isProtocolLabel(label: string | undefined): boolean {
  return label === 'modelcontextprotocol' || label === 'mcp'
}

/** `_meta` without the members that belong to the protocol; what is left goes on as it came. */
export function withoutReservedMeta(meta: JsonObject, era: Era): JsonObject {
  return Object.fromEntries(Object.entries(meta).filter(([key]) => !isReservedMetaKey(key, era)))
}

/**
 * What of a host's `_meta` goes on to a server: the W3C trace context (SEP-414), and of it no baggage. Everything else there
 * is outside the tool's schema and policy, so it would be a way around both.
 */
export function traceMeta(meta: JsonObject): JsonObject {
  const traceparent = stringMember(meta, 'traceparent')
  if (traceparent === undefined || !TRACEPARENT.test(traceparent)) return {}
  const tracestate = stringMember(meta, 'tracestate')
  const known = tracestate !== undefined && tracestate.length <= MAX_TRACESTATE && TRACESTATE.test(tracestate)
  return known ? { traceparent, tracestate } : { traceparent }
}

/** W3C Trace Context, version 00 and what later versions keep of it. */
export const TRACEPARENT: RegExp = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/
const TRACESTATE = /^[\x20-\x7e]*$/
/** Bytes that W3C Trace Context asks everyone to pass on. */
const MAX_TRACESTATE = 512

/** `_meta` that every modern request must carry: version and capabilities REQUIRED, client info SHOULD. */
export function modernMeta(clientInfo: JsonObject, capabilities: JsonObject): JsonObject {
  return {
    [META.protocolVersion]: LATEST_MODERN,
    [META.clientCapabilities]: capabilities,
    [META.clientInfo]: clientInfo,
  }
}

/** Header that names the version in both eras, as HTTP/1.1 clients write it. */
export const VERSION_HEADER = 'mcp-protocol-version'

/** Member of `params` that `Mcp-Name` repeats, by method (SEP-2243). */
const NAMED_BY: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
}

/** The member of `params` that `Mcp-Name` must equal; undefined for methods without that header. */
export function namedBy(method: string): string | undefined {
  return Object.hasOwn(NAMED_BY, method) ? NAMED_BY[method] : undefined
}

/** Standard headers of one modern request, made from its body so that the two cannot differ (SEP-2243). */
export function modernHeaders(method: string, head: Readonly<Record<string, Json>>): Record<string, string> {
  const headers: Record<string, string> = { [VERSION_HEADER]: LATEST_MODERN, 'mcp-method': method }
  const key = namedBy(method)
  const name = key === undefined ? undefined : member(head, key)
  if (typeof name === 'string') headers['mcp-name'] = encodeHeaderValue(name)
  return headers
}

const PLAIN_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/

/**
 * A header value that survives HTTP: visible ASCII as it is, everything else (and what looks wrapped) as
 * `=?base64?...?=` over its UTF-8 bytes. So no name can add a header line. Source: SEP-2243.
 */
export function encodeHeaderValue(value: string): string {
  if (PLAIN_VALUE.test(value) && !value.startsWith('=?')) return value
  return `=?base64?${Buffer.from(value, 'utf8').toString('base64')}?=`
}
