import type { Caller, CallMethod, Endpoint, ReceivedCall } from '../call/call.ts'
import { newCallId } from '../call/id.ts'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import {
  LATEST_LEGACY,
  LEGACY_VERSIONS,
  META,
  MODERN_VERSIONS,
  VERSION_HEADER,
  eraOf,
  traceMeta,
} from '../mcp/era.ts'
import {
  type HostMessage,
  MessageRefused,
  type Spoken,
  hostScanOptions,
  namedTarget,
  readHostMessage,
  spokenBy,
} from '../mcp/host-message.ts'
import { encodeError, encodeErrorBytes, encodeResult } from '../mcp/jsonrpc.ts'
import { completeResult } from '../mcp/result.ts'
import { type Gate, type Known, LIST_MEMBERS, type ListMethod } from '../pipeline/gate.ts'
import type { Ended } from '../pipeline/runner.ts'
import { type Exchange, readBody, send } from './http-listener.ts'
import { type RefusedContext, refusalToWire } from './refusal-to-wire.ts'
import { reply, sendProgress } from './reply.ts'
import { acceptsEvents, acceptsJson, bearer, one, traceIdOf } from './request-headers.ts'
import { createToolList } from './tool-list.ts'

const PROBLEM_TYPE = ['Content-Type', 'application/problem+json']
const NOTHING = Buffer.alloc(0)
/** Longest name of a tool or prompt and longest URI of a resource, in UTF-16 units: what is recorded must fit a record. */
const MAX_NAME = 256
const MAX_URI = 4_096
/** How long a host may keep a list, in milliseconds (ARCHITECTURE.md section 2: at most 5,000). */
const LIST_TTL_MS = 5_000

export interface EndpointOptions {
  readonly gate: Gate
  /** Public base URL without a trailing slash: the root of audiences and metadata. */
  readonly publicUrl: string
  readonly maxRequestBytes: number
  readonly version: string
  readonly now: () => number
  /** True while the gate shuts down. */
  readonly draining: () => boolean
}

/** One message of a host on its way through row 0. */
interface Turn {
  readonly exchange: Exchange
  readonly endpoint: Endpoint
  readonly caller: Caller
  message: HostMessage | undefined
  spoken: Spoken | undefined
}

/** Streamable HTTP towards hosts: `/mcp` with prefixed names and `/mcp/<server>` with bare ones, both eras. */
export function createMcpEndpoint(options: EndpointOptions) {
  const { gate, now } = options
  const scanOptions = hostScanOptions(options.maxRequestBytes)
  const toolList = createToolList(gate)
  const serverInfo = { name: 'callgate', version: options.version }

  /** The endpoint that a path names, undefined when it names none. */
  function endpointOf(path: string): Endpoint | undefined {
    if (path === '/mcp') return { server: undefined, resource: `${options.publicUrl}/mcp` }
    const server = /^\/mcp\/([a-z][a-z0-9-]{0,15})$/.exec(path)?.[1]
    if (server === undefined || gate.server(server) === undefined) return undefined
    return { server, resource: `${options.publicUrl}/mcp/${server}` }
  }

  async function serve(exchange: Exchange, endpoint: Endpoint): Promise<void> {
    const token = bearer(exchange)
    const turn: Turn = {
      exchange,
      endpoint,
      caller: { peer: exchange.peer, token, endpoint },
      message: undefined,
      spoken: undefined,
    }
    try {
      if (options.draining()) throw new Refusal('CG_WIRE_DRAINING', { retryAfterS: 5 })
      if (exchange.request.method !== 'POST') {
        // No stream and no session to end: both eras allow 405 here.
        throw new Refusal('CG_WIRE_HTTP_METHOD', { internal: 'only POST is served' })
      }
      if (!acceptsJson(exchange.request.headers.accept)) {
        throw new Refusal('CG_WIRE_ACCEPT', { internal: 'the Accept header excludes application/json' })
      }
      const body = await readBody(exchange, options.maxRequestBytes)
      turn.message = readHostMessage(body, scanOptions)
      const { headers } = exchange.request
      turn.spoken = spokenBy(turn.message, {
        protocolVersion: one(headers['mcp-protocol-version']),
        method: one(headers['mcp-method']),
        name: one(headers['mcp-name']),
      })
      await dispatch(turn, turn.message, turn.spoken)
    } catch (error) {
      refuse(turn, error)
    }
  }

  async function dispatch(turn: Turn, message: HostMessage, spoken: Spoken): Promise<void> {
    if (message.id === undefined) return notified(turn, message)
    const { id, method } = message
    switch (method) {
      case 'tools/call':
      case 'resources/read':
      case 'prompts/get':
        if (method !== 'tools/call' && turn.endpoint.server === undefined) break
        return called(turn, message, spoken, method, id)
      case 'tools/list': {
        const known = await gate.identify(turn.caller)
        return answer(turn, id, spoken, method, { tools: toolList(known, turn.endpoint.server) })
      }
      case 'resources/list':
      case 'resources/templates/list':
      case 'prompts/list':
        if (turn.endpoint.server === undefined) break
        return listed(turn, turn.endpoint.server, message, spoken, method, id)
      case 'initialize':
        if (spoken.era === 'modern') break
        return initialized(turn, message, spoken, id)
      case 'server/discover':
        if (spoken.era === 'legacy') break
        await gate.identify(turn.caller)
        return answer(turn, id, spoken, method, {
          supportedVersions: [...MODERN_VERSIONS],
          capabilities: capabilities(turn.endpoint),
          serverInfo,
        })
      case 'ping':
        if (spoken.era === 'modern') break
        await gate.identify(turn.caller)
        return answer(turn, id, spoken, method, {})
      default:
    }
    await gate.identify(turn.caller)
    throw new Refusal('CG_WIRE_METHOD', { internal: 'the method is not served here' })
  }

  /** Notifications are taken and answered with 202; only a cancel means something to the gate. */
  async function notified(turn: Turn, message: HostMessage): Promise<void> {
    const known = await gate.identify(turn.caller)
    if (message.method === 'notifications/cancelled') {
      const requestId = member(message.params, 'requestId')
      if (typeof requestId === 'string' || typeof requestId === 'number')
        gate.cancel(known.session.id, requestId)
    }
    send(turn.exchange, 202, [], NOTHING)
  }

  async function initialized(
    turn: Turn,
    message: HostMessage,
    spoken: Spoken,
    id: string | number,
  ): Promise<void> {
    await gate.identify(turn.caller)
    const asked = stringMember(message.params, 'protocolVersion')
    if (asked === undefined)
      throw new Refusal('CG_WIRE_PARAMS', { publicText: '`protocolVersion` is missing' })
    // Hosts drop a server that answers with another version than theirs (PROTOCOL.md section 5).
    const protocolVersion = eraOf(asked) === 'legacy' ? asked : LATEST_LEGACY
    return answer(turn, id, spoken, message.method, {
      protocolVersion,
      capabilities: capabilities(turn.endpoint),
      serverInfo,
    })
  }

  function capabilities(endpoint: Endpoint): JsonObject {
    const offered = endpoint.server === undefined ? {} : (gate.server(endpoint.server)?.capabilities ?? {})
    return {
      tools: {},
      ...(Object.hasOwn(offered, 'resources') ? { resources: {} } : {}),
      ...(Object.hasOwn(offered, 'prompts') ? { prompts: {} } : {}),
    }
  }

  async function listed(
    turn: Turn,
    server: string,
    message: HostMessage,
    spoken: Spoken,
    method: ListMethod,
    id: string | number,
  ): Promise<void> {
    const known: Known = await gate.identify(turn.caller)
    const offered = gate.server(server)?.capabilities ?? {}
    const { kind, items } = LIST_MEMBERS[method]
    // Some hosts ask without looking at the capabilities: an empty list keeps them calm.
    const result = Object.hasOwn(offered, `${kind}s`)
      ? await gate.list(known, server, method, stringMember(message.params, 'cursor'))
      : { [items]: [] }
    return answer(turn, id, spoken, method, result)
  }

  async function called(
    turn: Turn,
    message: HostMessage,
    spoken: Spoken,
    method: CallMethod,
    id: string | number,
  ): Promise<void> {
    const { exchange } = turn
    const requested = namedTarget(message)
    const [key, longest] = method === 'resources/read' ? ['uri', MAX_URI] : ['name', MAX_NAME]
    if (requested === undefined || requested.length > longest) {
      const what = requested === undefined ? 'is missing' : `is longer than ${longest} characters`
      throw new Refusal('CG_WIRE_PARAMS', { publicText: `\`${key}\` ${what}` })
    }
    // Null is no empty object: what is judged must be what the received bytes say (ARCHITECTURE.md section 5, rule 4).
    const given = member(message.params, 'arguments')
    if (given !== undefined && !isJsonObject(given)) {
      throw new Refusal('CG_WIRE_PARAMS', { publicText: '`arguments` is not an object' })
    }
    const args: JsonObject = given ?? {}
    const receivedAt = now()
    const progressToken = member(message.meta, 'progressToken')
    const received: ReceivedCall = {
      id: newCallId(receivedAt),
      receivedAt,
      caller: turn.caller,
      requestId: id,
      era: spoken.era,
      protocolVersion: spoken.version,
      method,
      requested,
      args,
      argsBytes: message.argsBytes,
      exactNumbers: message.exactNumbers,
      meta: traceMeta(message.meta),
      traceId: traceIdOf(message.meta),
      onProgress:
        (typeof progressToken === 'string' || typeof progressToken === 'number') && acceptsEvents(exchange)
          ? (params) => sendProgress(exchange, { ...params, progressToken })
          : undefined,
    }
    if (spoken.era === 'modern') {
      // Closing the stream is the modern cancel; a legacy host cancels by message and may just have lost its line.
      exchange.response.once('close', () => {
        if (!exchange.response.writableEnded) gate.hostGone(received.id)
      })
    }
    const ended = await gate.call(received)
    finish(turn, ended, id, spoken, method)
  }

  function finish(turn: Turn, ended: Ended, id: string | number, spoken: Spoken, method: CallMethod): void {
    const { outcome, call } = ended
    if (outcome.kind === 'answered') {
      const { answer: said } = outcome
      const body =
        said.kind === 'result'
          ? encodeResult(id, completeResult(said.bytes, said.value, spoken.era, method))
          : encodeErrorBytes(id, said.bytes)
      return reply(turn.exchange, 200, body)
    }
    // A call that nobody was identified for has no record of its own that could be named.
    refuseWith(turn, outcome.refusal, { evidence: call.principal === undefined ? undefined : call.id })
  }

  function answer(turn: Turn, id: string | number, spoken: Spoken, method: string, result: JsonObject): void {
    const bytes = Buffer.from(
      JSON.stringify(spoken.era === 'modern' ? { ...modernFrame(method), ...result } : result),
    )
    reply(turn.exchange, 200, encodeResult(id, bytes))
  }

  /** What every modern result of the gate itself says; lists are filtered a caller, so nobody may share them. */
  function modernFrame(method: string): JsonObject {
    const cached = method.endsWith('list') || method === 'server/discover'
    return {
      resultType: 'complete',
      ...(cached ? { ttlMs: LIST_TTL_MS, cacheScope: 'private' } : {}),
      _meta: { [META.serverInfo]: serverInfo },
    }
  }

  function refuse(turn: Turn, error: unknown): void {
    const refusal =
      error instanceof MessageRefused
        ? error.refusal
        : error instanceof Refusal
          ? error
          : new Refusal('CG_STAGE_FAILED', { internal: String(error), cause: error })
    gate.count(turn.exchange.peer, refusal.code)
    refuseWith(turn, refusal, { id: error instanceof MessageRefused ? error.id : undefined })
  }

  function refuseWith(
    turn: Turn,
    refusal: Refusal,
    about: { readonly evidence?: string | undefined; readonly id?: string | number | undefined },
  ): void {
    const { exchange, message, spoken } = turn
    const id = message?.id ?? about.id ?? null
    const context: RefusedContext = {
      method: message?.method,
      era: spoken?.era,
      evidence: about.evidence,
      resourceMetadata: `${options.publicUrl}/.well-known/oauth-protected-resource${turn.endpoint.server === undefined ? '/mcp' : `/mcp/${turn.endpoint.server}`}`,
      ...(refusal.code === 'CG_WIRE_VERSION' ? { data: versions(turn) } : {}),
    }
    const wire = refusalToWire(refusal, context)
    if (wire.shape === 'http') {
      const allow = wire.status === 405 ? ['Allow', 'POST'] : []
      return send(
        exchange,
        wire.status,
        [...PROBLEM_TYPE, ...wire.headers, ...allow],
        Buffer.from(JSON.stringify(wire.problem)),
      )
    }
    if (wire.shape === 'error')
      return reply(exchange, wire.status, encodeError(id, wire.code, wire.message, wire.data))
    const result = {
      ...(spoken?.era === 'modern' ? modernFrame('tools/call') : {}),
      content: [{ type: 'text', text: wire.text }],
      isError: true,
    }
    reply(exchange, 200, encodeResult(id ?? '', Buffer.from(JSON.stringify(result))))
  }

  return { endpointOf, serve }
}

/** What 2026-07-28 wants in the data of -32022; the version that was asked for only when it could be one. */
function versions({ exchange, message }: Turn): JsonObject {
  const claimed = stringMember(message?.meta ?? {}, META.protocolVersion)
  const requested = claimed ?? one(exchange.request.headers[VERSION_HEADER])
  return {
    supported: [...MODERN_VERSIONS, ...LEGACY_VERSIONS],
    ...(requested !== undefined && /^[\w.-]{1,32}$/.test(requested) ? { requested } : {}),
  }
}
