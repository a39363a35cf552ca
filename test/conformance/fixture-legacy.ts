import {
  type Json,
  type JsonObject,
  isJsonObject,
  member,
  stringMember,
} from '../../packages/gateway/src/call/json.ts'
import { type Ask, type FixtureCall, INVALID_PARAMS, NEEDED, RpcError } from './fixture-call.ts'
import { type Fixture, OFFERED, SERVER_INFO } from './fixture.ts'

/** Versions with `initialize`, newest first. */
export const LEGACY = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05']
/** Levels at which a message of level `info` is still sent. */
const INFO_PASSES = new Set(['debug', 'info'])
/** Up to 2025-11-25 a missing resource had a code of its own. */
const RESOURCE_NOT_FOUND = -32002
const MAX_ROUNDS = 8

/** Where the messages of one exchange go. */
export interface Peer {
  send(message: JsonObject): void
  breakOff(): void
}

interface Waiting {
  readonly resolve: (result: JsonObject) => void
  readonly reject: (error: Error) => void
}

/** One client of the legacy era, from `initialize` on; the transport is the caller's. */
export class LegacySession {
  readonly version: string
  readonly #fixture: Fixture
  readonly #capabilities: JsonObject
  readonly #subscribed = new Set<string>()
  readonly #asked = new Map<string, Waiting>()
  readonly #running = new Map<string | number, AbortController>()
  readonly #silence: () => void
  #level = 'info'
  #questions = 0

  /** @param apart where messages go that belong to no request */
  constructor(fixture: Fixture, params: JsonObject, apart: Peer) {
    this.#fixture = fixture
    const asked = stringMember(params, 'protocolVersion') ?? ''
    this.version = LEGACY.includes(asked) ? asked : (LEGACY[0] ?? '')
    const capabilities = member(params, 'capabilities')
    this.#capabilities = isJsonObject(capabilities) ? capabilities : {}
    this.#silence = fixture.onNotice(({ method, params: about }) => {
      const uri = stringMember(about, 'uri')
      if (uri === undefined || this.#subscribed.has(uri))
        apart.send({ jsonrpc: '2.0', method, params: about })
    })
  }

  get initialized(): JsonObject {
    return {
      protocolVersion: this.version,
      capabilities: { ...OFFERED, logging: {} },
      serverInfo: SERVER_INFO,
    }
  }

  /** Ends every call that runs. */
  close(): void {
    this.#silence()
    for (const controller of this.#running.values()) controller.abort()
    for (const { reject } of this.#asked.values()) reject(new Error('the session has ended'))
  }

  /** @returns the whole response message */
  async request(id: string | number, method: string, params: JsonObject, peer: Peer): Promise<JsonObject> {
    const controller = new AbortController()
    this.#running.set(id, controller)
    try {
      return { jsonrpc: '2.0', id, result: await this.#result(method, params, peer, controller.signal) }
    } catch (error) {
      // What goes wrong inside a tool is the model's to read; only the protocol's own errors are errors.
      if (method === 'tools/call' && !(error instanceof RpcError)) {
        return {
          jsonrpc: '2.0',
          id,
          result: { content: [{ type: 'text', text: String(error) }], isError: true },
        }
      }
      return { jsonrpc: '2.0', id, error: legacyError(error, method) }
    } finally {
      this.#running.delete(id)
    }
  }

  notification(method: string, params: JsonObject): void {
    if (method !== 'notifications/cancelled') return
    const id = member(params, 'requestId')
    if (typeof id === 'string' || typeof id === 'number') this.#running.get(id)?.abort()
  }

  /** The client's answer to a question of ours. */
  response(message: JsonObject): void {
    const id = String(member(message, 'id'))
    const waiting = this.#asked.get(id)
    this.#asked.delete(id)
    const result = member(message, 'result')
    if (isJsonObject(result)) waiting?.resolve(result)
    else waiting?.reject(new Error(`the client refused: ${JSON.stringify(member(message, 'error'))}`))
  }

  async #result(method: string, params: JsonObject, peer: Peer, signal: AbortSignal): Promise<JsonObject> {
    switch (method) {
      case 'ping':
        return {}
      case 'logging/setLevel':
        this.#level = stringMember(params, 'level') ?? this.#level
        return {}
      case 'resources/subscribe':
        this.#subscribed.add(uriOf(params))
        return {}
      case 'resources/unsubscribe':
        this.#subscribed.delete(uriOf(params))
        return {}
      default:
        return this.#rounds(method, params, peer, signal)
    }
  }

  /** Asks while the request stays open, round by round, until there is a result. */
  async #rounds(method: string, params: JsonObject, peer: Peer, signal: AbortSignal): Promise<JsonObject> {
    const meta = member(params, '_meta')
    const progressToken = isJsonObject(meta) ? member(meta, 'progressToken') : undefined
    const call: Omit<FixtureCall, 'args' | 'inputs' | 'state'> = {
      capabilities: this.#capabilities,
      signal,
      progress: (progress) => {
        if (progressToken === undefined) return
        peer.send(notice('notifications/progress', { progressToken, progress, total: 100 }))
      },
      log: (data) => {
        if (INFO_PASSES.has(this.#level)) peer.send(notice('notifications/message', { level: 'info', data }))
      },
      breakOff: () => peer.breakOff(),
    }
    let inputs: JsonObject = {}
    let state: JsonObject | undefined
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const outcome = await this.#fixture.round(method, params, { ...call, inputs, state })
      if ('result' in outcome) return outcome.result
      const lacking = Object.values(outcome.ask).find(
        ({ method }) => !Object.hasOwn(this.#capabilities, NEEDED[method]),
      )
      if (lacking !== undefined) throw new Error(`the client does not support ${NEEDED[lacking.method]}`)
      inputs = await this.#ask(outcome.ask, peer)
      state = outcome.state
    }
    throw new Error(`no result after ${MAX_ROUNDS} rounds of questions`)
  }

  async #ask(questions: Readonly<Record<string, Ask>>, peer: Peer): Promise<JsonObject> {
    const answers = Object.entries(questions).map(async ([key, { method, params }]) => {
      const id = `question-${++this.#questions}`
      const answer = new Promise<JsonObject>((resolve, reject) => this.#asked.set(id, { resolve, reject }))
      peer.send({ jsonrpc: '2.0', id, method, params })
      return [key, await answer] as const
    })
    return Object.fromEntries(await Promise.all(answers))
  }
}

function notice(method: string, params: JsonObject): JsonObject {
  return { jsonrpc: '2.0', method, params }
}

function uriOf(params: JsonObject): string {
  const uri = stringMember(params, 'uri')
  if (uri === undefined) throw new RpcError(INVALID_PARAMS, 'uri is missing')
  return uri
}

function legacyError(error: unknown, method: string): Json {
  if (error instanceof RpcError) {
    const missing = method === 'resources/read' && error.code === INVALID_PARAMS
    const code = missing ? RESOURCE_NOT_FOUND : error.code
    return { code, message: error.message, ...(error.data === undefined ? {} : { data: error.data }) }
  }
  return { code: -32603, message: error instanceof Error ? error.message : String(error) }
}
