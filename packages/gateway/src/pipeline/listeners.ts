import type { Principal } from '../call/call.ts'
import { stringMember, type JsonObject } from '../call/json.ts'
import type { CatalogServer } from '../ports/catalog.ts'
import type { Upstream } from '../ports/upstream.ts'

/** Which notifications a host wants on a stream. */
export interface Wishes {
  readonly tools: boolean
  readonly prompts: boolean
  readonly resources: boolean
  readonly logs: boolean
}

/** A stream of a host that stays open. */
export interface Listener {
  readonly session: string
  readonly principal: Principal
  /** Undefined: all servers, each from the first call on that the session made to it. */
  readonly server: string | undefined
  readonly wishes: Wishes
  /** Resources that this stream watches, by server; undefined: those that its session subscribed to. */
  readonly resources?: ReadonlyMap<string, readonly string[]> | undefined
  /** What the host declared. */
  readonly capabilities: JsonObject
  /** Whether policy lets this stream hear a server: to the others nothing is even opened. */
  readonly mayHear: (server: string) => boolean
  /** Log messages of a server, without what may not be read: made once for each server that is heard. */
  readonly logs: (server: string) => (params: JsonObject, to: (params: JsonObject) => void) => void
  /** Told each notification with the server's own names; no server: the gate says it. */
  readonly tell: (method: string, params: JsonObject, server: string | undefined) => void
}

/** Streams of one session at once; a host that opens more loses the oldest. */
const MAX_STREAMS = 8
/** Resources that one session may watch. */
const MAX_WATCHED = 1_000
/** Sessions that may watch something; beyond it the oldest is forgotten. */
const MAX_WATCHING = 10_000

interface Stream {
  readonly listener: Listener
  readonly stop: () => void
  /** By server: ends what is heard of it. */
  readonly heard: Map<string, AbortController>
}

export interface ListenersOptions {
  readonly upstream: Pick<Upstream, 'listen'>
  readonly server: (id: string) => CatalogServer | undefined
  /** Client capabilities that a server is told, of those that a host declared. */
  readonly declared: (server: string, host: JsonObject) => JsonObject
}

/**
 * Who wants to hear what beside the answers to calls. Changes of tools are the gate's own news: hosts see pinned
 * definitions, so what a server says of its tools reaches them only once the catalogue has changed.
 */
export class Listeners {
  readonly #options: ListenersOptions
  readonly #streams = new Map<string, Stream[]>()
  /** By session and server: URIs whose changes the session wants. */
  readonly #watched = new Map<string, Map<string, Set<string>>>()

  constructor(options: ListenersOptions) {
    this.#options = options
  }

  /**
   * @param stop ends the stream towards the host, once
   * @returns ends the listening after the host ended the stream; nothing when it has ended already
   */
  open(listener: Listener, stop: () => void): () => void {
    const stream: Stream = { listener, stop, heard: new Map() }
    const ofSession = this.#streams.get(listener.session) ?? []
    const oldest = ofSession.length >= MAX_STREAMS ? ofSession[0] : undefined
    if (oldest !== undefined && this.#end(oldest)) oldest.stop()
    this.#streams.set(listener.session, [...(this.#streams.get(listener.session) ?? []), stream])
    const watched = listener.resources ?? this.#watched.get(listener.session)
    const servers = listener.server === undefined ? (watched?.keys() ?? []) : [listener.server]
    for (const server of servers) this.#hear(stream, server)
    return () => {
      this.#end(stream)
    }
  }

  /** A session used a server: its open streams hear that server from now on. */
  touch(session: string, server: string): void {
    for (const stream of this.#streams.get(session) ?? []) {
      if (stream.listener.server === undefined && !stream.heard.has(server)) this.#hear(stream, server)
    }
  }

  /** @returns false when the session watches too many */
  watch(session: string, server: string, uri: string): boolean {
    const ofSession = this.#watched.get(session) ?? new Map<string, Set<string>>()
    this.#watched.set(session, ofSession)
    if (this.#watched.size > MAX_WATCHING)
      for (const oldest of this.#watched.keys()) {
        this.#watched.delete(oldest)
        break
      }
    const uris = ofSession.get(server) ?? new Set<string>()
    let count = 0
    for (const each of ofSession.values()) count += each.size
    if (count >= MAX_WATCHED && !uris.has(uri)) return false
    ofSession.set(server, uris.add(uri))
    this.#hearAgain(session, server)
    return true
  }

  unwatch(session: string, server: string, uri: string): void {
    const ofSession = this.#watched.get(session)
    const uris = ofSession?.get(server)
    if (uris?.delete(uri) !== true) return
    if (uris.size === 0) ofSession?.delete(server)
    if (ofSession?.size === 0) this.#watched.delete(session)
    this.#hearAgain(session, server)
  }

  /** The catalogue or the policy changed: what hosts may call may be another list now. */
  changed(): void {
    for (const stream of [...this.#streams.values()].flat()) {
      const { wishes, tell } = stream.listener
      if (wishes.tools) tell('notifications/tools/list_changed', {}, undefined)
    }
  }

  /** Ends the streams of whom `fits` names: what opened them counts no longer. */
  endOf(fits: (principal: Principal) => boolean): void {
    for (const stream of [...this.#streams.values()].flat())
      if (fits(stream.listener.principal) && this.#end(stream)) stream.stop()
  }

  /** Ends every stream, for the shutdown. */
  close(): void {
    this.endOf(() => true)
  }

  /** Forgets a stream and what is heard for it; false: it was forgotten before. */
  #end(stream: Stream): boolean {
    const { session } = stream.listener
    const ofSession = this.#streams.get(session) ?? []
    if (!ofSession.includes(stream)) return false
    const left = ofSession.filter((one) => one !== stream)
    if (left.length > 0) this.#streams.set(session, left)
    else this.#streams.delete(session)
    for (const heard of stream.heard.values()) heard.abort()
    return true
  }

  #hearAgain(session: string, server: string): void {
    for (const stream of this.#streams.get(session) ?? []) {
      const only = stream.listener.server
      if (only !== undefined && only !== server) continue
      stream.heard.get(server)?.abort()
      this.#hear(stream, server)
    }
  }

  #hear(stream: Stream, server: string): void {
    const { listener } = stream
    const known = this.#options.server(server)
    if (known === undefined || !listener.mayHear(server)) return
    const watched = listener.resources ?? this.#watched.get(listener.session)
    const resources = [...(watched?.get(server) ?? [])]
    const heard = new AbortController()
    stream.heard.set(server, heard)
    const logs = listener.logs(server)
    this.#options.upstream
      .listen(
        {
          server,
          session: listener.session,
          principal: listener.principal,
          capabilities: this.#options.declared(server, listener.capabilities),
          resources,
          onNotification: (method, params) => {
            if (!wanted(method, params, listener.wishes, resources)) return
            if (method === LOG_MESSAGE) logs(params, (shown) => listener.tell(method, shown, server))
            else listener.tell(method, bare(params), server)
          },
        },
        heard.signal,
      )
      .catch(() => {
        // A server that cannot be heard answers its calls all the same; the next call tries again.
        if (stream.heard.get(server) === heard) stream.heard.delete(server)
      })
  }
}

const LOG_MESSAGE = 'notifications/message'

/** The one member that the other notifications have: the host knows the URI, because it watches it. */
function bare(params: JsonObject): JsonObject {
  const uri = stringMember(params, 'uri')
  return uri === undefined ? {} : { uri }
}

function wanted(method: string, params: JsonObject, wishes: Wishes, resources: readonly string[]): boolean {
  switch (method) {
    case 'notifications/prompts/list_changed':
      return wishes.prompts
    case 'notifications/resources/list_changed':
      return wishes.resources
    case 'notifications/resources/updated':
      return resources.includes(stringMember(params, 'uri') ?? '')
    case LOG_MESSAGE:
      return wishes.logs
    default:
      return false
  }
}
