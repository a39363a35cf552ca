import type { Answer, AnsweredCall, AuthorizedCall, Era, RecordedCall } from '../../call/call.ts'
import type { InputRequests, InputResponses } from '../../call/input.ts'
import { type JsonObject, member } from '../../call/json.ts'
import type { ReasonCode } from '../../call/reason-code.ts'
import { Refusal } from '../../call/refusal.ts'
import type { Stage } from '../../call/stage.ts'
import { allowedRequests } from '../../mcp/bridge-capabilities.ts'
import { inputResponsesOf } from '../../mcp/bridge-responses.ts'
import {
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
import { retryOf, sealable, withoutRoots } from './retry.ts'
import type { TaskIds } from './task-ids.ts'
import { forwardTask, taskAnswer } from './tasks.ts'

const CODES: Record<UpstreamFault, ReasonCode> = {
  unavailable: 'CG_UPSTREAM_UNAVAILABLE',
  busy: 'CG_UPSTREAM_BUSY',
  timeout: 'CG_UPSTREAM_TIMEOUT',
  protocol: 'CG_UPSTREAM_PROTOCOL',
  too_large: 'CG_UPSTREAM_TOO_LARGE',
  unknown_fate: 'CG_UPSTREAM_UNKNOWN_FATE',
  cancelled: 'CG_CALL_CANCELLED',
  consent: 'CG_UPSTREAM_CONSENT',
}

/** Times that a server may ask before it has answered one call of a legacy host. */
export const MAX_ROUNDS = 8

export interface ForwardOptions {
  readonly upstream: Upstream
  readonly states: RequestStates
  readonly taskIds: TaskIds
  /** Client capabilities that a server is told, of those that a host declared. */
  readonly declared: (server: string, host: JsonObject) => JsonObject
  /** The operator's roots of a server, as file URIs; undefined: none are declared to it. */
  readonly roots: (server: string) => readonly string[] | undefined
  /** Level that a legacy host set for its session; undefined: it did not. */
  readonly logLevel: (session: string) => string | undefined
  /** Makes an intent durable. @throws Refusal CG_EVIDENCE_UNAVAILABLE */
  readonly recordIntent: (call: AuthorizedCall) => Promise<void>
}

/**
 * Row 11: sends the call with the gate's own credentials, and carries a server's questions to the host and back.
 * INVARIANT: takes only a RecordedCall, so no path reaches an upstream without a durable intent.
 */
export function createForwardStage(options: ForwardOptions): Stage<RecordedCall, AnsweredCall> {
  const { upstream, states } = options
  return {
    name: 'forward',
    // The call's own deadline bounds it: a slow tool is not a slow gate.
    budgetMs: Number.POSITIVE_INFINITY,
    async run(call, signal) {
      // Row 9 found what the call was answered when it ran: nothing is sent.
      if (typeof call.once === 'object') return { ...call, answer: call.once.answer }
      const reach = reachOf(call)
      const { capabilities } = reach
      const roots = options.roots(call.target.server)
      try {
        if (call.task !== undefined) {
          const send = (method: string, head: JsonObject): Promise<Answer> =>
            sendTask(call, reach, method, head, signal)
          // A poll has no intent of its own, and what the gate says by itself must not be the first that is known of it.
          const intent = (): Promise<void> => options.recordIntent(call)
          const answer = await forwardTask(call, call.task, { capabilities, roots, send, intent })
          return { ...call, answer }
        }
        let retry = call.retry === undefined ? undefined : retryOf(call, { states, roots, capabilities })
        for (let round = 0; ; round++) {
          const answer = await send(call, reach, retry, signal)
          const task = taskAnswer(call, answer, capabilities, options.taskIds)
          if (task !== undefined) return { ...call, answer: task }
          const asked = questionsIn(answer, call.era, capabilities)
          if (asked === undefined) return { ...call, answer }
          if (round === MAX_ROUNDS)
            throw new UpstreamFailed('protocol', `the server asks more than ${MAX_ROUNDS} times`)
          const { own, rest } = withoutRoots(asked.requests, roots)
          // The protocol lets a server ask a modern host that declared roots; what it says to them is not passed on.
          const shown = Object.hasOwn(call.host.capabilities, 'roots') ? asked.requests : rest
          if (call.era === 'modern' && (isEmpty(asked.requests) || !isEmpty(shown)))
            return { ...call, answer: asQuestion(call, answer, asked, shown) }
          const given = isEmpty(rest) ? {} : await reach.ask(rest, signal)
          retry = answered(asked, { ...given, ...own })
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
        principal: call.principal,
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

  function sendTask(
    call: RecordedCall,
    host: HostReach,
    method: string,
    head: JsonObject,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { target, session, principal, meta } = call
    return upstream.request(
      {
        server: target.server,
        session: session.id,
        principal,
        method,
        head,
        argsBytes: undefined,
        meta,
        host,
      },
      signal,
    )
  }

  /** What the server may do to the host of this call. */
  function reachOf(call: RecordedCall): HostReach {
    const { host } = call
    // A read has no intent of its own: what a server asks on its behalf must not be the first that is known of it.
    let intent: Promise<void> | undefined
    return {
      capabilities: options.declared(call.target.server, host.capabilities),
      logLevel: call.era === 'modern' ? host.logLevel : options.logLevel(call.session.id),
      hearsLogs: call.era === 'legacy',
      onProgress: host.progress,
      onLog: (params) => host.log(params),
      ask: async (requests, signal) => {
        if (call.recorded === 'outcome-only') await (intent ??= options.recordIntent(call))
        return askHost(call, requests, signal)
      },
    }
  }

  /** The answer of a modern server that asks, for a modern host: its state is sealed, because it comes back through the host. */
  function asQuestion(
    call: RecordedCall,
    answer: Answer,
    asked: InputRequired,
    shown: InputRequests,
  ): Answer {
    const state = states.seal(
      { upstream: asked.requestState, asked: sealable(asked.requests) },
      call.session.id,
      bindingOf(call),
    )
    const value = inputRequiredResult(shown, state)
    return { ...answer, value, bytes: Buffer.from(JSON.stringify(value)) }
  }
}

/** All answers to the questions that a modern server asked by a result. @throws Refusal CG_HOST_UNREACHABLE */
function answered({ requests, requestState }: InputRequired, responses: InputResponses): Retry {
  const all = inputResponsesOf(requests, responses)
  if ('problem' in all) throw new Refusal('CG_HOST_UNREACHABLE', { internal: all.problem })
  return { inputResponses: Buffer.from(JSON.stringify(all.inputResponses)), requestState }
}

function isEmpty(requests: InputRequests): boolean {
  return Object.keys(requests).length === 0
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

/** Why the gate itself ends calls that their host still waits for: it stops, or their key or token counts no longer. */
const ENDED_BY_GATE: ReadonlySet<ReasonCode | undefined> = new Set<ReasonCode | undefined>([
  'CG_WIRE_DRAINING',
  'CG_IDENTITY_ENROLMENT_ENDED',
  'CG_IDENTITY_REVOKED',
])

function consentText(server: string): string {
  return `this server acts in the name of its user, who has not consented to it or has no longer; the user runs \`callgate consent give ${server}\` on the machine of this host, then repeat the call, which did not run`
}

function refusalOf(error: unknown, call: RecordedCall, signal: AbortSignal): unknown {
  if (!(error instanceof UpstreamFailed)) return error
  const ended = signal.reason instanceof Refusal ? signal.reason.code : undefined
  // A read can be asked again, of anything else nobody knows how far it came.
  if (ENDED_BY_GATE.has(ended) && call.class === 'read') return signal.reason
  const fault = ended === 'CG_CALL_DEADLINE' || ENDED_BY_GATE.has(ended) ? 'timeout' : error.fault
  // Nobody can say whether a side effect happened: never report it as failed, never retry it.
  const unknown = call.class !== 'read' && AFTER_THE_FACT.has(fault)
  return new Refusal(unknown ? 'CG_UPSTREAM_UNKNOWN_FATE' : CODES[fault], {
    internal: error.message,
    cause: error,
    ...(fault === 'consent' ? { publicText: consentText(call.target.server) } : {}),
  })
}
