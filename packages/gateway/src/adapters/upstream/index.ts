import type { Answer, Era, Principal } from '../../call/call.ts'
import { isJsonObject, member, stringMember, type JsonObject } from '../../call/json.ts'
import { CredentialsMissing, CredentialsRefused } from '../../ports/credentials.ts'
import {
  UpstreamFailed,
  type Listening,
  type ServerDescription,
  type Upstream,
  type UpstreamRequest,
} from '../../ports/upstream.ts'
import {
  parseObject,
  SessionEnded,
  type ConnectContext,
  type ConnectionCredentials,
  type Connection,
  type Handshake,
  untilAborted,
} from './connection.ts'
import { HttpEndpoint } from './endpoint.ts'
import { connectHttp } from './http.ts'
import { listTools } from './list-tools.ts'
import { keepListening } from './listening.ts'
import {
  clientInfo,
  DEFAULT_LIMITS,
  type HttpServer,
  type StdioServer,
  type UpstreamLimits,
  type UpstreamOptions,
} from './options.ts'
import { Slots, type Address } from './slots.ts'
import { connectStdio } from './stdio.ts'
import { ToolNotices } from './tool-notices.ts'

export type {
  ClientTls,
  EraChoice,
  HttpServer,
  StdioServer,
  UpstreamLimits,
  UpstreamOptions,
} from './options.ts'

/** Session of the gate itself, for describe. Callgate session ids hold no `@`. */
const GATE_SESSION = '@gate'
/** Session of a child that all sessions share by configuration. */
const SHARED_SESSION = '@shared'
/** Canonical text of capabilities that are none. */
const NONE = '{}'

/**
 * The server side of the gate: stdio children, Streamable HTTP and HTTP+SSE, both eras. Starts nothing until it is asked.
 * @throws TypeError for a server without a program or with a URL that is not plain http or https
 */
export function createUpstream(options: UpstreamOptions): Upstream {
  return new Servers(options)
}

class Servers implements Upstream {
  readonly #limits: UpstreamLimits
  readonly #clock: () => number
  readonly #scan: ConnectContext['scan']
  readonly #clientInfo: JsonObject
  readonly #servers: ReadonlyMap<string, StdioServer | HttpServer>
  readonly #endpoints = new Map<string, HttpEndpoint>()
  /** Eras that servers were found to speak: later sessions need not ask again. */
  readonly #eras = new Map<string, Era>()
  readonly #slots: Slots
  readonly #notices: ToolNotices
  readonly #options: Pick<UpstreamOptions, 'credentials' | 'assertCaller'>
  readonly #closing = new AbortController()
  /** Servers that the gate itself listens to. */
  readonly #heard = new Set<string>()

  constructor(options: UpstreamOptions) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#limits = limits
    this.#options = options
    this.#clock = options.clock ?? (() => performance.now())
    // Answers are handed on byte for byte, so no number has to survive a parse.
    const { maxBytes, maxDepth, maxKeys } = limits
    this.#scan = { maxBytes, maxDepth, maxKeys, numbers: 'any' }
    this.#clientInfo = clientInfo(options.version ?? '0.1.0')
    this.#servers = new Map(Object.entries(options.servers))
    for (const [id, config] of this.#servers) {
      if (config.transport === 'http') this.#endpoints.set(id, new HttpEndpoint(id, config, limits))
      else if (config.command[0] === undefined || config.command[0] === '') {
        throw new TypeError(`\`servers.${id}.command\` must name a program`)
      }
    }
    const http = this.#endpoints.size
    this.#slots = new Slots({
      limits,
      clock: this.#clock,
      kindOf: (server) => this.#config(server).transport,
      serverCount: { stdio: this.#servers.size - http, http },
      connect: (address, signal) => this.#connect(address, signal),
    })
    this.#notices = new ToolNotices((server, connection) => this.#list(server, connection))
  }

  async request(asked: UpstreamRequest, signal: AbortSignal): Promise<Answer> {
    const asserting = this.#asserting(asked, signal)
    const request = asserting instanceof Promise ? await asserting : asserting
    const address = this.#address(request, request.host?.capabilities)
    for (let again = false; ; again = true) {
      const slot = this.#slots.enter(address)
      try {
        const found = this.#slots.connection(slot, signal)
        const connection = found instanceof Promise ? await found : found
        return await connection.request(request, signal)
      } catch (cause) {
        // The server forgot the session and ran nothing: it is made again, once.
        if (again || !(cause instanceof SessionEnded) || signal.aborted) throw cause
      } finally {
        this.#slots.leave(slot)
      }
    }
  }

  async describe(server: string, signal: AbortSignal): Promise<ServerDescription> {
    const slot = this.#slots.enter(this.#address({ server, session: GATE_SESSION, principal: undefined }, {}))
    try {
      const connection = await this.#slots.connection(slot, signal)
      const tools = await listTools(connection, { server, limits: this.#limits }, signal).catch(unavailable)
      this.#hearTools(server, connection.handshake)
      return { ...connection.handshake, tools }
    } finally {
      this.#slots.leave(slot)
    }
  }

  /** What a server announces on a stream alone must reach the catalogue although no session listens. */
  #hearTools(server: string, { capabilities }: Handshake): void {
    const tools = member(capabilities, 'tools')
    const announces = isJsonObject(tools) && member(tools, 'listChanged') === true
    if (!announces || this.#heard.has(server)) return
    this.#heard.add(server)
    const wish = {
      server,
      session: GATE_SESSION,
      principal: undefined,
      capabilities: {},
      resources: [],
      onNotification: ignore,
    }
    this.listen(wish, this.#closing.signal).catch(() => this.#heard.delete(server))
  }

  async listen(listening: Listening, signal: AbortSignal): Promise<void> {
    const address = this.#address(listening, listening.capabilities)
    // What a shared child says belongs to no session.
    if (address.session === SHARED_SESSION) return
    const during = AbortSignal.any([signal, this.#closing.signal])
    await keepListening(this.#slots, address, listening, { limits: this.#limits, clock: this.#clock }, during)
  }

  onToolsChanged(listener: (server: string, tools?: readonly JsonObject[]) => void): void {
    this.#notices.add(listener)
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the gate is closing'))
    this.#notices.close()
    await this.#slots.close()
    await Promise.all([...this.#endpoints.values()].map((endpoint) => endpoint.close()))
  }

  #config(server: string): StdioServer | HttpServer {
    const config = this.#servers.get(server)
    if (config === undefined) {
      throw new UpstreamFailed('unavailable', `server \`${server}\` is not configured`)
    }
    return config
  }

  /** @param capabilities the same rights in the same order; undefined: any connection of the session will do */
  #address(
    { server, session, principal }: Pick<UpstreamRequest, 'server' | 'session' | 'principal'>,
    capabilities: JsonObject | undefined,
  ): Address {
    const config = this.#config(server)
    if (config.transport === 'stdio' && config.shared === true) {
      return { server, session: SHARED_SESSION, capabilities: NONE, credential: '', principal: undefined }
    }
    const credential = this.#options.credentials?.keyOf(server, principal) ?? ''
    // A modern server is told with each request, so one connection serves whatever the host declares.
    if (this.#eras.get(server) === 'modern')
      return { server, session, capabilities: NONE, credential, principal }
    return {
      server,
      session,
      capabilities: capabilities === undefined ? undefined : JSON.stringify(capabilities),
      credential,
      principal,
    }
  }

  async #connect(
    { server, session, principal, capabilities = NONE }: Address,
    signal: AbortSignal,
  ): Promise<Connection> {
    if (this.#closing.signal.aborted) throw new UpstreamFailed('unavailable', 'the gate is closing')
    const config = this.#config(server)
    const own = session !== GATE_SESSION && session !== SHARED_SESSION
    const chosen = config.era ?? 'auto'
    let connection: Connection | undefined
    const context: ConnectContext = {
      server,
      limits: this.#limits,
      scan: this.#scan,
      clock: this.#clock,
      clientInfo: this.#clientInfo,
      era: chosen === 'auto' ? this.#eras.get(server) : chosen,
      capabilities: parseObject(Buffer.from(capabilities)),
      roots: config.roots,
      shared: session === SHARED_SESSION,
      credentials: this.#credentials(server, principal),
      onToolsChanged: () => this.#notices.changed(server, session, () => (own ? connection : undefined)),
    }
    try {
      connection = await this.#open(config, context, AbortSignal.any([signal, this.#closing.signal]))
    } catch (cause) {
      // What was found may have changed with the server: ask again next time.
      if (!(cause instanceof CredentialsMissing || cause instanceof CredentialsRefused))
        this.#eras.delete(server)
      throw cause
    }
    this.#eras.set(server, connection.handshake.era)
    // A modern HTTP server knows no session of ours: it cannot tell two of them apart by the connection.
    if (own && (config.transport === 'stdio' || connection.handshake.era === 'legacy')) {
      this.#notices.connected(server, connection)
    }
    return connection
  }

  /** What is sent is what is asserted: nothing changes tool or arguments behind this. */
  #asserting(request: UpstreamRequest, signal: AbortSignal): UpstreamRequest | Promise<UpstreamRequest> {
    const { server, principal, method, head, argsBytes } = request
    const tool = method === 'tools/call' ? stringMember(head, 'name') : undefined
    if (this.#options.assertCaller === undefined || principal === undefined || tool === undefined)
      return request
    const asserted = this.#options.assertCaller({ server, principal, tool, argsBytes })
    if (asserted === undefined) return request
    const [name, value] = asserted
    const told = (text: string): UpstreamRequest => ({ ...request, meta: { ...request.meta, [name]: text } })
    if (typeof value === 'string') return told(value)
    const signed = value.then(told, (cause: unknown) => {
      const what = `the gate's key does not sign for callers of server \`${server}\``
      throw new CredentialsMissing('unavailable', what, { cause })
    })
    return untilAborted(signed, signal, server)
  }

  #credentials(server: string, principal: Principal | undefined): ConnectionCredentials {
    const { credentials } = this.#options
    if (credentials === undefined) return NO_CREDENTIALS
    return {
      headers: (signal) => credentials.headersFor(server, principal, signal),
      refused: (headers) => credentials.refused(server, principal, headers),
      accepted: (headers) => credentials.accepted(server, principal, headers),
    }
  }

  #open(config: StdioServer | HttpServer, context: ConnectContext, signal: AbortSignal): Promise<Connection> {
    if (config.transport === 'stdio') return connectStdio(config, context, signal)
    const endpoint = this.#endpoints.get(context.server)
    if (endpoint === undefined) throw new TypeError('every HTTP server has an endpoint')
    return connectHttp(endpoint, context, signal)
  }

  /** The tools that a session sees; undefined when they cannot be had, which its calls will meet and tell. */
  async #list(server: string, connection: Connection): Promise<readonly JsonObject[] | undefined> {
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(this.#limits.connectMs)])
    try {
      return await listTools(connection, { server, limits: this.#limits }, signal)
    } catch (cause) {
      if (!(cause instanceof UpstreamFailed)) throw cause
      return undefined
    }
  }
}

const NO_HEADERS: readonly string[] = []

const NO_CREDENTIALS: ConnectionCredentials = {
  headers: () => NO_HEADERS,
  refused: () => false,
  accepted: () => {},
}

/** A list that got lost has no fate to worry about. */
function unavailable(cause: unknown): never {
  if (!(cause instanceof UpstreamFailed) || cause.fault !== 'unknown_fate') throw cause
  throw new UpstreamFailed('unavailable', cause.message, { cause })
}

/** Changed tools are told by onToolsChanged; nothing else is the gate's. */
function ignore(): void {}
