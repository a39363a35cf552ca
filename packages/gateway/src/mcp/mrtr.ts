import type { InputRequest, InputRequests, InputResponse, InputResponses } from '../call/input.ts'
import { isJsonObject, member, stringMember, type Json, type JsonObject } from '../call/json.ts'
import type { ClientCapability } from './bridge-capabilities.ts'
import { type Problem, modernRequest, readInputRequest } from './bridge-requests.ts'
import { readInputResponse, rootsResponse } from './bridge-responses.ts'

// Multi round-trip requests: since 2026-07-28 a server asks by a result, and the host calls again with the answers.

/** Questions of one result, and answers of one retry. */
export const MAX_INPUT_REQUESTS = 16
/** Longest key of a question, in bytes of its JSON text. */
export const MAX_INPUT_KEY_BYTES = 128
/** Longest `requestState`, in bytes of its JSON text; with it the gate's own state stays sealable (ports/key-ring.ts). */
export const MAX_REQUEST_STATE_BYTES = 32_768
/** What a server answers instead of a result: questions, a state that must come back with the answers, or both. */
export interface InputRequired {
  readonly requests: InputRequests
  readonly requestState: string | undefined
}

/** Whether a modern server's result asks for input. A legacy server's never does: it has no `resultType`. */
export function isInputRequired(result: JsonObject): boolean {
  return member(result, 'resultType') === 'input_required'
}

/**
 * Reads a result that asks for input.
 * @param allowed what was declared to this server
 * @returns a problem when it holds neither questions nor state, breaks a cap, or asks what was not declared
 */
export function readInputRequired(
  result: JsonObject,
  allowed: ReadonlySet<ClientCapability>,
): InputRequired | Problem {
  const requestState = member(result, 'requestState')
  const asked = member(result, 'inputRequests')
  if (requestState !== undefined && !isRequestState(requestState)) {
    return { problem: `the server's state is not a string of at most ${MAX_REQUEST_STATE_BYTES} bytes` }
  }
  const read = asked === undefined ? { requests: {} } : readInputRequests(asked, allowed)
  if ('problem' in read) return read
  // Such an answer would be asked for again and again.
  if (Object.keys(read.requests).length === 0 && requestState === undefined) {
    return { problem: 'the server asks for input with neither questions nor state' }
  }
  return { ...read, requestState }
}

/** Questions by key, each read strictly. @param allowed what was declared to this server */
export function readInputRequests(
  asked: Json,
  allowed: ReadonlySet<ClientCapability>,
): { readonly requests: InputRequests } | Problem {
  const entries = entriesOf(asked)
  if (entries === undefined) {
    return { problem: `the server's questions are not an object of at most ${MAX_INPUT_REQUESTS} members` }
  }
  const requests: [string, InputRequest][] = []
  for (const [key, entry] of entries) {
    const method = isJsonObject(entry) ? stringMember(entry, 'method') : undefined
    const params = isJsonObject(entry) && Object.hasOwn(entry, 'params') ? member(entry, 'params') : {}
    if (method === undefined || !isJsonObject(params)) {
      return { problem: 'a question of the server has no method, or params that are no object' }
    }
    const request = readInputRequest(method, params, allowed)
    if ('problem' in request) return request
    requests.push([key, request])
  }
  return { requests: Object.fromEntries(requests) }
}

/** Questions for a modern host, as the result that asks them. @param requestState sealed by the gate, never a server's own */
export function inputRequiredResult(requests: InputRequests, requestState: string): JsonObject {
  return { resultType: 'input_required', inputRequests: shownRequests(requests), requestState }
}

/** Questions as a modern host gets them. */
export function shownRequests(requests: InputRequests): JsonObject {
  return Object.fromEntries(
    Object.entries(requests).map(([key, request]) => [key, { ...modernRequest(request) }] as const),
  )
}

/** What a modern host sends with the second call. Both undefined: it is a first call. */
export interface RetryMembers {
  readonly inputResponses: JsonObject | undefined
  readonly requestState: string | undefined
}

/** Reads the members that make a call the retry of one; they count for no other method. @param params of the request */
export function readRetry(params: JsonObject): RetryMembers | Problem {
  const requestState = member(params, 'requestState')
  const inputResponses = member(params, 'inputResponses')
  if (requestState !== undefined && typeof requestState !== 'string') {
    return { problem: '`requestState` is not a string' }
  }
  if (inputResponses === undefined) return { inputResponses, requestState }
  const entries = entriesOf(inputResponses)
  if (!isJsonObject(inputResponses) || entries === undefined) {
    return { problem: `\`inputResponses\` is not an object of at most ${MAX_INPUT_REQUESTS} members` }
  }
  // Of all entries, since one under a key that nobody asked for is left out later, unread.
  if (!entries.every(([, answer]) => isJsonObject(answer))) {
    return { problem: 'an answer in `inputResponses` is not an object' }
  }
  return { inputResponses, requestState }
}

/** Answers by question, and the keys of the questions that are still open: those are asked again (MRTR, error handling). */
export interface Matched {
  readonly responses: InputResponses
  readonly missing: readonly string[]
}

/** Lays the answers of a modern host beside the questions that it was asked. What nobody asked is left out. */
export function matchResponses(requests: InputRequests, inputResponses: JsonObject): Matched | Problem {
  const responses: [string, InputResponse][] = []
  const missing: string[] = []
  for (const [key, request] of Object.entries(requests)) {
    const answer = member(inputResponses, key)
    if (answer === undefined) missing.push(key)
    else {
      const response = isJsonObject(answer)
        ? readInputResponse(request, { kind: 'result', result: answer })
        : { problem: 'an answer of the host is not an object' }
      if ('problem' in response) return response
      responses.push([key, response])
    }
  }
  return { responses: Object.fromEntries(responses), missing }
}

/**
 * Answers `roots/list` for the host: what a server is told of roots is the operator's choice (ARCHITECTURE.md section 2).
 * @param roots file URIs; undefined: none were declared, and a server that asks all the same breaks the protocol
 * @returns the gate's own answers, and the questions that are left for the host
 */
export function answerRoots(
  requests: InputRequests,
  roots: readonly string[] | undefined,
): { readonly own: InputResponses; readonly rest: InputRequests } | Problem {
  const entries = Object.entries(requests)
  const asksRoots = entries.filter(([, { method }]) => method === 'roots/list')
  if (asksRoots.length > 0 && roots === undefined) {
    return { problem: '`roots/list` asks what was not declared to the server' }
  }
  return {
    own: Object.fromEntries(asksRoots.map(([key]) => [key, rootsResponse(roots ?? [])] as const)),
    rest: Object.fromEntries(entries.filter(([, { method }]) => method !== 'roots/list')),
  }
}

/** JSON-RPC code by which servers of 2025-11-25 ask for a visit to a URL before the call is made again. */
const URL_ELICITATION_REQUIRED = -32042

/** Whether an error asks for visits to URLs before the call is made again. */
export function asksForVisits(error: JsonObject): boolean {
  return member(error, 'code') === URL_ELICITATION_REQUIRED
}

/**
 * The visits that a legacy server's error asks for, as questions to a modern host, which does not know that error. The answered
 * call is then made anew.
 * @param error the `error` member of its response
 * @returns undefined for every other error
 */
export function urlElicitationsOf(
  error: JsonObject,
  allowed: ReadonlySet<ClientCapability>,
): { readonly requests: InputRequests } | Problem | undefined {
  if (!asksForVisits(error)) return undefined
  const data = member(error, 'data')
  const elicitations = isJsonObject(data) ? member(data, 'elicitations') : undefined
  const urls = (Array.isArray(elicitations) ? elicitations : []).filter(
    (params: Json) => isJsonObject(params) && member(params, 'mode') === 'url',
  )
  if (!Array.isArray(elicitations) || urls.length === 0 || urls.length < elicitations.length) {
    return { problem: 'the server asks for visits to URLs and names none' }
  }
  const asked = urls.map((params: Json, i) => [`${i + 1}`, { method: 'elicitation/create', params }] as const)
  return readInputRequests(Object.fromEntries(asked), allowed)
}

function isRequestState(state: Json): state is string {
  return typeof state === 'string' && bytesOf(state) <= MAX_REQUEST_STATE_BYTES
}

/** Members by key; undefined when it is no object, or has too many or too long keys. */
function entriesOf(value: Json): [string, Json][] | undefined {
  if (!isJsonObject(value)) return undefined
  const entries = Object.entries(value)
  const fits =
    entries.length <= MAX_INPUT_REQUESTS && entries.every(([key]) => bytesOf(key) <= MAX_INPUT_KEY_BYTES)
  return fits ? entries : undefined
}

function bytesOf(value: Json): number {
  return Buffer.byteLength(JSON.stringify(value))
}
