import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import { META } from '../mcp/era.ts'
import { encodeNotification, encodeResult } from '../mcp/jsonrpc.ts'
import { serverOfWireUri, wireUri } from '../mcp/naming.ts'
import { isNormalUri } from '../mcp/uri.ts'
import type { Gate, Known } from '../pipeline/gate.ts'
import type { Wishes } from '../pipeline/listeners.ts'
import { capabilitiesOf } from './calls.ts'
import type { HttpChannel } from './channel.ts'
import type { HostSession } from './host-sessions.ts'
import type { Replies, Request, Turn } from './turn.ts'

/** Milliseconds between two lines that keep a silent stream alive; proxies often give up after 60 s. */
const KEEP_ALIVE_MS = 20_000

/** Least life of a stream, in milliseconds: a token that ends while it is opened must not make its host ask without a pause. */
const LEAST_MS = 1_000
/** Longest that a timer of Node can wait, in milliseconds: beyond it fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** A GET stream of a legacy session. */
interface Standing {
  end: () => void
}

/** Streams that stay open: GET of the legacy era, subscriptions/listen of the modern one, and what is heard on them. */
export function createStreams(
  gate: Pick<Gate, 'identify' | 'listeners' | 'logs' | 'mayHear' | 'mayReach' | 'server' | 'serversWith'>,
  replies: Replies,
  now: () => number,
) {
  /** GET streams by the legacy session that opened them, the newest last. */
  const ofSession = new Map<string, Standing[]>()

  /** The legacy stream: everything that concerns the session beside its calls. */
  async function opened(
    turn: Pick<Turn, 'endpoint' | 'caller'> & { readonly channel: HttpChannel },
    agreed: HostSession,
  ): Promise<void> {
    const known = await gate.identify(turn.caller)
    if (!turn.channel.streams)
      throw new Refusal('CG_WIRE_ACCEPT', { internal: 'the Accept header excludes text/event-stream' })
    const { channel } = turn
    channel.open()
    const wishes = { tools: true, prompts: true, resources: true, logs: true }
    const standing: Standing = { end: () => undefined }
    const tell = (method: string, params: JsonObject): void => {
      // A message goes to one stream, however many a session has open (2025-11-25, transports).
      if (ofSession.get(agreed.nonce)?.at(-1) === standing) channel.push(encodeNotification(method, params))
    }
    ofSession.set(agreed.nonce, [...(ofSession.get(agreed.nonce) ?? []), standing])
    standing.end = listen(turn, known, wishes, undefined, agreed.capabilities, tell, () => {
      const left = (ofSession.get(agreed.nonce) ?? []).filter((other) => other !== standing)
      if (left.length > 0) ofSession.set(agreed.nonce, left)
      else ofSession.delete(agreed.nonce)
      channel.end()
    })
  }

  /** The host ended its legacy session, and with it what it heard of it. */
  function ended({ nonce }: HostSession): void {
    for (const { end } of ofSession.get(nonce) ?? []) end()
  }

  /** subscriptions/listen (2026-07-28): acknowledged first, then every notification with the id of this request. */
  async function subscribed(request: Request): Promise<void> {
    const known = await gate.identify(request.caller)
    const { channel, id, message, endpoint } = request
    if (!channel.streams)
      throw new Refusal('CG_WIRE_ACCEPT', { internal: 'the Accept header excludes text/event-stream' })
    const filter = member(message.params, 'notifications')
    if (!isJsonObject(filter))
      throw new Refusal('CG_WIRE_PARAMS', { publicText: '`notifications` is not an object' })
    const offered = (capability: string): boolean =>
      gate.serversWith(known, endpoint.server, capability).length > 0
    const wishes = {
      tools: filter['toolsListChanged'] === true,
      prompts: filter['promptsListChanged'] === true && offered('prompts'),
      resources: filter['resourcesListChanged'] === true && offered('resources'),
      logs: false,
    }
    const uris = wantedUris(filter).filter((uri) => reachable(known, endpoint.server, uri) !== undefined)
    const meta = { [META.subscriptionId]: id }
    const tell = (method: string, params: JsonObject): void => {
      channel.push(
        encodeNotification(method, { ...params, _meta: { ...objectOr(params['_meta']), ...meta } }),
      )
    }
    channel.push(
      encodeNotification('notifications/subscriptions/acknowledged', {
        notifications: agreedFilter(wishes, uris),
        _meta: meta,
      }),
      true,
    )
    const resources = new Map<string, string[]>()
    for (const uri of uris) {
      const at = reachable(known, endpoint.server, uri)
      if (at !== undefined) resources.set(at.server, [...(resources.get(at.server) ?? []), at.uri])
    }
    listen(request, known, wishes, resources, capabilitiesOf(request), tell, () =>
      channel.reply(
        200,
        encodeResult(id, Buffer.from(JSON.stringify({ resultType: 'complete', _meta: meta }))),
      ),
    )
  }

  /** resources/subscribe and resources/unsubscribe of the legacy era. */
  async function watched(request: Request, on: boolean): Promise<void> {
    const known = await gate.identify(request.caller)
    const uri = stringMember(request.message.params, 'uri')
    if (uri === undefined) throw new Refusal('CG_WIRE_PARAMS', { publicText: '`uri` is missing' })
    const at = reachable(known, request.endpoint.server, uri)
    if (at === undefined)
      throw new Refusal('CG_POLICY_NO_ALLOW', { internal: 'the resource is not known, or no rule allows it' })
    if (!on) gate.listeners.unwatch(known.session.id, at.server, at.uri)
    else if (!gate.listeners.watch(known.session.id, at.server, at.uri))
      throw new Refusal('CG_WIRE_PARAMS', { publicText: 'this session watches too many resources already' })
    replies.answer(request, {})
  }

  /**
   * Keeps a stream open until its host closes it, the gate ends it, or token or certificate that opened it have ended: a host opens it
   * again with the token that it has by then, and nobody hears longer than he may ask. What policy gives no more is not told.
   * @param finish called once, however it ends
   * @returns ends it
   */
  function listen(
    { channel, endpoint, caller }: Pick<Turn, 'endpoint' | 'channel' | 'caller'>,
    known: Known,
    wishes: Wishes,
    resources: ReadonlyMap<string, readonly string[]> | undefined,
    capabilities: JsonObject,
    tell: (method: string, params: JsonObject) => void,
    finish: () => void,
  ): () => void {
    const alive = setInterval(() => channel.keepAlive(), KEEP_ALIVE_MS).unref()
    const ends = Math.min(known.principal.token.exp, caller.certificate?.notAfter ?? Infinity)
    const leftMs = Math.max(LEAST_MS, ends * 1_000 - now())
    const expiry = setTimeout(() => end(), Math.min(leftMs, MAX_TIMER_MS)).unref()
    let open = true
    const over = (): void => {
      if (!open) return
      open = false
      clearInterval(alive)
      clearTimeout(expiry)
      finish()
    }
    const forget = gate.listeners.open(
      {
        session: known.session.id,
        server: endpoint.server,
        wishes,
        resources,
        capabilities,
        principal: known.principal,
        mayHear: (server) => gate.mayHear(known, server, undefined),
        logs: (server) => gate.logs(known, server),
        tell: (method, params, server) => {
          if (server === undefined || gate.mayHear(known, server, stringMember(params, 'uri')))
            tell(method, shown(endpoint.server, server, params))
        },
      },
      over,
    )
    const end = (): void => {
      forget()
      over()
    }
    channel.onGone(end)
    return end
  }

  /** The server and bare URI of a resource that this caller may read. */
  function reachable(
    known: Known,
    only: string | undefined,
    uri: string,
  ): { server: string; uri: string } | undefined {
    const at = only === undefined ? serverOfWireUri(uri) : { server: only, uri }
    if (at === undefined || !isNormalUri(uri) || gate.server(at.server) === undefined) return undefined
    return gate.mayReach(known, { server: at.server, kind: 'resource', name: at.uri }) ? at : undefined
  }

  return { opened, ended, subscribed, watched }
}

/** Params as the endpoint shows them: URIs of the aggregated one name their server. */
function shown(only: string | undefined, server: string | undefined, params: JsonObject): JsonObject {
  const uri = stringMember(params, 'uri')
  return only !== undefined || server === undefined || uri === undefined
    ? params
    : { ...params, uri: wireUri(server, uri) }
}

function wantedUris(filter: JsonObject): string[] {
  const uris = member(filter, 'resourceSubscriptions')
  return Array.isArray(uris) ? uris.filter((uri) => typeof uri === 'string').slice(0, 1_000) : []
}

function agreedFilter(wishes: Wishes, uris: readonly string[]): JsonObject {
  return {
    ...(wishes.tools ? { toolsListChanged: true } : {}),
    ...(wishes.prompts ? { promptsListChanged: true } : {}),
    ...(wishes.resources ? { resourcesListChanged: true } : {}),
    ...(uris.length === 0 ? {} : { resourceSubscriptions: [...uris] }),
  }
}

function objectOr(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {}
}
