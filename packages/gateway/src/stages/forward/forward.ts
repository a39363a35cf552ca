import type { Answer, AnsweredCall, Era, RecordedCall } from '../../call/call.ts'
import type { InputMethod, InputRequests, InputResponses } from '../../call/input.ts'
import { type JsonObject, isJsonObject, member } from '../../call/json.ts'
import type { ReasonCode } from '../../call/reason-code.ts'
import { Refusal } from '../../call/refusal.ts'
import type { Stage } from '../../call/stage.ts'
import { allowedRequests } from '../../mcp/bridge-capabilities.ts'
import { inputResponsesOf, readInputResponse, rootsResponse } from '../../mcp/bridge-responses.ts'
import {
  MAX_INPUT_REQUESTS,
  type InputRequired,
  inputRequiredResult,
  isInputRequired,
  readInputRequired,
  urlElicitationsOf,
} from '../../mcp/mrtr.ts'
import {
  type HostReach,
  type Retry,
  UpstreamFailed,
  type Upstream,
  type UpstreamFault,
} from '../../ports/upstream.ts'
import { askHost } from './ask-host.ts'
import { bindingOf, type RequestStates } from './request-state.ts'

const CODES: Record<UpstreamFault, ReasonCode> = {
  unavailable: 'CG_UPSTREAM_UNAVAILABLE',
  busy: 'CG_UPSTREAM_BUSY',
  timeout: 'CG_UPSTREAM_TIMEOUT',
  protocol: 'CG_UPSTREAM_PROTOCOL',
  too_large: 'CG_UPSTREAM_TOO_LARGE',
  unknown_fate: 'CG_UPSTREAM_UNKNOWN_FATE',
  cancelled: 'CG_CALL_CANCELLED',
}

/** Times that a server may ask before it has answered one call of a legacy host. */
const MAX_ROUNDS = 8

export interface ForwardOptions {
  readonly upstream: Upstream
  readonly states: RequestStates
  /** Client capabilities that a server is told, of those that a host declared. */
  readonly declared: (server: string, host: JsonObject) => JsonObject
  /** The operator's roots of a server, as file URIs; undefined: none are declared to it. */
  readonly roots: (server: string) => readonly string[] | undefined
  /** Level that a legacy host set for its session; undefined: it did not. */
  readonly logLevel: (session: string) => string | undefined
  /** Makes durable that a call exists before its host is asked anything on a server's behalf. */
  readonly recordQuestion: (call: RecordedCall) => Promise<void>
}

/**
 * Row 11: sends the call with the gate's own credentials, and carries a server's questions to the host and back.
 * INVARIANT: takes only a RecordedCall, so no path reaches an upstream without a durable intent.
 */
export function createForwardStage(options: ForwardOptions): Stage<RecordedCall, AnsweredCall> {
  const { upstream, states, roots } = options
  return {
    name: 'forward',
    // The call's own deadline bounds it: a slow tool is not a slow gate.
    budgetMs: Number.POSITIVE_INFINITY,
    async run(call, signal) {
      const reach = reachOf(call)
      try {
        let retry = call.retry === undefined ? undefined : retryOf(call, reach.capabilities)
        for (let round = 0; ; round++) {
          const answer = await send(call, reach, retry, signal)
          const asked = questionsIn(answer, call.era, reach.capabilities)
          if (asked === undefined) return { ...call, answer }
          if (round === MAX_ROUNDS)
            throw new UpstreamFailed('protocol', `the server asks more than ${MAX_ROUNDS} times`)
          const rest = hostsPart(asked.requests, call)
          if (
            call.era === 'modern' &&
            (Object.keys(rest).length > 0 || Object.keys(asked.requests).length === 0)
          )
            return { ...call, answer: asQuestion(call, answer, asked, rest) }
          retry = await answered(call, asked, rest, signal)
        }
      } catch (error) {
        throw refusalOf(error, call, signal)
      }
    },
  }

  function send(
    call: RecordedCall,
    host: HostReach,
    retry: Retry | undefined,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { target } = call
    return upstream.request(
      {
        server: target.server,
        session: call.session.id,
        method: call.method,
        head: target.kind === 'resource' ? { uri: target.name } : { name: target.name },
        argsBytes: target.kind === 'resource' || call.argsBytes.length === 0 ? undefined : call.argsBytes,
        meta: call.meta,
        host,
        paramHeaders: call.schema?.headers?.of(call.args),
        retry,
      },
      signal,
    )
  }

  /** What the server may do to the host of this call. */
  function reachOf(call: RecordedCall): HostReach {
    const { host } = call
    return {
      capabilities: options.declared(call.target.server, host.capabilities),
      logLevel: call.era === 'modern' ? host.logLevel : options.logLevel(call.session.id),
      hearsLogs: call.era === 'legacy',
      onProgress: host.progress,
      onLog: (params) => host.log(params),
      ask: async (requests, signal) => {
        await options.recordQuestion(call)
        return askHost(call, requests, signal)
      },
    }
  }

  /** The host's answers to questions that a modern server asked by a result, and the gate's own about roots. */
  async function answered(
    call: RecordedCall,
    { requests, requestState }: InputRequired,
    rest: InputRequests,
    signal: AbortSignal,
  ): Promise<Retry> {
    const given = Object.keys(rest).length === 0 ? {} : await ask(call, rest, signal)
    const all = inputResponsesOf(requests, { ...given, ...ownAnswers(call, requests) })
    if ('problem' in all) throw new Refusal('CG_HOST_UNREACHABLE', { internal: all.problem })
    return { inputResponses: Buffer.from(JSON.stringify(all.inputResponses)), requestState }
  }

  async function ask(
    call: RecordedCall,
    requests: InputRequests,
    signal: AbortSignal,
  ): Promise<InputResponses> {
    await options.recordQuestion(call)
    return askHost(call, requests, signal)
  }

  /** Roots are the operator's, never the host's: server-filesystem would widen its folders by them. */
  function ownAnswers(
    call: RecordedCall,
    asked: Readonly<Record<string, { readonly method: InputMethod }>>,
  ): InputResponses {
    const uris = roots(call.target.server) ?? []
    return Object.fromEntries(
      Object.entries(asked).flatMap(([key, { method }]) =>
        method === 'roots/list' ? [[key, rootsResponse(uris)]] : [],
      ),
    )
  }

  /** The answer of a modern server that asks, for a modern host: its state is sealed, because it comes back through the host. */
  function asQuestion(call: RecordedCall, answer: Answer, asked: InputRequired, rest: InputRequests): Answer {
    const methods = Object.fromEntries(
      Object.entries(asked.requests).map(([key, { method }]) => [key, method] as const),
    )
    const state = states.seal(
      { upstream: asked.requestState, asked: methods },
      call.session.id,
      bindingOf(call),
    )
    const value = inputRequiredResult(rest, state)
    return { ...answer, value, bytes: Buffer.from(JSON.stringify(value)) }
  }

  /** @throws Refusal CG_WIRE_STATE for a state that this call was not given, CG_WIRE_PARAMS for malformed answers */
  function retryOf(call: RecordedCall, capabilities: JsonObject): Retry | undefined {
    const { retry } = call
    if (retry?.requestState === undefined) return unasked(retry?.responses, capabilities)
    const state = states.open(retry.requestState, call.session.id, bindingOf(call))
    if (state === undefined)
      throw new Refusal('CG_WIRE_STATE', { internal: 'the state does not open for this call' })
    const questions = Object.fromEntries(
      Object.entries(state.asked ?? {}).map(([key, method]) => [key, { method, params: {} }] as const),
    )
    // The server chose the keys: in a map `__proto__` is one like any other.
    const given = new Map<string, JsonObject>()
    for (const [key, question] of Object.entries(questions)) {
      const result = member(retry?.responses ?? {}, key)
      // What nobody asked is left out; what is missing the server asks again.
      if (question.method === 'roots/list' || !isJsonObject(result)) continue
      const read = readInputResponse(question, { kind: 'result', result })
      if ('problem' in read)
        throw new Refusal('CG_WIRE_PARAMS', { publicText: read.problem, internal: read.problem })
      if (read.kind === 'result') given.set(key, read.result)
    }
    for (const [key, own] of Object.entries(ownAnswers(call, questions))) {
      if (own.kind === 'result') given.set(key, own.result)
    }
    const none = retry?.responses === undefined && given.size === 0
    return {
      inputResponses: none ? undefined : Buffer.from(JSON.stringify(Object.fromEntries(given))),
      requestState: state.upstream,
    }
  }
}

/** Answers that came before their questions: a server that may ask may have them, and judges them by itself. */
function unasked(responses: JsonObject | undefined, capabilities: JsonObject): Retry | undefined {
  if (responses === undefined || Object.keys(capabilities).length === 0) return undefined
  const answers = Object.values(responses)
  if (answers.length > MAX_INPUT_REQUESTS || !answers.every(isJsonObject))
    throw new Refusal('CG_WIRE_PARAMS', { publicText: '`inputResponses` holds what is no answer' })
  return { inputResponses: Buffer.from(JSON.stringify(responses)), requestState: undefined }
}

/**
 * The questions that the host gets. One about roots goes to a modern host that declared some, because its protocol lets the
 * server ask; what the host says to it is not passed on, the operator's roots are.
 */
function hostsPart(requests: InputRequests, { era, host }: RecordedCall): InputRequests {
  const asksRoots = era === 'modern' && Object.hasOwn(host.capabilities, 'roots')
  return Object.fromEntries(
    Object.entries(requests).filter(([, { method }]) => method !== 'roots/list' || asksRoots),
  )
}

/**
 * What a result asks instead of being one, undefined when it is complete. Only what was declared to the server may be asked:
 * anything else is an attempt to talk past the gate (elicitation phishing, sampling theft; SECURITY.md 3.1 #21). Any other
 * `resultType` is unknown, and the specification calls that invalid.
 * @throws UpstreamFailed `protocol`
 */
function questionsIn({ kind, value }: Answer, era: Era, capabilities: JsonObject): InputRequired | undefined {
  if (kind === 'error') {
    const visits = urlElicitationsOf(value, allowedRequests(capabilities))
    if (visits === undefined) return undefined
    if ('problem' in visits) throw new UpstreamFailed('protocol', visits.problem)
    // A legacy host knows the error; for a modern one it is a question, and the call is made again after it.
    return era === 'legacy' ? undefined : { requests: visits.requests, requestState: undefined }
  }
  const type = member(value, 'resultType')
  if (type === undefined || type === 'complete') return undefined
  if (!isInputRequired(value))
    throw new UpstreamFailed('protocol', 'the result is of a type that the gate does not know')
  const asked = readInputRequired(value, allowedRequests(capabilities))
  if ('problem' in asked) throw new UpstreamFailed('protocol', asked.problem)
  return asked
}

/** Faults that may come after the server has already done what it was asked. */
const AFTER_THE_FACT: ReadonlySet<UpstreamFault> = new Set<UpstreamFault>([
  'protocol',
  'too_large',
  'timeout',
])

function refusalOf(error: unknown, call: RecordedCall, signal: AbortSignal): unknown {
  if (!(error instanceof UpstreamFailed)) return error
  const ended = signal.reason instanceof Refusal ? signal.reason.code : undefined
  // The gate stopped: a read can be asked again, of anything else nobody knows how far it came.
  if (ended === 'CG_WIRE_DRAINING' && call.class === 'read') return signal.reason
  const fault = ended === 'CG_CALL_DEADLINE' || ended === 'CG_WIRE_DRAINING' ? 'timeout' : error.fault
  // Nobody can say whether a side effect happened: never report it as failed, never retry it.
  const unknown = call.class !== 'read' && AFTER_THE_FACT.has(fault)
  return new Refusal(unknown ? 'CG_UPSTREAM_UNKNOWN_FATE' : CODES[fault], {
    internal: error.message,
    cause: error,
  })
}
