import type { Answer } from '../../call/call.ts'
import { member, type JsonObject } from '../../call/json.ts'
import { encodeOwnRequest, encodeRequest } from '../../mcp/jsonrpc.ts'
import {
  aborted,
  type ConnectContext,
  type Connection,
  type Handshake,
  type Outgoing,
  type Wish,
} from './connection.ts'
import type { Link } from './link.ts'
import { RequestMeta } from './modern.ts'
import { metaOf } from './post.ts'
import { ResourceSubscriptions } from './resource-subscriptions.ts'
import { filterOf, holdSubscription, Subscription } from './subscription.ts'

/** How long a server may take to subscribe a session to one resource, in milliseconds. */
const SETTING_MS = 5_000

/** A server behind a pipe that was greeted. */
export class PipeConnection implements Connection {
  readonly handshake: Handshake
  readonly #link: Link
  readonly #context: ConnectContext
  readonly #meta: RequestMeta
  readonly #resources: ResourceSubscriptions
  #logLevel: string | undefined

  constructor(link: Link, handshake: Handshake, context: ConnectContext) {
    this.handshake = handshake
    this.#link = link
    this.#context = context
    this.#meta = new RequestMeta(context)
    this.#resources = new ResourceSubscriptions(handshake, (method, params) => this.#set(method, params))
    link.inbound.greeted(handshake)
  }

  get alive(): boolean {
    return this.#link.alive
  }

  request(outgoing: Outgoing, signal: AbortSignal): Promise<Answer> {
    const { method, head, argsBytes, meta, host, retry } = outgoing
    const { era } = this.handshake
    const level = host?.logLevel
    if (era === 'legacy' && level !== undefined && level !== this.#logLevel) this.#setLogLevel(level)
    const id = this.#link.nextId()
    const token = host?.onProgress === undefined ? undefined : id
    const own = era === 'modern' ? this.#meta.of(host) : undefined
    const message = encodeRequest(id, method, head, argsBytes, metaOf(meta, era, token, own), retry)
    return this.#link.call(id, message, { method, host, signal })
  }

  listen(wish: Wish, signal: AbortSignal, onTaken: () => void): Promise<void> {
    return this.handshake.era === 'modern'
      ? this.#subscribe(wish, signal, onTaken)
      : this.#join(wish, signal, onTaken)
  }

  close(): Promise<void> {
    return this.#link.close()
  }

  async #join({ resources, onNotification }: Wish, signal: AbortSignal, onTaken: () => void): Promise<void> {
    const leave = this.#link.inbound.join(onNotification)
    const over = aborted(signal, this.#link.gone)
    await Promise.race([this.#resources.add(resources), over])
    onTaken()
    await over
    leave()
    this.#resources.remove(resources)
  }

  async #subscribe(wish: Wish, signal: AbortSignal, onTaken: () => void): Promise<void> {
    const filter = filterOf(this.handshake, wish.resources)
    if (filter === undefined) {
      onTaken()
      await aborted(signal, this.#link.gone)
      return
    }
    const method = 'subscriptions/listen'
    const id = this.#link.nextId()
    const params = { notifications: filter, _meta: this.#meta.of(undefined) }
    await holdSubscription(
      this.#link.inbound,
      this.#context,
      new Subscription(id, filter, wish, onTaken),
      (during) =>
        this.#link.call(id, encodeOwnRequest(id, method, params), {
          method,
          host: undefined,
          signal: during,
        }),
      signal,
    )
  }

  /** The level is the connection's: the server hears of it, before the call, when a call wants another one than the last. */
  #setLogLevel(level: string): void {
    this.#logLevel = level
    if (member(this.handshake.capabilities, 'logging') === undefined) return
    this.#set('logging/setLevel', { level }).catch(() => {
      // A server that refuses it logs as it did; the call itself is what was asked for.
    })
  }

  #set(method: string, params: JsonObject): Promise<Answer> {
    const id = this.#link.nextId()
    const signal = AbortSignal.timeout(SETTING_MS)
    return this.#link.call(id, encodeOwnRequest(id, method, params), { method, host: undefined, signal })
  }
}
