import type { Json, JsonObject } from '../call/json.ts'
import { isJsonObject, member, stringMember } from '../call/json.ts'
import type { CallMethod, Era } from '../call/call.ts'
import { Refusal } from '../call/refusal.ts'
import { TASKS_CAPABILITIES, declaresTasks } from '../mcp/bridge-capabilities.ts'
import { LATEST_LEGACY, LEGACY_VERSIONS, MODERN_VERSIONS, eraOf } from '../mcp/era.ts'
import { isLogLevel } from '../mcp/log-level.ts'
import { serverOfWireUri } from '../mcp/naming.ts'
import { isNormalUri } from '../mcp/uri.ts'
import type { Gate, Known } from '../pipeline/gate.ts'
import { capabilitiesOf } from './calls.ts'
import { SESSION_HEADER, type HostSessions } from './host-sessions.ts'
import { createLists } from './lists.ts'
import type { createStreams } from './streams.ts'
import { createToolList } from './tool-list.ts'
import type { Replies, Request, Turn } from './turn.ts'

export interface MethodsOptions {
  readonly gate: Gate
  readonly replies: Replies
  readonly sessions: HostSessions
  readonly streams: ReturnType<typeof createStreams>
  readonly called: (request: Request, method: CallMethod) => Promise<void>
  readonly serverInfo: JsonObject
  readonly learnPrompts: (server: string, names: readonly string[]) => void
  /** The server and bare name of a prompt on the aggregated endpoint. */
  readonly promptOf: (name: string) => { readonly server: string; readonly name: string } | undefined
}

interface Method {
  /** Undefined: both. */
  readonly era?: Era
  readonly run: (request: Request) => Promise<void> | void
}

/** What each method of MCP comes to. A method that is not listed is refused (playbook Play 7: allow lists, not block lists). */
export function createMethods(options: MethodsOptions) {
  const { gate, replies, streams, called } = options
  const toolList = createToolList(gate)
  const listed = createLists(gate, replies, options.learnPrompts)

  const table: Readonly<Record<string, Method>> = {
    'tools/call': { run: (request) => called(request, 'tools/call') },
    'resources/read': { run: (request) => called(request, 'resources/read') },
    'prompts/get': { run: (request) => called(request, 'prompts/get') },
    'tasks/get': { era: 'modern', run: (request) => called(request, 'tasks/get') },
    'tasks/update': { era: 'modern', run: (request) => called(request, 'tasks/update') },
    'tasks/cancel': { era: 'modern', run: (request) => called(request, 'tasks/cancel') },
    'tools/list': {
      async run(request) {
        const known = await gate.identify(request.caller)
        const cursor = member(request.message.params, 'cursor')
        replies.answer(request, await toolList(known, request.endpoint.server, cursor))
      },
    },
    'resources/list': { run: (request) => listed(request, 'resources/list') },
    'resources/templates/list': { run: (request) => listed(request, 'resources/templates/list') },
    'prompts/list': { run: (request) => listed(request, 'prompts/list') },
    'completion/complete': { run: completed },
    initialize: { era: 'legacy', run: initialized },
    ping: { era: 'legacy', run: acknowledged },
    'logging/setLevel': { era: 'legacy', run: levelSet },
    'resources/subscribe': { era: 'legacy', run: (request) => streams.watched(request, true) },
    'resources/unsubscribe': { era: 'legacy', run: (request) => streams.watched(request, false) },
    'server/discover': { era: 'modern', run: discovered },
    'subscriptions/listen': { era: 'modern', run: (request) => streams.subscribed(request) },
  }

  return async function handle(turn: Turn): Promise<void> {
    const { id, method } = turn.message
    if (id === undefined) return notified(turn)
    const known = Object.hasOwn(table, method) ? table[method] : undefined
    if (known !== undefined && (known.era ?? turn.spoken.era) === turn.spoken.era)
      return known.run({ ...turn, id })
    await gate.identify(turn.caller)
    throw new Refusal('CG_WIRE_METHOD', { internal: 'the method is not served here' })
  }

  /** Notifications are taken and answered with 202; only a cancel means something to the gate. */
  async function notified({ caller, message, channel }: Turn): Promise<void> {
    const known = await gate.identify(caller)
    if (message.method === 'notifications/cancelled') {
      const requestId = member(message.params, 'requestId')
      if (typeof requestId === 'string' || typeof requestId === 'number')
        gate.cancel(known.session.id, requestId)
    }
    channel.accept()
  }

  async function initialized(request: Request): Promise<void> {
    const { params } = request.message
    // Its session id travels in a header, and nothing else is possible before it (2025-03-26, lifecycle).
    if (request.channel.place !== undefined)
      throw new Refusal('CG_WIRE_ENVELOPE', { publicText: '`initialize` stands in a batch; send it alone' })
    const known = await gate.identify({ ...request.caller, session: undefined })
    const asked = stringMember(params, 'protocolVersion')
    if (asked === undefined)
      throw new Refusal('CG_WIRE_PARAMS', { publicText: '`protocolVersion` is missing' })
    const capabilities = member(params, 'capabilities') ?? {}
    if (!isJsonObject(capabilities))
      throw new Refusal('CG_WIRE_PARAMS', { publicText: '`capabilities` is not an object' })
    // Hosts drop a server that answers with another version than theirs (PROTOCOL.md section 5).
    const protocolVersion = eraOf(asked) === 'legacy' ? asked : LATEST_LEGACY
    const sealed = options.sessions.issue(
      { session: known.session.id, version: protocolVersion, capabilities },
      request.endpoint.resource,
    )
    const result = {
      protocolVersion,
      capabilities: offered(known, request),
      serverInfo: options.serverInfo,
    }
    replies.answer(request, result, [SESSION_HEADER, sealed])
  }

  async function discovered(request: Request): Promise<void> {
    const known = await gate.identify(request.caller)
    replies.answer(request, {
      supportedVersions: [...MODERN_VERSIONS, ...LEGACY_VERSIONS],
      capabilities: {
        ...offered(known, request),
        ...(offersTasks(known, request) ? TASKS_CAPABILITIES : {}),
      },
      serverInfo: options.serverInfo,
    })
  }

  async function acknowledged(request: Request): Promise<void> {
    await gate.identify(request.caller)
    replies.answer(request, {})
  }

  /** What the servers of an endpoint offer a principal, as far as the gate passes it on. */
  function offered(known: Known, { endpoint }: Request): JsonObject {
    const any = (capability: string): boolean =>
      gate.serversWith(known, endpoint.server, capability).length > 0
    return {
      tools: { listChanged: true },
      ...(any('resources') ? { resources: { subscribe: true, listChanged: true } } : {}),
      ...(any('prompts') ? { prompts: { listChanged: true } } : {}),
      ...(any('completions') ? { completions: {} } : {}),
      ...(any('logging') ? { logging: {} } : {}),
    }
  }

  /** Whether a server of an endpoint may answer a call by a task, when its host declares that. */
  function offersTasks(known: Known, { endpoint }: Request): boolean {
    return gate
      .serversWith(known, endpoint.server, 'extensions')
      .some(({ id }) => declaresTasks(gate.declared(id, TASKS_CAPABILITIES)))
  }

  /** Completion of an argument of a prompt or resource template that the caller may reach. */
  async function completed(request: Request): Promise<void> {
    const known = await gate.identify(request.caller)
    const { params } = request.message
    const ref = member(params, 'ref')
    const at = isJsonObject(ref) ? referred(request, ref) : undefined
    if (at === undefined) throw new Refusal('CG_WIRE_PARAMS', { publicText: '`ref` names nothing here' })
    const { server, kind, name } = at
    if (!gate.mayReach(known, { server, kind, name }))
      throw new Refusal('CG_POLICY_NO_ALLOW', { internal: `no rule allows the ${kind} that is completed` })
    const completion = await gate.complete(
      {
        known,
        server,
        capabilities: capabilitiesOf(request),
        params: {
          ref: kind === 'prompt' ? { type: 'ref/prompt', name } : { type: 'ref/resource', uri: name },
          ...completing(params),
        },
      },
      { server, kind, name },
    )
    if (completion === undefined)
      throw new Refusal('CG_WIRE_PARAMS', { publicText: 'the server refused the completion' })
    replies.answer(request, completion)
  }

  function referred(
    { endpoint }: Request,
    ref: JsonObject,
  ): { readonly server: string; readonly kind: 'prompt' | 'resource'; readonly name: string } | undefined {
    const prompt = member(ref, 'type') === 'ref/prompt'
    const name = stringMember(ref, prompt ? 'name' : 'uri')
    if (name === undefined || (!prompt && !isNormalUri(name))) return undefined
    const kind = prompt ? 'prompt' : 'resource'
    if (endpoint.server !== undefined) return { server: endpoint.server, kind, name }
    if (prompt) {
      const found = options.promptOf(name)
      return found === undefined ? undefined : { ...found, kind }
    }
    const found = serverOfWireUri(name)
    return found === undefined || gate.server(found.server) === undefined
      ? undefined
      : { server: found.server, kind, name: found.uri }
  }

  /** Sets the level of every server of the endpoint that logs; one that fails keeps its own. */
  async function levelSet(request: Request): Promise<void> {
    const known = await gate.identify(request.caller)
    const level = stringMember(request.message.params, 'level')
    if (level === undefined || !isLogLevel(level))
      throw new Refusal('CG_WIRE_PARAMS', { publicText: '`level` is none of RFC 5424' })
    gate.levels.set(known.session.id, level)
    const capabilities = capabilitiesOf(request)
    await Promise.allSettled(
      gate
        .serversWith(known, request.endpoint.server, 'logging')
        .map(({ id }) =>
          gate.ask({ known, server: id, method: 'logging/setLevel', params: { level }, capabilities }),
        ),
    )
    replies.answer(request, {})
  }
}

/** Longest text that is completed, and that its context holds, in UTF-16 units; a completion is asked while somebody types. */
const MAX_COMPLETED = 4_096

/**
 * What is completed, known members only: it goes to a server without a record of its own, so it is no place for more.
 * @throws Refusal CG_WIRE_PARAMS
 */
function completing(params: JsonObject): JsonObject {
  const argument = textsOf(member(params, 'argument'), ['name', 'value'])
  const context = member(params, 'context')
  const given = isJsonObject(context) ? member(context, 'arguments') : undefined
  const known = given === undefined ? {} : textsOf(given)
  if (argument?.['name'] === undefined || argument['value'] === undefined || known === undefined)
    throw new Refusal('CG_WIRE_PARAMS', {
      publicText: `\`argument\` needs a name and a value, and the arguments of \`context\` are texts, of at most ${MAX_COMPLETED} characters`,
    })
  return { argument, ...(given === undefined ? {} : { context: { arguments: known } }) }
}

/** Members that are texts; undefined when one is none, or when they are too long. */
function textsOf(value: Json | undefined, names?: readonly string[]): Record<string, string> | undefined {
  if (!isJsonObject(value)) return undefined
  const texts: [string, string][] = []
  let length = 0
  for (const [name, text] of Object.entries(value)) {
    if (names?.includes(name) === false) continue
    if (typeof text !== 'string') return undefined
    length += name.length + text.length
    texts.push([name, text])
  }
  return length > MAX_COMPLETED ? undefined : Object.fromEntries(texts)
}
