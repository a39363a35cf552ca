import { type JsonObject, stringMember } from '../call/json.ts'
import { TRACEPARENT } from '../mcp/era.ts'
import { type Exchange, countOf } from './http-listener.ts'

/**
 * The bearer token of a request. Two Authorization headers are none: no header may change who is authenticated
 * (ARCHITECTURE.md section 5, rule 1), and parsers differ in which of two they take.
 */
export function bearer({ request }: Exchange): string | undefined {
  const { authorization } = request.headers
  if (authorization === undefined) return undefined
  const alone = countOf(request, 'authorization') === 1
  return alone && /^bearer /i.test(authorization) ? authorization.slice(7).trim() : ''
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
