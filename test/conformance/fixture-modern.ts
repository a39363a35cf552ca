import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import {
  type Json,
  type JsonObject,
  isJsonObject,
  member,
  stringMember,
} from '../../packages/gateway/src/call/json.ts'
import { type FixtureCall, INVALID_PARAMS, NEEDED, RpcError } from './fixture-call.ts'
import { type Fixture, type Notice, OFFERED, SERVER_INFO } from './fixture.ts'

/** Versions with per-request metadata. */
export const MODERN = ['2026-07-28']
const PREFIX = 'io.modelcontextprotocol'
const MISSING_CAPABILITY = -32021
const UNSUPPORTED_VERSION = -32022
const CACHEABLE = new Set([
  'server/discover',
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
])
/** What a subscription may ask for, by the notification that it brings. */
const FILTERS: Readonly<Record<string, string>> = {
  'notifications/tools/list_changed': 'toolsListChanged',
  'notifications/prompts/list_changed': 'promptsListChanged',
  'notifications/resources/list_changed': 'resourcesListChanged',
}

/** A request with the metadata that every one must have. */
export interface ModernRequest {
  readonly id: string | number
  readonly method: string
  readonly params: JsonObject
  readonly meta: JsonObject
  readonly version: string
}

/** The modern era without its transport: questions are results, and what must be remembered travels with the client. */
export class ModernServer {
  readonly #fixture: Fixture
  readonly #versions: readonly string[]
  readonly #key = randomBytes(32)

  /** @param versions every version that the server speaks, for `server/discover` and the error about a foreign one */
  constructor(fixture: Fixture, versions: readonly string[]) {
    this.#fixture = fixture
    this.#versions = versions
  }

  /** @throws RpcError when metadata is missing; whether the version is spoken, `answer` says */
  read(id: string | number, message: JsonObject): ModernRequest {
    const method = stringMember(message, 'method') ?? ''
    const params = objectMember(message, 'params')
    const meta = objectMember(params, '_meta')
    const version = stringMember(meta, `${PREFIX}/protocolVersion`)
    if (version !== undefined && isJsonObject(member(meta, `${PREFIX}/clientCapabilities`))) {
      return { id, method, params, meta, version }
    }
    // A client of the older era, which this server does not speak, learns what it speaks.
    const requested = stringMember(params, 'protocolVersion')
    if (method === 'initialize' && requested !== undefined) throw this.#unsupported(requested)
    throw new RpcError(INVALID_PARAMS, '_meta lacks protocolVersion or clientCapabilities')
  }

  /** @throws RpcError for a version that is not spoken */
  checkVersion({ version }: ModernRequest): void {
    if (!MODERN.includes(version)) throw this.#unsupported(version)
  }

  /** @returns the result of one round @throws RpcError */
  async answer(
    { method, params, meta }: ModernRequest,
    notify: (notice: Notice) => void,
    signal: AbortSignal,
  ): Promise<JsonObject> {
    const frame = {
      _meta: { [`${PREFIX}/serverInfo`]: SERVER_INFO },
      ...(CACHEABLE.has(method) ? { ttlMs: 0, cacheScope: 'private' } : {}),
    }
    if (method === 'server/discover') {
      return {
        resultType: 'complete',
        ...frame,
        supportedVersions: this.#versions,
        capabilities: OFFERED,
      }
    }
    const call = this.#call(method, params, meta, notify, signal)
    const outcome = await this.#fixture.round(method, params, call)
    if ('result' in outcome) return { resultType: 'complete', ...frame, ...outcome.result }
    const lacking = Object.values(outcome.ask)
      .map(({ method: question }) => NEEDED[question])
      .filter((capability) => !Object.hasOwn(call.capabilities, capability))
    if (lacking.length > 0) {
      throw new RpcError(MISSING_CAPABILITY, 'The client did not declare what this needs', {
        requiredCapabilities: Object.fromEntries(lacking.map((capability) => [capability, {}])),
      })
    }
    const { state } = outcome
    return {
      resultType: 'input_required',
      ...frame,
      inputRequests: Object.fromEntries(
        Object.entries(outcome.ask).map(([key, question]) => [key, { ...question }]),
      ),
      ...(state === undefined ? {} : { requestState: this.#sealed(method, params, state) }),
    }
  }

  /** Sends what a `subscriptions/listen` asks for, the acknowledgement first. @returns what ends that */
  listen({ id, params }: ModernRequest, notify: (notice: Notice) => void): () => void {
    const wanted = objectMember(params, 'notifications')
    const uris = member(wanted, 'resourceSubscriptions')
    const watched = new Set(Array.isArray(uris) ? uris : [])
    const wants = ({ method, params: about }: Notice): boolean => {
      if (method === 'notifications/resources/updated') return watched.has(member(about, 'uri') ?? null)
      return member(wanted, FILTERS[method] ?? '') === true
    }
    const send = ({ method, params: about }: Notice): void =>
      notify({ method, params: { ...about, _meta: { [`${PREFIX}/subscriptionId`]: id } } })
    send({ method: 'notifications/subscriptions/acknowledged', params: { notifications: wanted } })
    return this.#fixture.onNotice((notice) => {
      if (wants(notice)) send(notice)
    })
  }

  #call(
    method: string,
    params: JsonObject,
    meta: JsonObject,
    notify: (notice: Notice) => void,
    signal: AbortSignal,
  ): Omit<FixtureCall, 'args'> {
    const token = member(meta, 'progressToken')
    const level = stringMember(meta, `${PREFIX}/logLevel`)
    return {
      inputs: inputsOf(params),
      state: this.#unsealed(method, params),
      capabilities: objectMember(meta, `${PREFIX}/clientCapabilities`),
      signal,
      progress(progress) {
        if (token === undefined) return
        notify({ method: 'notifications/progress', params: { progressToken: token, progress, total: 100 } })
      },
      log(data) {
        if (level !== 'debug' && level !== 'info') return
        notify({ method: 'notifications/message', params: { level: 'info', data } })
      },
      // Streams of this era cannot be taken up again.
      breakOff: () => undefined,
    }
  }

  /** State that only this server can have made, and only for this tool or prompt. */
  #sealed(method: string, params: JsonObject, state: JsonObject): string {
    const body = Buffer.from(JSON.stringify(state)).toString('base64url')
    return `${body}.${this.#mac(method, params, body).toString('base64url')}`
  }

  #unsealed(method: string, params: JsonObject): JsonObject | undefined {
    const sealed = member(params, 'requestState')
    if (sealed === undefined || !this.#fixture.mayAsk(method)) return undefined
    const [body = '', mac = ''] = typeof sealed === 'string' ? sealed.split('.') : []
    const expected = this.#mac(method, params, body)
    const given = Buffer.from(mac, 'base64url')
    // Other texts decode to the same bytes; only the one that was sent is taken.
    const exact = given.length === expected.length && given.toString('base64url') === mac
    if (!exact || !timingSafeEqual(given, expected)) {
      throw new RpcError(INVALID_PARAMS, 'requestState is not ours')
    }
    const state: unknown = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))
    return isJsonObject(state) ? state : undefined
  }

  #mac(method: string, params: JsonObject, body: string): Buffer {
    const about = `${method}\n${stringMember(params, 'name') ?? ''}\n${body}`
    return createHmac('sha256', this.#key).update(about).digest()
  }

  #unsupported(requested: string): RpcError {
    return new RpcError(UNSUPPORTED_VERSION, 'Unsupported protocol version', {
      supported: this.#versions,
      requested,
    })
  }
}

/** Whether a message is of the modern era, as its body says it. */
export function isModern(message: JsonObject): boolean {
  const method = stringMember(message, 'method')
  if (method === 'server/discover' || method === 'subscriptions/listen') return true
  return Object.hasOwn(objectMember(objectMember(message, 'params'), '_meta'), `${PREFIX}/protocolVersion`)
}

/** An error as JSON-RPC says it. */
export function errorOf(error: unknown): { code: number; message: string; data?: JsonObject } {
  if (!(error instanceof RpcError)) return { code: -32603, message: String(error) }
  const { code, message, data } = error
  return { code, message, ...(data === undefined ? {} : { data }) }
}

function inputsOf(params: JsonObject): JsonObject {
  const absent = !Object.hasOwn(params, 'inputResponses')
  const inputs: Json | undefined = absent ? {} : member(params, 'inputResponses')
  if (!isJsonObject(inputs)) throw new RpcError(INVALID_PARAMS, 'inputResponses is not an object')
  return inputs
}

function objectMember(object: JsonObject, key: string): JsonObject {
  const value = member(object, key)
  return isJsonObject(value) ? value : {}
}
