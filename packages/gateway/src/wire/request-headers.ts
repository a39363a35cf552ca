import type { Caller } from '../call/call.ts'
import { type JsonObject, stringMember } from '../call/json.ts'
import { TRACEPARENT } from '../mcp/era.ts'
import { type Exchange, countOf } from './http-listener.ts'

/** The access token of a request, with what came to show that it is the sender's. */
export type Presented = Pick<Caller, 'token' | 'scheme' | 'proof' | 'signed' | 'certificate'>

/**
 * Reads them. Two Authorization headers are none: no header may change who is authenticated (ARCHITECTURE.md section 5, rule 1),
 * and parsers differ in which of two they take. So are two proofs (RFC 9449 section 4.3, check 1).
 * @param url public URL of the endpoint, for the proof
 * @param body of the request, for a signature over it; undefined: it has none
 */
export function presentedBy(
  { request, certificate }: Exchange,
  url: string,
  body: Uint8Array | undefined,
): Presented {
  const { authorization, dpop } = request.headers
  const signed = 'signature' in request.headers || 'signature-input' in request.headers
  const nothing = { scheme: undefined, proof: undefined, signed, certificate }
  if (authorization === undefined) return { token: undefined, ...nothing }
  const [, name = '', token = ''] = /^(bearer|dpop) +(.*)$/i.exec(authorization) ?? []
  if (token === '' || countOf(request, 'authorization') !== 1) return { token: '', ...nothing }
  if (name.length !== 4) return { ...nothing, token: token.trim(), scheme: 'Bearer' }
  const jwt = countOf(request, 'dpop') === 1 ? one(dpop) : undefined
  const { method = '', rawHeaders: headers } = request
  const proof = jwt === undefined ? undefined : { jwt, httpMethod: method, url, headers, body }
  return { token: token.trim(), scheme: 'DPoP', proof, signed, certificate }
}

/** A header as one text; repeated ones are joined, so that no second value hides behind the first. */
export const one = (header: string | string[] | undefined) =>
  Array.isArray(header) ? header.join(',') : header

/** Whether a host takes a plain JSON answer; without an Accept header it does. */
export function acceptsJson(accept: string | undefined): boolean {
  return accept === undefined || /application\/json|application\/\*|\*\/\*/i.test(accept)
}

/** Whether a host takes a stream of events. */
export function acceptsEvents({ request }: Exchange): boolean {
  return /text\/event-stream|text\/\*|\*\/\*/i.test(request.headers.accept ?? '')
}

/** Trace id of a valid W3C traceparent in `_meta` (SEP-414), undefined otherwise. */
export function traceIdOf(meta: JsonObject): string | undefined {
  const found = TRACEPARENT.exec(stringMember(meta, 'traceparent') ?? '')?.[1]
  return found === undefined || /^0+$/.test(found) ? undefined : found
}
