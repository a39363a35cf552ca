import { PassingMap } from '../../call/passing-map.ts'
import { isJsonObject, member, type Json, type JsonObject } from '../../call/json.ts'
import { PROGRESS_TOKEN, withoutReservedMeta } from '../../mcp/era.ts'
import type { Message } from '../../mcp/jsonrpc.ts'
import { parseObject, type ConnectContext, type Handshake, type Wish } from './connection.ts'
import { endQuestions, Questions, type OpenCall } from './questions.ts'
import { subscriptionIdOf, type Subscription } from './subscription.ts'

export type { OpenCall } from './questions.ts'

/** What servers of the legacy era tell every listener. */
const TOLD: ReadonlySet<string> = new Set([
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
])

/**
 * What comes from a server beside its answers, on one connection, and who it is for: the call that it belongs to, the
 * listeners of the session, the catalogue. Nothing of it ever leaves the session of its connection.
 */
export class Inbound {
  /** What is in flight on the connection, oldest first. */
  readonly calls = new PassingMap<number, OpenCall>()
  readonly #context: ConnectContext
  readonly #questions: Questions
  readonly #listeners = new Set<Wish['onNotification']>()
  readonly #subscriptions = new Map<number, Subscription>()
  #handshake: Handshake | undefined

  /** @param reply sends the answer to a request of a legacy server; best effort */
  constructor(context: ConnectContext, reply: (bytes: Buffer) => void) {
    this.#context = context
    this.#questions = new Questions(context, this.calls, reply)
  }

  /** From now on the connection speaks what was agreed on. */
  greeted(handshake: Handshake): void {
    this.#handshake = handshake
  }

  /** Whether several messages may come as one array: 2025-03-26 alone has batches. */
  get takesBatches(): boolean {
    return this.#handshake?.protocolVersion === '2025-03-26'
  }

  started(call: OpenCall): void {
    this.calls.set(call.id, call)
  }

  ended(call: OpenCall): void {
    this.calls.delete(call.id)
    endQuestions(call)
  }

  /** Tells a listener what the server says to its session. @returns what ends that */
  join(onNotification: Wish['onNotification']): () => void {
    // A function of its own: the same listener may join twice.
    const listener: Wish['onNotification'] = (method, params) => onNotification(method, params)
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  subscribed(subscription: Subscription): void {
    this.#subscriptions.set(subscription.id, subscription)
  }

  unsubscribed(subscription: Subscription): void {
    this.#subscriptions.delete(subscription.id)
  }

  /**
   * Takes one message that is no answer, and that its stream has counted.
   * @param own the call on whose stream it came; undefined: the stream belongs to none
   */
  receive(message: Exclude<Message, { readonly kind: 'response' }>, own: OpenCall | undefined): void {
    if (message.kind === 'notification') this.#hear(message.method, message.params, own)
    // A modern server asks by a result, and gets no answer to a request of its own (2026-07-28, transports).
    else if (this.#handshake?.era !== 'modern') {
      this.#questions.answer(message, own, this.#handshake?.protocolVersion ?? '')
    }
  }

  #hear(method: string, bytes: Uint8Array | undefined, own: OpenCall | undefined): void {
    const params = bytes === undefined ? {} : parseObject(bytes)
    if (this.#handshake?.era === 'modern') {
      const id = subscriptionIdOf(params)
      if (id !== undefined) {
        const subscription = this.#subscriptions.get(id)
        subscription?.hear(method, plain(params))
        if (subscription === undefined) return
      }
    }
    switch (method) {
      case 'notifications/progress':
        this.#progress(params, own)
        return
      case 'notifications/message':
        this.#log(params, own)
        return
      case 'notifications/cancelled':
        this.#withdrawn(member(params, 'requestId'))
        return
      case 'notifications/tools/list_changed':
        this.#context.onToolsChanged()
    }
    if (TOLD.has(method) && this.#handshake?.era === 'legacy') this.#tell(method, plain(params))
  }

  /** On the stream of a call only its own progress counts; elsewhere the token tells whose it is. */
  #progress(params: JsonObject, own: OpenCall | undefined): void {
    const token = member(params, PROGRESS_TOKEN)
    if (typeof token !== 'number') return
    const call = own ?? this.calls.get(token)
    const onProgress = call?.id === token ? call.host?.onProgress : undefined
    if (onProgress === undefined) return
    const { [PROGRESS_TOKEN]: _, ...rest } = params
    bestEffort(() => onProgress(rest))
  }

  /** A log message names no call: without a stream of a call it is for the youngest one that hears logs, else for the listeners. */
  #log(params: JsonObject, own: OpenCall | undefined): void {
    if (this.#context.shared) return
    let onLog = own?.host?.onLog
    if (own === undefined) for (const call of this.calls.values()) onLog = call.host?.onLog ?? onLog
    const told = plain(params)
    if (onLog === undefined) this.#tell('notifications/message', told)
    else bestEffort(() => onLog?.(told))
  }

  #withdrawn(id: Json | undefined): void {
    if (typeof id !== 'number' && typeof id !== 'string') return
    this.#questions.withdraw(id)
    if (typeof id === 'number') this.#subscriptions.get(id)?.ended()
  }

  #tell(method: string, params: JsonObject): void {
    for (const listener of this.#listeners) bestEffort(() => listener(method, params))
  }
}

/** Params without what the protocol itself put into `_meta`: it belongs to this hop. */
function plain(params: JsonObject): JsonObject {
  const meta = member(params, '_meta')
  if (meta === undefined) return params
  const { _meta: _, ...rest } = params
  const kept = isJsonObject(meta) ? withoutReservedMeta(meta, 'modern') : {}
  return Object.keys(kept).length === 0 ? rest : { ...rest, _meta: kept }
}

/** A host that is gone must not end the server's connection; its calls meet its end by their own signal. */
function bestEffort(tell: () => void): void {
  try {
    tell()
  } catch {
    // Told above.
  }
}
