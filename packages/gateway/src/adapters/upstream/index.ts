import type { Era } from '../../call/call.ts'
import type { JsonObject } from '../../call/json.ts'
import { UpstreamFailed, type ServerDescription, type Upstream } from '../../ports/upstream.ts'
import type { ConnectContext, Connection } from './connection.ts'
import { connectHttp } from './http.ts'
import { listTools } from './list-tools.ts'
import {
  clientInfo,
  DEFAULT_LIMITS,
  type HttpServer,
  type StdioServer,
  type UpstreamOptions,
} from './options.ts'
import { createHttpEndpoint, type HttpEndpoint } from './post.ts'
import { createSlots, type SlotRequest } from './slots.ts'
import { connectStdio } from './stdio.ts'

export type { EraChoice, HttpServer, StdioServer, UpstreamLimits, UpstreamOptions } from './options.ts'

/** Session of the gate itself, for describe. Callgate session ids hold no `@`. */
const GATE_SESSION = '@gate'
/** Session of a child that all sessions share by configuration. */
const SHARED_SESSION = '@shared'
/** Least time between two notices of changed tools of one server and session, in milliseconds. */
const NOTICE_MS = 250

type ToolsListener = (server: string, tools?: readonly JsonObject[]) => void

/**
 * The server side of the gate: stdio children and Streamable HTTP, both eras. Starts nothing until it is asked.
 * @throws TypeError for a server without a program or with a URL that is not plain http or https
 */
export function createUpstream(options: UpstreamOptions): Upstream {
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const clock = options.clock ?? (() => performance.now())
  // Answers are handed on byte for byte, so no number has to survive a parse.
  const scan = {
    maxBytes: limits.maxBytes,
    maxDepth: limits.maxDepth,
    maxKeys: limits.maxKeys,
    numbers: 'any' as const,
  }
  const info = clientInfo(options.version ?? '0.1.0')
  const servers = new Map<string, StdioServer | HttpServer>(Object.entries(options.servers))
  const endpoints = new Map<string, HttpEndpoint>()
  for (const [id, config] of servers) {
    if (config.transport === 'http') endpoints.set(id, createHttpEndpoint(id, config, limits))
    else if (config.command[0] === undefined || config.command[0] === '') {
      throw new TypeError(`\`servers.${id}.command\` must name a program`)
    }
  }
  /** Eras that servers were found to speak: later sessions need not ask again. */
  const eras = new Map<string, Era>()
  const slots = createSlots(limits, clock, { stdio: servers.size - endpoints.size, http: endpoints.size })
  const listeners: ToolsListener[] = []
  const notices = new Map<string, NodeJS.Timeout>()
  const closing = new AbortController()

  function tell(server: string, tools?: readonly JsonObject[]): void {
    for (const listener of listeners) {
      if (tools === undefined) listener(server)
      else listener(server, tools)
    }
  }

  /** Lists the tools that this session sees: a server that shows others other tools is found by it (SECURITY.md 3.1 #3). */
  async function listForSession(server: string, connection: Connection): Promise<void> {
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(limits.connectMs)])
    try {
      tell(server, await listTools(connection, { server, limits }, signal))
    } catch (cause) {
      // A session's list that cannot be had changes no pin; its calls meet the same failure and tell it.
      if (!(cause instanceof UpstreamFailed)) throw cause
    }
  }

  function slotRequest(server: string, asked: string): SlotRequest {
    const config = servers.get(server)
    if (config === undefined) {
      throw new UpstreamFailed('unavailable', `server \`${server}\` is not configured`)
    }
    const shared = config.transport === 'stdio' && config.shared === true
    const session = shared ? SHARED_SESSION : asked
    return {
      server,
      session,
      kind: config.transport,
      connect: (signal) => connectFor(config, server, session, signal),
    }
  }

  async function connectFor(
    config: StdioServer | HttpServer,
    server: string,
    session: string,
    signal: AbortSignal,
  ): Promise<Connection> {
    if (closing.signal.aborted) throw new UpstreamFailed('unavailable', 'the gate is closing')
    const own = session !== GATE_SESSION && session !== SHARED_SESSION
    let connection: Connection | undefined
    const onToolsChanged = (): void => {
      // Coalesced: a server that shouts must not make the gate list in a loop.
      const key = `${server} ${session}`
      if (notices.has(key) || closing.signal.aborted) return
      const timer = setTimeout(() => {
        notices.delete(key)
        if (!own) tell(server)
        else if (connection?.alive === true) void listForSession(server, connection)
      }, NOTICE_MS)
      timer.unref()
      notices.set(key, timer)
    }
    const chosen = config.era ?? 'auto'
    const era = chosen === 'auto' ? eras.get(server) : chosen
    const context: ConnectContext = { server, limits, scan, clock, clientInfo: info, era, onToolsChanged }
    try {
      connection = await open(config, context, AbortSignal.any([signal, closing.signal]))
    } catch (cause) {
      // What was found may have changed with the server: ask again next time.
      eras.delete(server)
      throw cause
    }
    eras.set(server, connection.handshake.era)
    const listed = connection
    // A modern HTTP server knows no session of ours: it cannot tell two of them apart by the connection.
    if (own && (config.transport === 'stdio' || listed.handshake.era === 'legacy')) {
      // Behind the call that made the connection.
      setImmediate(() => void listForSession(server, listed))
    }
    return connection
  }

  function open(
    config: StdioServer | HttpServer,
    context: ConnectContext,
    signal: AbortSignal,
  ): Promise<Connection> {
    if (config.transport === 'stdio') return connectStdio(config, context, signal)
    const endpoint = endpoints.get(context.server)
    if (endpoint === undefined) throw new TypeError('every HTTP server has an endpoint')
    return connectHttp(endpoint, context, signal)
  }

  return {
    async request(request, signal) {
      const { method, head, argsBytes, meta, host } = request
      return slots.use(slotRequest(request.server, request.session), signal, (connection) =>
        connection.request({ method, head, argsBytes, meta, host }, signal),
      )
    },
    async describe(server, signal): Promise<ServerDescription> {
      return slots.use(slotRequest(server, GATE_SESSION), signal, async (connection) => {
        const tools = await listTools(connection, { server, limits }, signal).catch(unavailable)
        return { ...connection.handshake, tools }
      })
    },
    listen: () => Promise.reject(new UpstreamFailed('unavailable', 'listening is being built')),
    onToolsChanged(listener) {
      listeners.push(listener)
    },
    async close() {
      closing.abort(new Error('the gate is closing'))
      for (const timer of notices.values()) clearTimeout(timer)
      notices.clear()
      await slots.close()
      await Promise.allSettled([...endpoints.values()].map((endpoint) => endpoint.pool.destroy()))
    },
  }
}

/** A list that got lost has no fate to worry about. */
function unavailable(cause: unknown): never {
  if (!(cause instanceof UpstreamFailed) || cause.fault !== 'unknown_fate') throw cause
  throw new UpstreamFailed('unavailable', cause.message, { cause })
}
