import type { Caller, Principal, ReceivedCall, Session, Target } from '../call/call.ts'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import type { ReasonCode } from '../call/reason-code.ts'
import { Refusal } from '../call/refusal.ts'
import type { Catalog, CatalogServer, PinnedTool } from '../ports/catalog.ts'
import { type Upstream, UpstreamFailed } from '../ports/upstream.ts'
import type { InFlight } from './in-flight.ts'
import type { RefusalCounter } from './refusal-counter.ts'
import type { Ended } from './runner.ts'

/** Who asks, once row 1 has proven it. */
export interface Known {
  readonly principal: Principal
  readonly session: Session
}

/** Whether any allow rule could let a principal reach a target; a condition on args, url or ctx counts as maybe. */
export type MayReach = (principal: Principal, target: Target, tool: PinnedTool | undefined) => boolean

/** The methods that list what a server offers beside tools, and the member of the result that holds the list. */
export const LIST_MEMBERS = {
  'resources/list': { items: 'resources', kind: 'resource', key: 'uri' },
  'resources/templates/list': { items: 'resourceTemplates', kind: 'resource', key: 'uriTemplate' },
  'prompts/list': { items: 'prompts', kind: 'prompt', key: 'name' },
} as const

export type ListMethod = keyof typeof LIST_MEMBERS

export interface GateOptions {
  /** Row 1 for messages that are no calls. */
  readonly authenticate: (caller: Caller) => Promise<Known>
  readonly run: (call: ReceivedCall) => Promise<Ended>
  readonly catalog: Catalog
  readonly mayReach: MayReach
  readonly upstream: Upstream
  readonly inFlight: InFlight
  readonly refusals: RefusalCounter
  readonly listTimeoutMs: number
}

/** What the wire may ask of the gate. */
export type Gate = ReturnType<typeof createGate>

export function createGate(options: GateOptions) {
  const { catalog, mayReach, upstream, inFlight, refusals } = options

  /** Tools that a principal may call on an endpoint, in a stable order: what is hidden here is refused there. */
  function tools(known: Known, server: string | undefined): PinnedTool[] {
    const servers = server === undefined ? catalog.servers() : [catalog.server(server)]
    return servers
      .flatMap((each) => [...(each?.tools.values() ?? [])])
      .filter((tool) =>
        mayReach(known.principal, { server: tool.server, kind: 'tool', name: tool.name }, tool),
      )
  }

  /** One page of a server's resources, templates or prompts, without what the principal may not reach. */
  async function list(
    known: Known,
    server: string,
    method: ListMethod,
    cursor: string | undefined,
  ): Promise<JsonObject> {
    const { items, kind, key } = LIST_MEMBERS[method]
    const signal = AbortSignal.timeout(options.listTimeoutMs)
    try {
      const answer = await upstream.request(
        {
          server,
          session: known.session.id,
          method,
          head: cursor === undefined ? {} : { cursor },
          argsBytes: undefined,
          meta: {},
          onProgress: undefined,
        },
        signal,
      )
      const listed = member(answer.value, items)
      if (answer.kind === 'error' || !Array.isArray(listed)) {
        throw new Refusal('CG_UPSTREAM_PROTOCOL', {
          internal: `\`${server}\` answered ${method} without \`${items}\``,
        })
      }
      const visible = listed.filter((item: unknown) => {
        const name = isJsonObject(item) ? stringMember(item, key) : undefined
        return name !== undefined && mayReach(known.principal, { server, kind, name }, undefined)
      })
      const next = stringMember(answer.value, 'nextCursor')
      return { [items]: visible, ...(next === undefined ? {} : { nextCursor: next }) }
    } catch (error) {
      if (!(error instanceof UpstreamFailed)) throw error
      throw new Refusal('CG_UPSTREAM_UNAVAILABLE', { internal: error.message, cause: error })
    }
  }

  return {
    identify: options.authenticate,
    call: options.run,
    tools,
    list,
    server: (id: string): CatalogServer | undefined => catalog.server(id),
    /** The host cancelled by message: the call of its own session with this JSON-RPC id. */
    cancel: (session: string, requestId: string | number): boolean => inFlight.cancel(session, requestId),
    /** The host closed the stream of a call, which in the modern era cancels it. */
    hostGone(callId: string): void {
      inFlight.abort(callId, new Refusal('CG_CALL_CANCELLED', { internal: 'the host closed the stream' }))
    },
    /** Counts a refusal of row 0 or 1. */
    count: (peer: string, code: ReasonCode): void => refusals.count(peer, code),
  }
}
