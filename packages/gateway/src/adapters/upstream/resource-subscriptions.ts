import { isJsonObject, member, type JsonObject } from '../../call/json.ts'
import type { Handshake } from './connection.ts'

/** Sends one request that has no answer but its success. */
type Send = (method: string, params: JsonObject) => Promise<unknown>

/**
 * The resources that a legacy server was asked to watch on one connection. Listeners come and go, often one in place of another,
 * so wishes are counted, and one step at a time brings the server to what is wished by then.
 */
export class ResourceSubscriptions {
  readonly #send: Send
  readonly #offered: boolean
  readonly #wished = new Map<string, number>()
  readonly #subscribed = new Set<string>()
  #working: Promise<void> | undefined

  constructor({ capabilities }: Pick<Handshake, 'capabilities'>, send: Send) {
    const resources = member(capabilities, 'resources')
    this.#offered = isJsonObject(resources) && member(resources, 'subscribe') === true
    this.#send = send
  }

  /** Wishes for some resources. Resolves once the server was asked; one that it refuses is not heard, and nobody else hurt by it. */
  async add(uris: readonly string[]): Promise<void> {
    if (!this.#offered) return
    for (const uri of uris) this.#wished.set(uri, (this.#wished.get(uri) ?? 0) + 1)
    await this.#work()
  }

  /** Takes the wish back. */
  remove(uris: readonly string[]): void {
    if (!this.#offered) return
    for (const uri of uris) {
      const left = (this.#wished.get(uri) ?? 0) - 1
      if (left > 0) this.#wished.set(uri, left)
      else this.#wished.delete(uri)
    }
    void this.#work()
  }

  #work(): Promise<void> {
    this.#working ??= this.#settle()
    return this.#working
  }

  async #settle(): Promise<void> {
    // Behind whoever takes a wish back and brings another in the same turn: the server hears of neither.
    await Promise.resolve()
    for (;;) {
      const unwanted = [...this.#subscribed].find((uri) => !this.#wished.has(uri))
      const wanted = [...this.#wished.keys()].find((uri) => !this.#subscribed.has(uri))
      const uri = unwanted ?? wanted
      if (uri === undefined) {
        this.#working = undefined
        return
      }
      if (unwanted === undefined) this.#subscribed.add(uri)
      else this.#subscribed.delete(uri)
      try {
        await this.#send(unwanted === undefined ? 'resources/subscribe' : 'resources/unsubscribe', { uri })
      } catch {
        // The connection's own end tells the listeners; a refusal concerns this resource alone.
      }
    }
  }
}
