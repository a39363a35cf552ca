import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { VERSION_HEADER, eraOf } from '../mcp/era.ts'
import { encodeNotification, encodeOwnRequest } from '../mcp/jsonrpc.ts'
import { SESSION_HEADER } from './host-sessions.ts'
import { drain, messagesOf, objectOf, type Posted, type Sent } from './stdio-relay-answers.ts'

/** Milliseconds before a broken stream is opened again, doubled with each try that did not last. */
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 30_000
/** A stream that was open so long had begun well. */
const LASTED_MS = 10_000

/** Resources that are remembered; the gate lets a session watch no more. */
const MAX_WATCHED = 1_000

export interface LegacySessionOptions {
  readonly send: (request: Sent) => Promise<Posted>
  /** Writes what came on the standing stream. */
  readonly write: (message: Buffer) => Promise<void>
  /** Aborted when the host has gone. */
  readonly gone: AbortSignal
}

/**
 * What a legacy host agreed on with the gate, kept for it: stdio knows no session ids and no standing stream. When the gate
 * does not know the session any more, it is begun anew with the host's own words, and the host notices nothing.
 */
export class LegacySession {
  readonly #options: LegacySessionOptions
  /** The host's own `initialize`. */
  #initialize: Uint8Array | undefined
  #id: string | undefined
  #version: string | undefined
  #renewing: Promise<boolean> | undefined
  /** Resources that the host subscribed to, and the level that it set: a new session knows nothing of them. */
  readonly #watched = new Set<string>()
  #logLevel: string | undefined
  /** Ends the standing stream of the session before this one. */
  #stream = new AbortController()

  constructor(options: LegacySessionOptions) {
    this.#options = options
    options.gone.addEventListener('abort', () => this.#stream.abort(), { once: true })
  }

  get id(): string | undefined {
    return this.#id
  }

  /** Headers of every message after `initialize`; none before it. */
  get headers(): Record<string, string> {
    return {
      ...(this.#id === undefined ? {} : { [SESSION_HEADER]: this.#id }),
      ...(this.#version === undefined ? {} : { [VERSION_HEADER]: this.#version }),
    }
  }

  /** The gate has answered an `initialize`. */
  begin(initialize: Uint8Array, sessionId: string | undefined, answer: Uint8Array): void {
    const result = member(objectOf(answer), 'result')
    const version = isJsonObject(result) ? stringMember(result, 'protocolVersion') : undefined
    if (version === undefined || eraOf(version) !== 'legacy') return
    this.#initialize = initialize
    this.#id = sessionId
    this.#version = version
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
    if (this.#id === undefined || this.#options.gone.aborted) return
    this.#stream.abort()
    this.#stream = new AbortController()
    void this.#stand(this.#stream.signal)
  }

  /**
   * Begins the session anew after the gate did not know its id. Messages that meet this together share one new session.
   * @param unknown the id that the gate did not know
   * @returns whether there is a session now
   */
  renew(unknown: string): Promise<boolean> {
    if (this.#id !== unknown) return Promise.resolve(this.#id !== undefined)
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
    for await (const answer of messagesOf(posted)) this.begin(body, posted.sessionId, answer)
    await this.#say(encodeNotification('notifications/initialized'))
    if (this.#logLevel !== undefined) await this.#repeat('logging/setLevel', { level: this.#logLevel })
    for (const uri of this.#watched) await this.#repeat('resources/subscribe', { uri })
    this.listen()
    return true
  }

  /** What the gate does not grant again is gone with the old session. */
  #repeat(method: string, params: JsonObject): Promise<void> {
    return this.#say(encodeOwnRequest(`callgate-again-${randomUUID()}`, method, params))
  }

  async #say(body: Uint8Array): Promise<void> {
    const { send, gone } = this.#options
    await drain(await send({ method: 'POST', headers: this.headers, body, signal: gone }))
  }

  /** Keeps the standing stream open for as long as there is a session. */
  async #stand(signal: AbortSignal): Promise<void> {
    const { send, write } = this.#options
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const began = performance.now()
      try {
        const id = this.#id
        const posted = await send({ method: 'GET', headers: this.headers, body: new Uint8Array(0), signal })
        if (posted.status === 200) for await (const message of messagesOf(posted)) await write(message)
        else await drain(posted)
        // The new session opens a stream of its own.
        if (posted.status === 404 && id !== undefined && (await this.renew(id))) return
        if (NEVER.has(posted.status)) return
      } catch {
        // The gate went away, or the stream broke: it is opened again.
      }
      if (performance.now() - began >= LASTED_MS) pauseMs = FIRST_PAUSE_MS
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined)
    }
  }
}

/** Answers that mean that there is no such stream, now or later. */
const NEVER: ReadonlySet<number> = new Set([400, 403, 405, 406])
