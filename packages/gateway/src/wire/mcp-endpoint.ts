import type { Caller, Endpoint } from '../call/call.ts'
import { Cohort } from '../call/cohort.ts'
import { type JsonObject, stringMember } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import { TASKS_CAPABILITIES } from '../mcp/bridge-capabilities.ts'
import { LEGACY_VERSIONS, META, MODERN_VERSIONS, VERSION_HEADER, eraOf } from '../mcp/era.ts'
import {
  type HostHeaders,
  type HostMessage,
  type HostResponse,
  hostScanOptions,
  isBatch,
  readBatch,
  readHostMessage,
  spokenBy,
} from '../mcp/host-message.ts'
import type { Gate } from '../pipeline/gate.ts'
import type { KeyRing } from '../ports/key-ring.ts'
import type { RequestStates } from '../stages/forward/request-state.ts'
import { createCalls } from './calls.ts'
import { BatchChannels, type Channel, HttpChannel } from './channel.ts'
import { createHostSessions, SESSION_HEADER, type HostSession } from './host-sessions.ts'
import { type Exchange, readBody } from './http-listener.ts'
import { createMethods } from './methods.ts'
import { Questions } from './questions.ts'
import { acceptsJson, presentedBy, one } from './request-headers.ts'
import { createStreams } from './streams.ts'
import { createReplies, refusalOf, type RefusedTurn, type Turn } from './turn.ts'

export interface EndpointOptions {
  readonly gate: Gate
  readonly keys: KeyRing
  readonly states: RequestStates
  /** Public base URL without a trailing slash: the root of audiences and metadata. */
  readonly publicUrl: string
  /** Algorithms of DPoP proofs that are accepted. */
  readonly proofAlgorithms: readonly string[]
  readonly maxRequestBytes: number
  readonly version: string
  readonly now: () => number
  /** True while the gate shuts down. */
  readonly draining: () => boolean
  /** Prompts that a server was seen to offer, so that their wire names can be told apart. */
  readonly learnPrompts: (server: string, names: readonly string[]) => void
  /** The server and bare name of a prompt on the aggregated endpoint. */
  readonly promptOf: (name: string) => { readonly server: string; readonly name: string } | undefined
}

/** A message before it is read, and the headers that say something of it. */
interface Opening {
  readonly channel: Channel
  readonly endpoint: Endpoint
  readonly caller: Caller
  readonly headers: HostHeaders
  readonly rawHeaders: readonly string[]
  readonly sessionId: string | undefined
}

/** Streamable HTTP towards hosts: `/mcp` with prefixed names and `/mcp/<server>` with bare ones, both eras. */
export function createMcpEndpoint(options: EndpointOptions) {
  const { gate, now, states } = options
  const scanOptions = hostScanOptions(options.maxRequestBytes)
  const serverInfo = { name: 'callgate', version: options.version }
  const replies = createReplies({
    publicUrl: options.publicUrl,
    serverInfo,
    proofAlgorithms: options.proofAlgorithms,
    dataOf,
  })
  const questions = new Questions()
  const sessions = createHostSessions(options.keys, now)
  const streams = createStreams(gate, replies, now)
  const methods = createMethods({
    gate,
    replies,
    sessions,
    streams,
    serverInfo,
    learnPrompts: options.learnPrompts,
    promptOf: options.promptOf,
    called: createCalls({ gate, replies, questions, states, now }),
  })

  /** Requests that were read in one turn of the event loop are served together. */
  const arriving = new Cohort()

  /** The endpoint that a path names, undefined when it names none. */
  function endpointOf(path: string): Endpoint | undefined {
    if (path === '/mcp') return { server: undefined, resource: `${options.publicUrl}/mcp` }
    const server = /^\/mcp\/([a-z][a-z0-9-]{0,15})$/.exec(path)?.[1]
    if (server === undefined || gate.server(server) === undefined) return undefined
    return { server, resource: `${options.publicUrl}/mcp/${server}` }
  }

  async function serve(exchange: Exchange, endpoint: Endpoint): Promise<void> {
    const { method, headers } = exchange.request
    const channel = new HttpChannel(exchange)
    const opening = {
      channel,
      endpoint,
      caller: callerOf(exchange, endpoint, undefined),
      headers: {
        protocolVersion: one(headers[VERSION_HEADER]),
        method: one(headers['mcp-method']),
        name: one(headers['mcp-name']),
      },
      rawHeaders: exchange.request.rawHeaders,
      sessionId: one(headers[SESSION_HEADER]),
    }
    try {
      if (options.draining()) throw new Refusal('CG_WIRE_DRAINING', { retryAfterS: 5 })
      if (method === 'POST') return await posted(exchange, opening)
      // Only a legacy session has a stream to open and an end; the modern era answers 405, and so does a host without one.
      const agreed = agreedIn(opening)
      if (agreed === undefined || (method !== 'GET' && method !== 'DELETE'))
        throw new Refusal('CG_WIRE_HTTP_METHOD', { internal: 'GET and DELETE need a legacy session' })
      const caller = { ...opening.caller, session: agreed.session }
      if (method === 'GET') return await streams.opened({ channel, endpoint, caller }, agreed)
      await gate.identify(caller)
      sessions.end(agreed)
      streams.ended(agreed)
      channel.accept()
    } catch (error) {
      refuse(opening, error)
    }
  }

  /** @param body undefined: the request has none, or it is not read yet */
  function callerOf(exchange: Exchange, endpoint: Endpoint, body: Uint8Array | undefined): Caller {
    return {
      peer: exchange.peer,
      ...presentedBy(exchange, endpoint.resource, body),
      endpoint,
      session: undefined,
    }
  }

  /** What the host of a legacy message agreed on. @throws Refusal CG_WIRE_SESSION */
  function agreedIn({ sessionId, endpoint, headers }: Opening): HostSession | undefined {
    if (sessionId === undefined || eraOf(headers.protocolVersion ?? '') === 'modern') return undefined
    return sessions.open(sessionId, endpoint.resource)
  }

  async function posted(exchange: Exchange, begun: Opening): Promise<void> {
    if (!acceptsJson(exchange.request.headers.accept))
      throw new Refusal('CG_WIRE_ACCEPT', { internal: 'the Accept header excludes application/json' })
    const body = await readBody(exchange, options.maxRequestBytes)
    await arriving.turn()
    const opening = { ...begun, caller: callerOf(exchange, begun.endpoint, body) }
    if (!isBatch(body) || !mayBatch(opening)) return handle(opening, body)
    const batch = readBatch(body, scanOptions)
    const channels = new BatchChannels(opening.channel, batch.length)
    for (const message of batch) {
      await handle({ ...opening, channel: channels.one() }, message)
      if (channels.refused) return
    }
  }

  /** Batches are of 2025-03-26 alone, whose hosts send no version header. */
  function mayBatch(opening: Opening): boolean {
    return (opening.headers.protocolVersion ?? agreedIn(opening)?.version ?? BATCHES) === BATCHES
  }

  async function handle(opening: Opening, bytes: Uint8Array): Promise<void> {
    const { channel, endpoint } = opening
    let turn: RefusedTurn = opening
    try {
      const message = readHostMessage(bytes, scanOptions)
      const agreed = hasSession(message) ? agreedIn(opening) : undefined
      const caller = { ...opening.caller, session: agreed?.session }
      if ('response' in message) {
        // Modern hosts have no requests to answer: theirs are the members of a call.
        if (eraOf(opening.headers.protocolVersion ?? '') === 'modern')
          throw new Refusal('CG_WIRE_ENVELOPE', {
            publicText: 'the message is a response; a modern host sends none',
          })
        const { session } = await gate.identify(caller)
        // Late, twice or never asked: nobody waits for it, and the host is owed nothing.
        questions.answer(session.id, message.id, message.response)
        return channel.accept()
      }
      turn = { ...opening, message }
      const spoken = spokenBy(message, opening.headers, agreed?.version)
      const whole: Turn = {
        channel,
        endpoint,
        caller,
        message,
        spoken,
        agreed,
        rawHeaders: opening.rawHeaders,
      }
      turn = whole
      await methods(whole)
    } catch (error) {
      refuse(turn, error)
    }
  }

  function refuse(turn: RefusedTurn, error: unknown): void {
    const peer = turn.caller?.peer
    if (peer !== undefined) gate.count(peer, refusalOf(error).code)
    replies.refuse(turn, error)
  }

  return { endpointOf, serve }
}

const BATCHES = '2025-03-26'

/**
 * The modern era has no sessions: an id beside its metadata is ignored. So is one beside initialize: hosts that keep theirs
 * when a gate has forgotten it would never come back.
 */
function hasSession(message: HostMessage | HostResponse): boolean {
  if ('response' in message) return true
  return message.method !== 'initialize' && !Object.hasOwn(message.meta, META.protocolVersion)
}

/** What 2026-07-28 wants in the data of -32021 and -32022; the version that was asked for only when it could be one. */
function dataOf({ message, headers }: RefusedTurn, refusal: Refusal): JsonObject | undefined {
  if (refusal.code === 'CG_WIRE_CAPABILITY') return { requiredCapabilities: TASKS_CAPABILITIES }
  if (refusal.code !== 'CG_WIRE_VERSION') return undefined
  const requested = stringMember(message?.meta ?? {}, META.protocolVersion) ?? headers?.protocolVersion
  return {
    supported: [...MODERN_VERSIONS, ...LEGACY_VERSIONS],
    ...(requested !== undefined && /^[\w.-]{1,32}$/.test(requested) ? { requested } : {}),
  }
}
