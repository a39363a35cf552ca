import type { Answer, Caller, Principal, ReceivedCall, Session, Target } from '../call/call.ts'
import { type Json, type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import type { ReasonCode } from '../call/reason-code.ts'
import { Refusal } from '../call/refusal.ts'
import type { Catalog, CatalogServer, PinnedTool, UnavailableReason } from '../ports/catalog.ts'
import { type Upstream, UpstreamFailed } from '../ports/upstream.ts'
import type { InFlight } from './in-flight.ts'
import type { Listeners } from './listeners.ts'
import type { LogLevels } from './log-levels.ts'
import type { RefusalCounter } from './refusal-counter.ts'
import type { Ended } from './runner.ts'

/** Who asks, once row 1 has proven it. */
export interface Known {
  readonly principal: Principal
  readonly session: Session
}

/** Whether any allow rule could let a principal reach a target; a condition on args, url or ctx counts as maybe. */
export type MayReach = (principal: Principal, target: Target, tool: PinnedTool | undefined) => boolean

/** Where a list of tools goes on: behind this tool, whether it is still there or not. */
export interface ToolPlace {
  readonly server: string
  readonly name: string
}

/** The methods that list what a server offers beside tools, by which capability, and the member of the result that holds it. */
export const LIST_MEMBERS = {
  'resources/list': { items: 'resources', kind: 'resource', key: 'uri', capability: 'resources' },
  'resources/templates/list': {
    items: 'resourceTemplates',
    kind: 'resource',
    key: 'uriTemplate',
    capability: 'resources',
  },
  'prompts/list': { items: 'prompts', kind: 'prompt', key: 'name', capability: 'prompts' },
} as const

export type ListMethod = keyof typeof LIST_MEMBERS

export interface GateOptions {
  /** Row 1 for messages that are no calls. */
  readonly authenticate: (caller: Caller) => Promise<Known>
  readonly run: (call: ReceivedCall) => Promise<Ended>
  readonly catalog: Catalog
  readonly mayReach: MayReach
  /** Whether policy may give a principal anything of a kind on a server, whatever that offers. */
  readonly mayReachServer: (principal: Principal, server: string, kind: Target['kind']) => boolean
  /** Waits until servers have listed their tools for the first time, have failed to or took too long. */
  readonly found: (servers: readonly string[]) => Promise<void>
  /** Told when a call did not reach its server. */
  readonly lost: (server: string) => void
  readonly upstream: Upstream
  readonly inFlight: InFlight
  readonly refusals: RefusalCounter
  readonly listeners: Listeners
  readonly levels: LogLevels
  /** Client capabilities that a server is told, of those that a host declared. */
  readonly declared: (server: string, host: JsonObject) => JsonObject
  /** What may be shown and sent of what passes beside calls. */
  readonly beside: BesideCalls
  /** Definitions of the gate's own tools, which every endpoint shows. Default: none. */
  readonly ownTools?: readonly JsonObject[]
  /** Longest wait for a server's answer to what is no call, in milliseconds. */
  readonly listTimeoutMs: (server: string) => number
}

/** Rows 7 and 12 for what is no call. @throws Refusal where it could not be screened */
export interface BesideCalls {
  /** Each of several values by itself, in their order. */
  readonly screened: (
    known: Known,
    target: Target,
    direction: 'arguments' | 'results',
    values: readonly Json[],
  ) => Promise<readonly ScreenedValue[]>
  /** Log messages of a server in their order, without what may not be read. */
  readonly logs: (
    known: Known,
    server: string,
  ) => (params: JsonObject, to: (params: JsonObject) => void) => void
}

interface ScreenedValue {
  readonly value: Json
  readonly changed: boolean
  /** Classes that were found and may not pass at all. */
  readonly denied: readonly string[]
}

/** A request of a session that is no call. */
export interface Asked {
  readonly known: Known
  readonly server: string
  readonly method: string
  /** Bare names and URIs. */
  readonly params: JsonObject
  /** What the host declared. */
  readonly capabilities: JsonObject
}

/** A page of a list, with the server's own names. */
export interface Page {
  readonly items: readonly JsonObject[]
  readonly nextCursor: string | undefined
}

const KINDS: readonly Target['kind'][] = ['tool', 'resource', 'prompt']
/** What the capabilities of a server are about; the others concern all of it. */
const KIND_OF: ReadonlyMap<string, Target['kind']> = new Map([
  ['resources', 'resource'],
  ['prompts', 'prompt'],
])

/** What the wire may ask of the gate. */
export type Gate = ReturnType<typeof createGate>

export function createGate(options: GateOptions) {
  const { catalog, mayReach, upstream, inFlight, refusals } = options

  /** Servers of an endpoint by id, so that a list goes on at its place whatever has come or gone meanwhile. */
  function serversOf(server: string | undefined): CatalogServer[] {
    if (server === undefined) return [...catalog.servers()].sort((a, b) => (a.id < b.id ? -1 : 1))
    const only = catalog.server(server)
    return only === undefined ? [] : [only]
  }

  const mayCall = ({ principal }: Known, tool: PinnedTool): boolean =>
    mayReach(principal, { server: tool.server, kind: 'tool', name: tool.name }, tool)

  /** Whether a principal may know of a server: of its tools where they are known, else by what policy says of it. */
  function mayKnow(known: Known, { id, tools }: CatalogServer): boolean {
    if (tools.size === 0) return options.mayReachServer(known.principal, id, 'tool')
    return [...tools.values()].some((tool) => mayCall(known, tool))
  }

  /** Whether policy may give a principal something of a server. Of what it does not, nobody is told, and it is sent nothing. */
  function mayUse(known: Known, server: CatalogServer, kind?: Target['kind']): boolean {
    if (kind === undefined) return KINDS.some((each) => mayUse(known, server, each))
    return kind === 'tool' ? mayKnow(known, server) : options.mayReachServer(known.principal, server.id, kind)
  }

  function mayHear(known: Known, server: string, uri: string | undefined): boolean {
    if (uri !== undefined)
      return mayReach(known.principal, { server, kind: 'resource', name: uri }, undefined)
    const each = catalog.server(server)
    return each !== undefined && mayUse(known, each)
  }

  /** Tools that a principal may call on an endpoint, in one order, judged as they are taken: what is hidden is refused. */
  function* tools(known: Known, server: string | undefined, after?: ToolPlace): Iterable<PinnedTool> {
    for (const each of serversOf(server)) {
      if (after !== undefined && each.id < after.server) continue
      for (const tool of each.tools.values()) {
        if (after?.server === each.id && tool.name <= after.name) continue
        if (mayCall(known, tool)) yield tool
      }
    }
  }

  /**
   * Waits for the servers of an endpoint of which nothing is known yet, each at most its list deadline. Approved tools are
   * known from the start, so nothing waits for their servers; nor does anyone for a server that policy gives him nothing of.
   */
  async function toolsFound(known: Known, server: string | undefined): Promise<void> {
    const unknown = serversOf(server).filter(
      (each) => each.state === 'starting' && each.tools.size === 0 && each.withheld.size === 0,
    )
    const awaited = unknown.filter((each) => mayKnow(known, each))
    if (awaited.length > 0) await options.found(awaited.map(({ id }) => id))
  }

  /** Servers of an endpoint that cannot be asked, as far as the principal may know of them. */
  function unavailable(
    known: Known,
    server: string | undefined,
  ): { readonly server: string; readonly reason: UnavailableReason }[] {
    return serversOf(server).flatMap((each) =>
      each.unavailable !== undefined && mayKnow(known, each)
        ? [{ server: each.id, reason: each.unavailable }]
        : [],
    )
  }

  /** One request of a session to a server that is no call: lists, completion, subscriptions. */
  async function ask(asked: Asked): Promise<Answer> {
    const { known, server, method, params } = asked
    const capabilities = options.declared(server, asked.capabilities)
    try {
      return await upstream.request(
        {
          server,
          session: known.session.id,
          principal: known.principal,
          method,
          head: params,
          argsBytes: undefined,
          meta: {},
          host: {
            capabilities,
            logLevel: undefined,
            hearsLogs: false,
            onProgress: undefined,
            onLog: undefined,
            ask: unreachable,
          },
        },
        AbortSignal.timeout(options.listTimeoutMs(server)),
      )
    } catch (error) {
      if (!(error instanceof UpstreamFailed)) throw error
      const code = error.fault === 'consent' ? 'CG_UPSTREAM_CONSENT' : 'CG_UPSTREAM_UNAVAILABLE'
      throw new Refusal(code, { internal: error.message, cause: error })
    }
  }

  /** One page of a server's resources, templates or prompts, without what the principal may not reach. */
  async function list(
    asked: Omit<Asked, 'method' | 'params'>,
    method: ListMethod,
    cursor?: string,
  ): Promise<Page> {
    const { known, server } = asked
    const { items, kind, key } = LIST_MEMBERS[method]
    const answer = await ask({ ...asked, method, params: cursor === undefined ? {} : { cursor } })
    const listed = member(answer.value, items)
    if (answer.kind === 'error' || !Array.isArray(listed)) {
      throw new Refusal('CG_UPSTREAM_PROTOCOL', {
        internal: `\`${server}\` answered ${method} without \`${items}\``,
      })
    }
    const visible = listed.filter((item): item is JsonObject => {
      const name = isJsonObject(item) ? stringMember(item, key) : undefined
      return name !== undefined && mayReach(known.principal, { server, kind, name }, undefined)
    })
    const screened = await options.beside.screened(known, { server, kind, name: '' }, 'results', visible)
    // What an item is called cannot be changed: the host would ask for what the server does not have.
    const shown = screened.flatMap(({ value, denied }, i) =>
      denied.length === 0 && isJsonObject(value) && member(value, key) === member(visible[i] ?? {}, key)
        ? [value]
        : [],
    )
    return { items: shown, nextCursor: stringMember(answer.value, 'nextCursor') }
  }

  /**
   * Completion of an argument of a prompt or resource template.
   * @param params known members only
   * @returns undefined: the server refused it
   */
  async function complete(asked: Omit<Asked, 'method'>, target: Target): Promise<JsonObject | undefined> {
    const { known } = asked
    const [sent] = await options.beside.screened(known, target, 'arguments', [asked.params])
    if (sent === undefined || sent.denied.length > 0 || !isJsonObject(sent.value))
      throw new Refusal('CG_DLP_ARGUMENT', { internal: `denied in a completion: ${sent?.denied.join(', ')}` })
    const { kind, value } = await ask({ ...asked, params: sent.value, method: 'completion/complete' })
    if (kind === 'error') return undefined
    const completion = member(value, 'completion')
    const values = isJsonObject(completion) ? member(completion, 'values') : undefined
    if (!isJsonObject(completion) || !Array.isArray(values)) {
      throw new Refusal('CG_UPSTREAM_PROTOCOL', {
        internal: `\`${asked.server}\` answered completion/complete without \`values\``,
      })
    }
    const screened = await options.beside.screened(known, target, 'results', values)
    // Nobody wants a placeholder typed in for him.
    const whole = screened.filter(({ changed, denied }) => !changed && denied.length === 0)
    return { completion: { ...completion, values: whole.map((each) => each.value) } }
  }

  return {
    identify: options.authenticate,
    async call(received: ReceivedCall): Promise<Ended> {
      const ended = await options.run(received)
      const { session, target } = ended.call
      if (session !== undefined && target !== undefined) options.listeners.touch(session.id, target.server)
      const { outcome } = ended
      if (
        target !== undefined &&
        outcome.kind !== 'answered' &&
        outcome.refusal.code === 'CG_UPSTREAM_UNAVAILABLE'
      )
        options.lost(target.server)
      return ended
    },
    tools,
    ownTools: options.ownTools ?? [],
    toolsFound,
    unavailable,
    ask,
    complete,
    list,
    logs: options.beside.logs,
    listeners: options.listeners,
    levels: options.levels,
    mayReach: (known: Known, target: Target): boolean => mayReach(known.principal, target, undefined),
    /** Whether a principal may hear a server that speaks by itself, of a resource of its or beside all. */
    mayHear,
    /** Servers of an endpoint, undefined for all, that offer a principal a capability of MCP such as `prompts`. */
    serversWith: (known: Known, server: string | undefined, capability: string): readonly CatalogServer[] =>
      serversOf(server).filter(
        (each) =>
          Object.hasOwn(each.capabilities, capability) && mayUse(known, each, KIND_OF.get(capability)),
      ),
    declared: options.declared,
    server: (id: string): CatalogServer | undefined => catalog.server(id),
    /** The host cancelled by message: the call of its own session with this JSON-RPC id. */
    cancel: (session: string, requestId: string | number): boolean => inFlight.cancel(session, requestId),
    /** The host closed the stream of a call, which in the modern era cancels it. */
    hostGone(callId: string): void {
      inFlight.abort(callId, new Refusal('CG_CALL_CANCELLED', { internal: 'the host closed the stream' }))
    },
    /** Lets a call wait for its host instead of its server; returns what ends that. */
    wait: (callId: string, ms: number): (() => void) => inFlight.wait(callId, ms),
    /** Counts a refusal of row 0 or 1. */
    count: (peer: string, code: ReasonCode): void => refusals.count(peer, code),
  }
}

/** Nobody can be asked in the middle of a list. */
function unreachable(): never {
  throw new Refusal('CG_HOST_UNREACHABLE', { internal: 'only calls may ask their hosts' })
}
