import type { InputRequest, InputRequests, InputResponse, InputResponses } from '../call/input.ts'
import { isJsonObject, member, stringMember, type Json, type JsonObject } from '../call/json.ts'
import { isSamplingMessage, pick, type Problem } from './bridge-requests.ts'
import { RPC } from './jsonrpc.ts'

/**
 * A host's answer to a question, known members only.
 * @returns a problem when it is no answer to this question; an error of the host passes
 */
export function readInputResponse(request: InputRequest, response: InputResponse): InputResponse | Problem {
  if (response.kind === 'error') return response
  switch (request.method) {
    case 'elicitation/create':
      return readElicited(request, response.result)
    case 'sampling/createMessage':
      return readSampled(response.result)
    case 'roots/list':
      return { problem: 'roots are never asked of a host' }
  }
}

function readElicited(request: InputRequest, answer: JsonObject): InputResponse | Problem {
  const action = stringMember(answer, 'action')
  if (action !== 'accept' && action !== 'decline' && action !== 'cancel') {
    return { problem: 'the answer to an elicitation neither accepts, declines nor cancels' }
  }
  const content = member(answer, 'content')
  // Nothing of a user who declined, or who was sent to a URL, is for the server.
  if (content === undefined || action !== 'accept' || member(request.params, 'mode') === 'url') {
    return { kind: 'result', result: { action } }
  }
  if (!isJsonObject(content) || !Object.values(content).every(isFieldValue)) {
    return { problem: 'the content of an elicitation is no flat form' }
  }
  return { kind: 'result', result: { action, content } }
}

function isFieldValue(value: Json): boolean {
  if (Array.isArray(value)) return value.every((choice: Json) => typeof choice === 'string')
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

function readSampled(answer: JsonObject): InputResponse | Problem {
  const stopReason = member(answer, 'stopReason')
  const stops = stopReason === undefined || typeof stopReason === 'string'
  if (!isSamplingMessage(answer) || stringMember(answer, 'model') === undefined || !stops) {
    return { problem: 'the answer to sampling has no role, content and model' }
  }
  return { kind: 'result', result: pick(answer, ['role', 'content', 'model', 'stopReason']) }
}

/** The operator's roots as the answer to `roots/list`. @param uris file URIs */
export function rootsResponse(uris: readonly string[]): InputResponse & { readonly kind: 'result' } {
  return { kind: 'result', result: { roots: uris.map((uri) => ({ uri })) } }
}

/**
 * An answer as a legacy server gets it.
 * @param version what server and gate agreed on: before 2025-11-25 a message of a model has one part
 */
export function legacyResponse(response: InputResponse, version: string): InputResponse {
  if (response.kind === 'error' || version >= '2025-11-25') return response
  const content = member(response.result, 'content')
  if (!Array.isArray(content)) return response
  const [part, ...others]: readonly Json[] = content
  return part === undefined || others.length > 0
    ? {
        kind: 'error',
        code: RPC.internalError,
        message: 'the answer has not one part, and this protocol version carries one',
      }
    : { kind: 'result', result: { ...response.result, content: part } }
}

/**
 * Answers as the `inputResponses` of a retry to a modern server. It knows no errors: an elicitation that failed counts as
 * cancelled by the user.
 * @returns a problem when another question failed: then the call cannot go on
 */
export function inputResponsesOf(
  requests: InputRequests,
  responses: InputResponses,
): { readonly inputResponses: JsonObject } | Problem {
  const entries: [string, Json][] = []
  for (const [key, { method }] of Object.entries(requests)) {
    const response = Object.hasOwn(responses, key) ? responses[key] : undefined
    if (response?.kind === 'result') entries.push([key, response.result])
    else if (method === 'elicitation/create') entries.push([key, { action: 'cancel' }])
    else return { problem: `the host did not answer \`${method}\`` }
  }
  return { inputResponses: Object.fromEntries(entries) }
}
