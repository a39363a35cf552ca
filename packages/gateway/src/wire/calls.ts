import type { CallMethod, Continuation, Era, ReceivedCall } from '../call/call.ts'
import { isTicketId } from '../call/authorization.ts'
import { newCallId } from '../call/id.ts'
import type { InputResponses } from '../call/input.ts'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import { META, traceMeta } from '../mcp/era.ts'
import { aggregateResult, aggregateTask } from '../mcp/aggregate-result.ts'
import { declaresTasks } from '../mcp/bridge-capabilities.ts'
import { namedTarget } from '../mcp/host-message.ts'
import { readIdempotencyKey } from '../mcp/idempotency-key.ts'
import { encodeErrorBytes, encodeResult } from '../mcp/jsonrpc.ts'
import { readRetry } from '../mcp/mrtr.ts'
import { isNormalUri } from '../mcp/uri.ts'
import { completeError, completeResult } from '../mcp/result.ts'
import { isTaskMethod } from '../mcp/tasks.ts'
import type { Gate } from '../pipeline/gate.ts'
import type { Ended } from '../pipeline/runner.ts'
import { bindingOf, type RequestStates } from '../stages/forward/request-state.ts'
import { CallLink, type LinkServices, PARKED } from './call-link.ts'
import { TICKET_META } from '../stages/step-up/step-up.ts'
import { traceIdOf } from './request-headers.ts'
import type { Questions } from './questions.ts'
import type { Replies, Request } from './turn.ts'

/** Longest name of a tool or prompt and longest URI of a resource, in UTF-16 units: what is recorded must fit a record. */
const MAX_NAME = 256
const MAX_URI = 4_096
/** Longest id of a task that can be one of ours: sealed text of a server, a tool and an id, in UTF-16 units. */
const MAX_TASK_ID = 8_192

export interface CallsOptions {
  readonly gate: Gate
  readonly replies: Replies
  readonly questions: Questions
  readonly states: RequestStates
  readonly now: () => number
}

/** tools/call, resources/read, prompts/get and what is done with tasks: what runs through the pipeline. */
export function createCalls({ gate, replies, questions, states, now }: CallsOptions) {
  const services: LinkServices = {
    questions,
    states,
    wait: (call, ms) => gate.wait(call, ms),
    gone: (call) => gate.hostGone(call),
  }

  async function called(request: Request, method: CallMethod): Promise<void> {
    const { message, spoken, channel } = request
    if (isTaskMethod(method) && !declaresTasks(capabilitiesOf(request)))
      throw new Refusal('CG_WIRE_CAPABILITY', { internal: 'the host did not declare tasks' })
    const link = new CallLink(request, services, {
      capabilities: capabilitiesOf(request),
      logLevel: spoken.era === 'modern' ? stringMember(message.meta, META.logLevel) : undefined,
      progressToken: progressTokenOf(message.meta),
    })
    const received = receive(request, method, link)
    if (received.retry?.requestState?.startsWith(PARKED) === true)
      return resume(request, received, received.retry)
    // Closing the stream is the modern cancel; a legacy host cancels by message and may just have lost its line.
    if (spoken.era === 'modern') channel.onGone(() => gate.hostGone(received.id))
    const ended = await gate.call(received)
    finish(request, link, ended, method)
  }

  /** The host is back with answers for a call that waits: they go to it, and its answer will come this way. */
  async function resume(request: Request, received: ReceivedCall, retry: Continuation): Promise<void> {
    const { session } = await gate.identify(request.caller)
    const sealed = retry.requestState?.slice(PARKED.length) ?? ''
    const call = states.open(sealed, session.id, bindingOf(received))?.call
    const responses = responsesOf(retry.responses)
    const { channel, id } = request
    const resumed = { channel, id, responses, progressToken: progressTokenOf(request.message.meta) }
    if (call === undefined || !questions.resume(call, session.id, resumed)) {
      throw new Refusal('CG_WIRE_STATE', { internal: 'no call of this session waits under that state' })
    }
  }

  function receive(request: Request, method: CallMethod, host: CallLink): ReceivedCall {
    const { message, spoken, caller, id } = request
    const requested = namedTarget(message)
    const [key, longest] = isTaskMethod(method)
      ? ['taskId', MAX_TASK_ID]
      : method === 'resources/read'
        ? ['uri', MAX_URI]
        : ['name', MAX_NAME]
    if (requested === undefined || requested.length > longest) {
      const what = requested === undefined ? 'is missing' : `is longer than ${longest} characters`
      throw new Refusal('CG_WIRE_PARAMS', { publicText: `\`${key}\` ${what}` })
    }
    if (method === 'resources/read' && !isNormalUri(requested))
      throw new Refusal('CG_WIRE_PARAMS', {
        publicText:
          '`uri` is not in normal form: no dot segments, no needless encoding, no spaces or backslashes, a scheme in lower case',
      })
    // Null is no empty object: what is judged must be what the received bytes say (ARCHITECTURE.md section 5, rule 4).
    const given = isTaskMethod(method) ? undefined : member(message.params, 'arguments')
    if (given !== undefined && !isJsonObject(given)) {
      throw new Refusal('CG_WIRE_PARAMS', { publicText: '`arguments` is not an object' })
    }
    const receivedAt = now()
    return {
      id: newCallId(receivedAt),
      receivedAt,
      caller,
      requestId: id,
      era: spoken.era,
      protocolVersion: spoken.version,
      method,
      requested,
      args: given ?? {},
      // Nothing that a task is asked with is judged as arguments, so nothing goes on as them.
      ...(isTaskMethod(method)
        ? { argsBytes: NO_BYTES, exactNumbers: true }
        : { argsBytes: message.argsBytes, exactNumbers: message.exactNumbers }),
      meta: traceMeta(message.meta),
      ticket: ticketOf(message.meta),
      traceId: traceIdOf(message.meta),
      headers: spoken.era === 'modern' ? request.rawHeaders : [],
      host,
      retry: spoken.era === 'modern' ? retryOf(request, method) : undefined,
      idempotencyKey: method === 'tools/call' ? keyOf(request) : undefined,
    }
  }

  function finish(request: Request, link: CallLink, { outcome, call }: Ended, method: CallMethod): void {
    const { open } = link
    // A host that never came back to its call has nothing that could be answered.
    if (open === undefined) return
    if (outcome.kind === 'answered') {
      const { kind, bytes, value } = outcome.answer
      if (kind === 'error')
        return open.channel.reply(
          errorStatus(request.spoken.era, value),
          encodeErrorBytes(open.id, completeError(bytes, value, request.spoken.era)),
        )
      const { target } = call
      const shown =
        request.endpoint.server === undefined && target !== undefined
          ? ((method === 'tasks/get' ? aggregateTask : aggregateResult)(target.server, bytes, value) ?? bytes)
          : bytes
      return open.channel.reply(
        200,
        encodeResult(open.id, completeResult(shown, value, request.spoken.era, method)),
      )
    }
    // A call that nobody was identified for has no record of its own that could be named.
    const evidence = call.principal === undefined ? undefined : call.id
    const message = { ...request.message, id: open.id }
    replies.refuse({ ...request, message, channel: open.channel }, outcome.refusal, evidence)
  }

  return called
}

/** What the host declared: with each request, or when it initialized. */
export function capabilitiesOf({ message, spoken, agreed }: Request): JsonObject {
  // Extensions came with 2026-07-28: what a legacy host says of them means nothing.
  if (spoken.era === 'legacy') {
    const { extensions: _, ...known } = agreed?.capabilities ?? {}
    return known
  }
  const declared = member(message.meta, META.clientCapabilities)
  return isJsonObject(declared) ? declared : {}
}

const NO_BYTES = new Uint8Array(0)

/** The ticket that a host names for a call. @throws Refusal CG_WIRE_PARAMS */
function ticketOf(meta: JsonObject): string | undefined {
  const ticket = member(meta, TICKET_META)
  if (ticket === undefined) return undefined
  if (typeof ticket === 'string' && isTicketId(ticket)) return ticket
  throw new Refusal('CG_WIRE_PARAMS', {
    publicText: `\`${TICKET_META}\` of \`_meta\` is not the id of a ticket`,
  })
}

function progressTokenOf(meta: JsonObject): string | number | undefined {
  const token = member(meta, 'progressToken')
  return typeof token === 'string' || typeof token === 'number' ? token : undefined
}

/** @throws Refusal CG_WIRE_PARAMS for members that are not what MRTR, or tasks/update, has there */
function retryOf({ message }: Request, method: CallMethod): Continuation | undefined {
  if (method === 'tasks/get' || method === 'tasks/cancel') return undefined
  const read = readRetry(message.params)
  if ('problem' in read) throw new Refusal('CG_WIRE_PARAMS', { publicText: read.problem })
  const { inputResponses, requestState } = read
  if (method === 'tasks/update') {
    if (inputResponses === undefined)
      throw new Refusal('CG_WIRE_PARAMS', { publicText: '`inputResponses` is missing' })
    // A task has no state that its host carries.
    return { responses: inputResponses, requestState: undefined }
  }
  if (requestState === undefined && inputResponses === undefined) return undefined
  return { responses: inputResponses, requestState }
}

/** @throws Refusal CG_WIRE_PARAMS for what is no key, CG_WIRE_HEADER_MISMATCH for two of them */
function keyOf({ rawHeaders, message }: Request): string | undefined {
  const read = readIdempotencyKey(rawHeaders, message.meta)
  if ('key' in read) return read.key
  const code = read.fault === 'differs' ? 'CG_WIRE_HEADER_MISMATCH' : 'CG_WIRE_PARAMS'
  throw new Refusal(code, { publicText: read.problem, internal: read.problem })
}

/** @param given read by readRetry: every answer is an object */
function responsesOf(given: JsonObject = {}): InputResponses {
  return Object.fromEntries(
    Object.entries(given).flatMap(([key, result]) =>
      isJsonObject(result) ? [[key, { kind: 'result', result }]] : [],
    ),
  )
}

/** Errors of 2026-07-28 that are HTTP 400 wherever they come from: headers, capabilities, version. */
const HTTP_400: ReadonlySet<unknown> = new Set([-32020, -32021, -32022])

function errorStatus(era: Era, error: JsonObject): number {
  return era === 'modern' && HTTP_400.has(member(error, 'code')) ? 400 : 200
}
