import type { JsonObject } from '../call/json.ts'
import type { ReasonCode } from '../call/reason-code.ts'
import type { Refusal } from '../call/refusal.ts'
import { registry } from '../errors/registry.ts'
import { ACCEPT_SIGNATURE } from '../net/message-signature.ts'

/** Refusals of HTTP itself: no JSON-RPC message was read that an error could answer. */
const BEFORE_MESSAGE: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'CG_WIRE_TOO_LARGE',
  'CG_WIRE_CONTENT_TYPE',
  'CG_WIRE_CONTENT_ENCODING',
  'CG_WIRE_ACCEPT',
  'CG_WIRE_HOST',
  'CG_WIRE_ORIGIN',
  'CG_WIRE_PATH',
  'CG_WIRE_HTTP_METHOD',
  'CG_WIRE_TIMEOUT',
  'CG_WIRE_DRAINING',
  'CG_WIRE_SESSION',
  'CG_ENROL_CODE',
  'CG_ENROL_UNAVAILABLE',
  'CG_CONSENT_SERVER',
  'CG_CONSENT_STATE',
  'CG_CONSENT_REFUSED',
  'CG_CONSENT_UNAVAILABLE',
])

/** How a refusal looks on the wire: exactly one of the four shapes of ARCHITECTURE.md "What the caller sees". */
export type WireRefusal =
  /** 401 or 403 with a challenge, 429 before identity, and what fails before a message is read. */
  | {
      readonly shape: 'http'
      readonly status: number
      readonly headers: readonly string[]
      readonly problem: Problem
    }
  /** A JSON-RPC error; its HTTP status is 200 unless the protocol fixes another one. */
  | {
      readonly shape: 'error'
      readonly status: number
      readonly code: number
      readonly message: string
      readonly data: JsonObject
    }
  /** A tool result with `isError`: hosts read a 4xx as a broken server and the model would never learn why. */
  | { readonly shape: 'tool'; readonly text: string }

/** RFC 9457 problem details. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: string
  readonly detail: string
}

export interface RefusedContext {
  /** Method of the refused message; undefined when no message could be read. */
  readonly method: string | undefined
  readonly era: 'legacy' | 'modern' | undefined
  /** Evidence id; undefined for refusals of rows 0 and 1, which are only counted. */
  readonly evidence: string | undefined
  /** Behind another message of a batch: HTTP has one answer for both, and this one must not take that of the other. */
  readonly later?: boolean
  /** URL of the protected-resource metadata of the endpoint (RFC 9728), for the challenge. */
  readonly resourceMetadata: string
  /** Algorithms of DPoP proofs that are accepted, for the challenge. */
  readonly proofAlgorithms: readonly string[]
  /** Extra members of the error's data that the protocol asks for, such as the supported versions. */
  readonly data?: JsonObject
}

/** Maps a refusal to the wire. The one place that knows how hosts take each kind. */
export function refusalToWire(refusal: Refusal, context: RefusedContext): WireRefusal {
  const entry = registry[refusal.code]
  const text = refusal.publicText ?? entry.publicText
  const area = refusal.code.split('_')[1]
  if (context.later !== true && (area === 'IDENTITY' || BEFORE_MESSAGE.has(refusal.code)))
    return httpRefusal(refusal, entry.status, text, context)
  const data: JsonObject = {
    code: refusal.code,
    ...(context.evidence === undefined ? {} : { evidence: context.evidence }),
    ...(refusal.retryAfterS === undefined ? {} : { retry_after: refusal.retryAfterS }),
    ...context.data,
  }
  if (
    context.method === 'tools/call' &&
    area !== 'WIRE' &&
    area !== 'IDENTITY' &&
    refusal.code !== 'CG_CATALOG_UNKNOWN_TOOL'
  ) {
    return { shape: 'tool', text: toolText(refusal, text, context.evidence) }
  }
  const status = area === 'WIRE' ? wireStatus(refusal, context) : 200
  return { shape: 'error', status, code: entry.rpc, message: text, data }
}

/** The sentence that the agent reads: code, what to do, evidence id. Never a rule's body, matched data or a stack. */
function toolText(refusal: Refusal, text: string, evidence: string | undefined): string {
  const retry = refusal.retryAfterS === undefined ? '' : ` (retry_after: ${refusal.retryAfterS} s)`
  const id = evidence === undefined ? '' : ` [evidence ${evidence}]`
  return `${refusal.code}: ${text}${retry}${id}`
}

/**
 * Protocol errors are HTTP 400 and an unknown method is 404 in 2026-07-28. Legacy hosts get the last two as plain
 * JSON-RPC errors: a 4xx to the first POST sends some of them to another transport (PROTOCOL.md section 5).
 */
function wireStatus(refusal: Refusal, context: RefusedContext): number {
  const aboutCall = refusal.code === 'CG_WIRE_METHOD' || refusal.code === 'CG_WIRE_PARAMS'
  return aboutCall && context.era === 'legacy' ? 200 : registry[refusal.code].status
}

function httpRefusal(refusal: Refusal, status: number, text: string, context: RefusedContext): WireRefusal {
  const headers: string[] = []
  if (status === 401 || (status === 403 && refusal.code.startsWith('CG_IDENTITY_'))) {
    headers.push('WWW-Authenticate', challenge(refusal, status, text, context))
  }
  if (refusal.code === 'CG_IDENTITY_UNSIGNED' || refusal.code === 'CG_IDENTITY_MESSAGE')
    headers.push('Accept-Signature', ACCEPT_SIGNATURE)
  if (refusal.nonce !== undefined) headers.push('DPoP-Nonce', refusal.nonce)
  if (refusal.retryAfterS !== undefined)
    headers.push('Retry-After', String(Math.max(1, Math.ceil(refusal.retryAfterS))))
  const problem = { type: 'about:blank', title: title(status), status, code: refusal.code, detail: text }
  return { shape: 'http', status, headers, problem }
}

/** What a DPoP challenge says is wrong (RFC 9449 sections 7.1 and 9); every other refusal is a Bearer challenge. */
const DPOP_ERRORS: ReadonlyMap<ReasonCode, string> = new Map<ReasonCode, string>([
  ['CG_IDENTITY_UNBOUND', 'invalid_token'],
  ['CG_IDENTITY_PROOF', 'invalid_dpop_proof'],
  ['CG_IDENTITY_NONCE', 'use_dpop_nonce'],
  ['CG_IDENTITY_UNSIGNED', 'invalid_token'],
  ['CG_IDENTITY_MESSAGE', 'invalid_token'],
])

/** One complete challenge (RFC 6750 section 3, RFC 9728 section 5.1). No error member when no token was sent. */
function challenge(refusal: Refusal, status: number, text: string, context: RefusedContext): string {
  const members = [`resource_metadata="${context.resourceMetadata}"`]
  const dpop = DPOP_ERRORS.get(refusal.code)
  if (refusal.code !== 'CG_IDENTITY_MISSING') {
    members.unshift(
      `error="${dpop ?? (status === 403 ? 'insufficient_scope' : 'invalid_token')}"`,
      `error_description="${text.replace(/["\\]/g, "'")}"`,
    )
  }
  // Servers name their prompts as they like: what is no scope token would end the header, or forge a member of it.
  const scopes = refusal.scopes?.filter((scope) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope))
  if (scopes !== undefined && scopes.length > 0) members.splice(1, 0, `scope="${scopes.join(' ')}"`)
  if (dpop !== undefined) return `DPoP ${members.join(', ')}, algs="${context.proofAlgorithms.join(' ')}"`
  return `Bearer ${members.join(', ')}`
}

function title(status: number): string {
  const titles: Record<number, string> = {
    400: 'Bad Request',
    401: 'Unauthorized',
    403: 'Forbidden',
    404: 'Not Found',
    405: 'Method Not Allowed',
    406: 'Not Acceptable',
    408: 'Request Timeout',
    413: 'Content Too Large',
    415: 'Unsupported Media Type',
    429: 'Too Many Requests',
    503: 'Service Unavailable',
  }
  return titles[status] ?? 'Refused'
}
