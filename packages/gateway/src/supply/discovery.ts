import { type Upstream, UpstreamFailed } from '../ports/upstream.ts'
import { Availability, type AvailabilityEvent, type Failure } from './availability.ts'
import type { ServerCatalog } from './catalog.ts'
import { cut } from './definition.ts'
import { Starts } from './starts.ts'

/**
 * How long a server may take to list its tools before it counts as failed once, in milliseconds. /healthz is promised
 * within 20 s of the start, so this leaves time for starting. Lists that hosts ask for wait less: `listTimeoutMs`.
 */
const DESCRIBE_MS = 15_000
/** Between tries on a server that failed, in milliseconds. */
const RETRY_MS = 10_000
/** Between two listings of a server that said meanwhile that its tools changed, or whose calls fail, in milliseconds. */
const AGAIN_MS = 1_000

export interface DiscoveredServer {
  /** Milliseconds without a list after which the server is told to be away, while the try goes on. */
  readonly listTimeoutMs: number
  readonly transport: 'stdio' | 'http'
}

export interface DiscoveryOptions {
  readonly upstream: Pick<Upstream, 'describe' | 'onToolsChanged'>
  readonly catalog: Pick<ServerCatalog, 'describe' | 'failed' | 'listed'>
  readonly servers: ReadonlyMap<string, DiscoveredServer>
  readonly onEvent: (event: AvailabilityEvent) => void
}

/** Asks every server what it offers, at the start, when it says that its tools changed, and again when it failed. */
export class Discovery {
  readonly #options: DiscoveryOptions
  readonly #availability: Availability
  readonly #starts = new Starts()
  readonly #asked = new Map<string, Promise<void>>()
  readonly #again = new Set<string>()
  /** The next try of a server, at most one each. */
  readonly #next = new Map<string, NodeJS.Timeout>()
  /** By server: resolves when it has listed, failed or run out of its deadline for the first time. */
  readonly #found: ReadonlyMap<string, PromiseWithResolvers<void>>
  #stopped = false
  #settled = false

  constructor(options: DiscoveryOptions) {
    this.#options = options
    this.#availability = new Availability(options.onEvent)
    this.#found = new Map([...options.servers.keys()].map((server) => [server, Promise.withResolvers()]))
  }

  /** Every server has listed its tools, or has failed to once. */
  get settled(): boolean {
    return this.#settled
  }

  /** Waits until each of these servers has listed, failed or run out of its list deadline, once since the start. */
  async found(servers: readonly string[]): Promise<void> {
    await Promise.all(servers.map((server) => this.#found.get(server)?.promise))
  }

  /** Begins. @returns once every server has listed or failed once: one dead or slow server never holds the others */
  async start(): Promise<void> {
    const { upstream, catalog, servers } = this.#options
    upstream.onToolsChanged((server, tools) => {
      if (tools !== undefined)
        catalog.listed(server, tools).catch((error: unknown) => this.#failed(server, error))
      // A server that is to be asked soon anyway is not asked more often for shouting.
      else if (!this.#next.has(server)) void this.#ask(server)
    })
    await Promise.all([...servers.keys()].map((server) => this.#ask(server)))
    this.#settled = true
  }

  /** A call did not reach its server: asks it soon what is wrong. */
  look(server: string): void {
    if (!this.#next.has(server) && !this.#asked.has(server)) this.#later(server, AGAIN_MS)
  }

  /** Something changed on our side, so that a server that failed may answer now. */
  askNow(server: string): void {
    clearTimeout(this.#next.get(server))
    this.#next.delete(server)
    void this.#ask(server)
  }

  stop(): void {
    this.#stopped = true
    this.#availability.stop()
    for (const timer of this.#next.values()) clearTimeout(timer)
    for (const { resolve } of this.#found.values()) resolve()
  }

  /** One question a server at a time; whatever asks meanwhile is asked once more afterwards. */
  #ask(server: string): Promise<void> {
    const running = this.#asked.get(server)
    if (running !== undefined) {
      this.#again.add(server)
      return running
    }
    const asked = this.#describe(server).finally(() => {
      this.#asked.delete(server)
      // A server that says "changed" at every listing must not keep the gate listing.
      if (this.#again.delete(server)) this.#later(server, AGAIN_MS)
    })
    this.#asked.set(server, asked)
    return asked
  }

  async #describe(server: string): Promise<void> {
    if (this.#stopped) return
    const { upstream, catalog, servers } = this.#options
    const config = servers.get(server)
    if (config === undefined) return
    const { listTimeoutMs, transport } = config
    const late = setTimeout(() => {
      const why = `server \`${server}\` has not listed its tools within ${listTimeoutMs} ms`
      this.#away(server, { reason: 'timeout', why })
    }, listTimeoutMs).unref()
    const started = transport === 'stdio' ? await this.#starts.take() : undefined
    try {
      const signal = AbortSignal.timeout(Math.max(DESCRIBE_MS, listTimeoutMs))
      const description = await upstream.describe(server, signal).finally(() => clearTimeout(late))
      started?.()
      await catalog.describe(server, description)
      this.#availability.found(server, undefined)
    } catch (error) {
      started?.()
      this.#failed(server, error)
    }
    this.#found.get(server)?.resolve()
  }

  /** Whatever failed, the server or the disk that its pins are kept on: it is tried again, and the gate goes on. */
  #failed(server: string, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    const failure: Failure =
      error instanceof UpstreamFailed
        ? { reason: error.fault, why }
        : { reason: 'not_pinned', why: `its tools could not be pinned: ${why}` }
    this.#away(server, failure)
    this.#later(server, RETRY_MS)
  }

  #away(server: string, failure: Failure): void {
    if (this.#stopped) return
    this.#options.catalog.failed(server, failure.reason)
    this.#availability.found(server, { ...failure, why: cut(failure.why) })
    this.#found.get(server)?.resolve()
  }

  #later(server: string, ms: number): void {
    if (this.#stopped) return
    clearTimeout(this.#next.get(server))
    const timer = setTimeout(() => {
      this.#next.delete(server)
      void this.#ask(server)
    }, ms).unref()
    this.#next.set(server, timer)
  }
}
