import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { VERSION_HEADER, eraOf } from '../mcp/era.ts'
import { encodeNotification, encodeOwnRequest } from '../mcp/jsonrpc.ts'
import { SESSION_HEADER } from './host-sessions.ts'
import { drain, messagesOf, objectOf, type Posted, type Sent } from './stdio-relay-answers.ts'

/** What a host and the gate agreed on. */
interface Agreed {
  /** `Mcp-Session-Id`; a gate may give none. */
  readonly id: string | undefined
  readonly version: string
}

/** Milliseconds before a broken stream is opened again, doubled with each try that did not last. */
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 30_000
/** A stream that was open so long had begun well. */
const LASTED_MS = 10_000

/** Resources that are remembered; the gate lets a session watch no more. */
const MAX_WATCHED = 1_000
/** Milliseconds that a message of the host waits until what it asked to hear is asked for again; the rest follows it. */
const REPEAT_MS = 2_000

export interface LegacySessionOptions {
  readonly send: (request: Sent) => Promise<Posted>
  /** Writes what came on the standing stream. */
  readonly write: (message: Buffer) => Promise<void>
  /** Aborted when the host has gone. */
  readonly gone: AbortSignal
}

/**
 * What a legacy host agreed on with the gate, kept for it: stdio knows no session ids and no standing stream. When the gate
 * does not know the session any more, it is begun anew with the host's own words, and the host notices nothing. A session id
 * outlives the process that gave it, but what the host asked to hear does not: that is asked for again as well.
 */
export class LegacySession {
  readonly #options: LegacySessionOptions
  /** The host's own `initialize`. */
  #initialize: Uint8Array | undefined
  #agreed: Agreed | undefined
  #renewing: Promise<boolean> | undefined
  /** Resources that the host subscribed to, and the level that it set. */
  readonly #watched = new Set<string>()
  #logLevel: string | undefined
  /** The stream broke: the gate may be another process now, which was asked for nothing yet. */
  #lost = false
  #restoring: Promise<void> | undefined
  /** Ends the standing stream of the session before this one. */
  #stream = new AbortController()

  constructor(options: LegacySessionOptions) {
    this.#options = options
    options.gone.addEventListener('abort', () => this.#stream.abort(), { once: true })
  }

  get id(): string | undefined {
    return this.#agreed?.id
  }

  /** Headers of every message after `initialize`; none before it. */
  get headers(): Record<string, string> {
    return headersOf(this.#agreed)
  }

  /** The gate has answered an `initialize` of the host, who asked for nothing else yet. */
  begin(initialize: Uint8Array, sessionId: string | undefined, answer: Uint8Array): void {
    const agreed = agreedIn(sessionId, answer)
    if (agreed === undefined) return
    this.#initialize = initialize
    this.#agreed = agreed
    this.#watched.clear()
    this.#logLevel = undefined
    this.#lost = false
    this.#stream.abort()
  }

  /** The gate has granted a request of the host that lasts as long as the session. */
  granted(method: string, params: JsonObject): void {
    const uri = stringMember(params, 'uri')
    if (method === 'resources/subscribe' && uri !== undefined && this.#watched.size < MAX_WATCHED)
      this.#watched.add(uri)
    else if (method === 'resources/unsubscribe' && uri !== undefined) this.#watched.delete(uri)
    else if (method === 'logging/setLevel') this.#logLevel = stringMember(params, 'level')
  }

  /** The host is ready: what concerns the session beside its calls may come. */
  listen(): void {
    if (this.id === undefined || this.#options.gone.aborted) return
    this.#stream.abort()
    this.#stream = new AbortController()
    void this.#stand(this.#stream.signal)
  }

  /** Resolves when the gate may take a message of the host: after a broken stream it is asked again first. Never rejects. */
  async ready(): Promise<void> {
    const first = this.#restoring === undefined
    try {
      if (!(await this.#restore()) || !first) return
      // A gate that answers need not be waited for any longer.
      this.listen()
    } catch {
      // What keeps the gate from answering this, the message meets as well.
    }
  }

  /**
   * Begins the session anew after the gate did not know its id. Messages that meet this together share one new session.
   * @param unknown the id that the gate did not know
   * @returns whether there is a session now
   */
  renew(unknown: string): Promise<boolean> {
    if (this.id !== unknown) return Promise.resolve(this.id !== undefined)
    this.#renewing ??= this.#again().finally(() => (this.#renewing = undefined))
    return this.#renewing
  }

  async #again(): Promise<boolean> {
    const { send, gone } = this.#options
    const body = this.#initialize
    if (body === undefined) return false
    const posted = await send({ method: 'POST', headers: {}, body, signal: gone })
    if (posted.status !== 200 || posted.sessionId === undefined) {
      await drain(posted)
      return false
    }
    let agreed: Agreed | undefined
    for await (const answer of messagesOf(posted)) agreed = agreedIn(posted.sessionId, answer) ?? agreed
    if (agreed === undefined) return false
    await this.#say(agreed, encodeNotification('notifications/initialized'))
    await this.#repeat(agreed)
    // Only a session that came to its end is one; and the host may have begun another meanwhile.
    if (this.#initialize !== body) return this.id !== undefined
    this.#agreed = agreed
    this.listen()
    return true
  }

  /** Asks again where the stream broke. @returns whether there was anything to do */
  async #restore(): Promise<boolean> {
    const agreed = this.#agreed
    if (this.#lost && agreed !== undefined)
      this.#restoring ??= this.#repeat(agreed).finally(() => (this.#restoring = undefined))
    if (this.#restoring === undefined) return false
    await this.#restoring
    return true
  }

  /** Asks again for what the host was granted. @throws Error when the gate does not answer */
  async #repeat(agreed: Agreed): Promise<void> {
    this.#lost = false
    const repeated = this.#repeatAll(agreed)
    repeated.catch(() => (this.#lost = true))
    await Promise.race([repeated, sleep(REPEAT_MS, undefined, { ref: false })])
  }

  /** What the gate does not grant again, the host hears no more. */
  async #repeatAll(agreed: Agreed): Promise<void> {
    const ask = (method: string, params: JsonObject): Promise<void> =>
      this.#say(agreed, encodeOwnRequest(`callgate-again-${randomUUID()}`, method, params))
    if (this.#logLevel !== undefined) await ask('logging/setLevel', { level: this.#logLevel })
    for (const uri of this.#watched) await ask('resources/subscribe', { uri })
  }

  async #say(agreed: Agreed, body: Uint8Array): Promise<void> {
    const { send, gone } = this.#options
    const posted = await send({ method: 'POST', headers: headersOf(agreed), body, signal: gone })
    // A refusal by JSON-RPC is an answer; one by HTTP throws.
    for await (const _ of messagesOf(posted));
  }

  /** Keeps the standing stream open for as long as there is a session. */
  async #stand(signal: AbortSignal): Promise<void> {
    const { send, write } = this.#options
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted;) {
      const began = performance.now()
      let ended = false
      try {
        // A gate that does not know the session is told so by the stream.
        await this.#restore().catch(() => false)
        const { id } = this
        const posted = await send({ method: 'GET', headers: this.headers, body: new Uint8Array(0), signal })
        if (posted.status === 200) for await (const message of messagesOf(posted)) await write(message)
        else await drain(posted)
        // The new session opens a stream of its own.
        if (posted.status === 404 && id !== undefined && (await this.renew(id))) return
        if (NEVER.has(posted.status)) return
        ended = posted.status === 200
      } catch {
        // The gate went away, or the stream broke: it is opened again.
      }
      if (signal.aborted) return
      const lasted = performance.now() - began >= LASTED_MS
      if (lasted) pauseMs = FIRST_PAUSE_MS
      // In order, as when its token ends. A gate that ended it because it stops is found gone, when it is asked at once.
      if (ended && lasted) continue
      this.#lost = true
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined)
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    }
  }
}

/** Answers that mean that there is no such stream, now or later. */
const NEVER: ReadonlySet<number> = new Set([400, 403, 405, 406])

/** What the answer to an `initialize` agrees on; undefined for an error and for the modern era. */
function agreedIn(id: string | undefined, answer: Uint8Array): Agreed | undefined {
  const result = member(objectOf(answer), 'result')
  const version = isJsonObject(result) ? stringMember(result, 'protocolVersion') : undefined
  return version === undefined || eraOf(version) !== 'legacy' ? undefined : { id, version }
}

function headersOf(agreed: Agreed | undefined): Record<string, string> {
  if (agreed === undefined) return {}
  const { id, version } = agreed
  return { ...(id === undefined ? {} : { [SESSION_HEADER]: id }), [VERSION_HEADER]: version }
}
