import { isJsonObject, member, stringMember, type JsonObject } from '../../call/json.ts'
import { META } from '../../mcp/era.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { pause, type ConnectContext, type Handshake, type Wish } from './connection.ts'
import type { Inbound } from './inbound.ts'

/** Member of the filter that each kind of notification needs (2026-07-28, basic/patterns/subscriptions). */
const FILTERED_BY: Readonly<Record<string, string>> = {
  'notifications/tools/list_changed': 'toolsListChanged',
  'notifications/prompts/list_changed': 'promptsListChanged',
  'notifications/resources/list_changed': 'resourcesListChanged',
}
const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged'
const UPDATED = 'notifications/resources/updated'

/** The subscription that a modern notification belongs to; ids are our own counter, so a number. */
export function subscriptionIdOf(params: JsonObject): number | undefined {
  const meta = member(params, '_meta')
  const id = isJsonObject(meta) ? member(meta, META.subscriptionId) : undefined
  return typeof id === 'number' ? id : undefined
}

/** What a modern server can be asked to tell of what a listener wants; undefined: nothing. */
export function filterOf(
  { capabilities }: Pick<Handshake, 'capabilities'>,
  resources: readonly string[],
): JsonObject | undefined {
  const declares = (area: string, what: string): boolean => {
    const declared = member(capabilities, area)
    return isJsonObject(declared) && member(declared, what) === true
  }
  const filter = {
    ...(declares('tools', 'listChanged') ? { toolsListChanged: true } : {}),
    ...(declares('prompts', 'listChanged') ? { promptsListChanged: true } : {}),
    ...(declares('resources', 'listChanged') ? { resourcesListChanged: true } : {}),
    ...(resources.length > 0 && declares('resources', 'subscribe')
      ? { resourceSubscriptions: resources }
      : {}),
  }
  return Object.keys(filter).length === 0 ? undefined : filter
}

/** One `subscriptions/listen` of a modern server, from its acknowledgement on. */
export class Subscription {
  /** JSON-RPC id of the request, which each of its notifications names. */
  readonly id: number
  readonly #filter: JsonObject
  readonly #wish: Wish
  readonly #onTaken: () => void
  readonly #end = new AbortController()
  #taken = false

  constructor(id: number, filter: JsonObject, wish: Wish, onTaken: () => void) {
    this.id = id
    this.#filter = filter
    this.#wish = wish
    this.#onTaken = onTaken
  }

  get taken(): boolean {
    return this.#taken
  }

  /** Aborted once the server has said that it ends the subscription (stdio). */
  get end(): AbortSignal {
    return this.#end.signal
  }

  ended(): void {
    this.#end.abort(new Error('the server ended the subscription'))
  }

  /** Hands on what was asked for, once it is acknowledged; a server that sends anything else is not heard. */
  hear(method: string, params: JsonObject): void {
    if (method === ACKNOWLEDGED) {
      if (!this.#taken) this.#onTaken()
      this.#taken = true
    } else if (this.#taken && this.#wants(method, params)) this.#wish.onNotification(method, params)
  }

  #wants(method: string, params: JsonObject): boolean {
    if (method === UPDATED) {
      return this.#wish.resources.includes(stringMember(params, 'uri') ?? '')
    }
    const key = Object.hasOwn(FILTERED_BY, method) ? FILTERED_BY[method] : undefined
    return key !== undefined && Object.hasOwn(this.#filter, key)
  }
}

/**
 * Holds one subscription open until the signal is aborted or the server ends it.
 * @param send sends the request under the subscription's id; it settles when the stream ends
 * @throws UpstreamFailed `timeout` without an acknowledgement, `protocol` for a refusal, else as `send` does
 */
export async function holdSubscription(
  inbound: Inbound,
  { server, limits }: Pick<ConnectContext, 'server' | 'limits'>,
  subscription: Subscription,
  send: (signal: AbortSignal) => Promise<{ readonly kind: 'result' | 'error' }>,
  signal: AbortSignal,
): Promise<void> {
  const late = new AbortController()
  const settled = new AbortController()
  inbound.subscribed(subscription)
  void pause(limits.connectMs, settled.signal).then(() => {
    if (!subscription.taken && !settled.signal.aborted) {
      late.abort(new DOMException('not acknowledged', 'TimeoutError'))
    }
  })
  try {
    const answer = await send(AbortSignal.any([signal, late.signal, subscription.end]))
    if (answer.kind === 'error' || !subscription.taken) {
      throw new UpstreamFailed('protocol', `server \`${server}\` refused \`subscriptions/listen\``)
    }
  } catch (cause) {
    // The end of a subscription that was taken is no failure: whoever wants to hear more opens another.
    if (!subscription.taken && !signal.aborted) throw cause
  } finally {
    settled.abort()
    inbound.unsubscribed(subscription)
  }
}
