import type { Caller } from '../call/call.ts'
import { type JsonObject, stringMember } from '../call/json.ts'
import { TRACEPARENT } from '../mcp/era.ts'
import { type Exchange, countOf } from './http-listener.ts'

/** The access token of a request, with what came to show that it is the sender's. */
export type Presented = Pick<Caller, 'token' | 'scheme' | 'proof' | 'certificate'>

/**
 * Reads them. Two Authorization headers are none: no header may change who is authenticated (ARCHITECTURE.md section 5, rule 1),
 * and parsers differ in which of two they take. So are two proofs (RFC 9449 section 4.3, check 1).
 * @param url public URL of the endpoint, for the proof
 */
export function presentedBy({ request, certificate }: Exchange, url: string): Presented {
  const { authorization, dpop } = request.headers
  if (authorization === undefined)
    return { token: undefined, scheme: undefined, proof: undefined, certificate }
  const [, name = '', token = ''] = /^(bearer|dpop) +(.*)$/i.exec(authorization) ?? []
  if (token === '' || countOf(request, 'authorization') !== 1)
    return { token: '', scheme: undefined, proof: undefined, certificate }
  if (name.length !== 4) return { token: token.trim(), scheme: 'Bearer', proof: undefined, certificate }
  const jwt = countOf(request, 'dpop') === 1 ? one(dpop) : undefined
  const proof = jwt === undefined ? undefined : { jwt, httpMethod: request.method ?? '', url }
  return { token: token.trim(), scheme: 'DPoP', proof, certificate }
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
