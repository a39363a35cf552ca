import type { RecordedCall } from '../../call/call.ts'
import type { InputMethod, InputRequests, InputResponse, InputResponses } from '../../call/input.ts'
import { type JsonObject, isJsonObject, member } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import { type ClientCapability, allowedRequests } from '../../mcp/bridge-capabilities.ts'
import { readInputResponse } from '../../mcp/bridge-responses.ts'
import { answerRoots, matchResponses } from '../../mcp/mrtr.ts'
import { type Retry, UpstreamFailed } from '../../ports/upstream.ts'
import { bindingOf, type RequestStates } from './request-state.ts'

export interface RetryOptions {
  readonly states: RequestStates
  /** The operator's roots of the server, as file URIs; undefined: none are declared to it. */
  readonly roots: readonly string[] | undefined
  /** Capabilities that the server is told. */
  readonly capabilities: JsonObject
}

/**
 * What a server gets of a modern host that goes on with a call: the answers to the questions that were sealed, read strictly,
 * and the operator's roots for whatever the host says of its own. What is missing the server asks again.
 * @returns undefined: there is nothing for the server
 * @throws Refusal CG_WIRE_STATE for a state that this call was not given, CG_WIRE_PARAMS for malformed answers
 * @throws UpstreamFailed `protocol` when it asked for roots that it is not told of any more
 */
export function retryOf(
  call: RecordedCall,
  { states, roots, capabilities }: RetryOptions,
): Retry | undefined {
  const { responses, requestState } = call.retry ?? {}
  if (requestState === undefined) return unasked(responses, allowedRequests(capabilities))
  const state = states.open(requestState, call.session.id, bindingOf(call))
  if (state === undefined)
    throw new Refusal('CG_WIRE_STATE', { internal: 'the state does not open for this call' })
  const { own, rest } = withoutRoots(state.asked ?? {}, roots)
  const matched = matchResponses(rest, responses ?? {})
  if ('problem' in matched)
    throw new Refusal('CG_WIRE_PARAMS', { publicText: matched.problem, internal: matched.problem })
  const all = Object.entries({ ...matched.responses, ...own })
  return {
    inputResponses:
      responses === undefined && all.length === 0 ? undefined : Buffer.from(JSON.stringify(resultsOf(all))),
    requestState: state.upstream,
  }
}

/** The gate's own answers, and the questions that are left. @throws UpstreamFailed `protocol` */
export function withoutRoots(
  requests: InputRequests,
  roots: readonly string[] | undefined,
): { readonly own: InputResponses; readonly rest: InputRequests } {
  const split = answerRoots(requests, roots)
  if ('problem' in split) throw new UpstreamFailed('protocol', split.problem)
  return split
}

/**
 * Answers that came before their questions: a server that may ask may have those that it may ask for. Roots are no such
 * answer: they are the operator's, and nobody asks a host for them.
 */
function unasked(
  responses: JsonObject | undefined,
  allowed: ReadonlySet<ClientCapability>,
): Retry | undefined {
  const answers = unaskedAnswers(responses, allowed)
  if (Object.keys(answers).length === 0) return undefined
  return { inputResponses: Buffer.from(JSON.stringify(answers)), requestState: undefined }
}

/** Answers by key, as far as they read as answers to what a server may ask for. */
export function unaskedAnswers(
  responses: JsonObject | undefined,
  allowed: ReadonlySet<ClientCapability>,
): JsonObject {
  return resultsOf(
    Object.entries(responses ?? {}).flatMap(([key, result]): [string, InputResponse][] => {
      const read = isJsonObject(result) ? readUnasked(result, allowed) : undefined
      return read === undefined ? [] : [[key, read]]
    }),
  )
}

function readUnasked(result: JsonObject, allowed: ReadonlySet<ClientCapability>): InputResponse | undefined {
  const methods: readonly (readonly [InputMethod, JsonObject])[] = [
    ...(allowed.has('elicitation.form') ? [['elicitation/create', {}] as const] : []),
    ...(allowed.has('elicitation.url') ? [['elicitation/create', { mode: 'url' }] as const] : []),
    ...(allowed.has('sampling') ? [['sampling/createMessage', {}] as const] : []),
  ]
  for (const [method, params] of methods) {
    const read = readInputResponse({ method, params }, { kind: 'result', result })
    if (!('problem' in read)) return read
  }
  return undefined
}

/** Answers as a server takes them. It chose the keys: `__proto__` is one like any other. */
export function resultsOf(answers: readonly (readonly [string, InputResponse])[]): JsonObject {
  const results = answers.flatMap(([key, answer]) =>
    answer.kind === 'result' ? [[key, answer.result] as const] : [],
  )
  return Object.fromEntries(results)
}

/** Questions as they are sealed: what is needed to read their answers, and nothing that a server wrote. */
export function sealable(requests: InputRequests): InputRequests {
  return Object.fromEntries(
    Object.entries(requests).map(([key, { method, params }]) => [
      key,
      { method, params: member(params, 'mode') === 'url' ? { mode: 'url' } : {} },
    ]),
  )
}
