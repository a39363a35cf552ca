import { type Upstream, UpstreamFailed } from '../ports/upstream.ts'
import type { ServerCatalog } from './catalog.ts'

/** How long a server may take to list its tools before it counts as failed once, in milliseconds. */
const DESCRIBE_MS = 20_000
/** Between tries on a server that failed, in milliseconds. */
const RETRY_MS = 10_000

/** Asks every server what it offers, at the start, when it says that its tools changed, and again when it failed. */
export class Discovery {
  readonly #upstream: Upstream
  readonly #catalog: ServerCatalog
  readonly #servers: readonly string[]
  readonly #onFailure: (server: string, why: string) => void
  readonly #asked = new Map<string, Promise<void>>()
  readonly #again = new Set<string>()
  readonly #retries = new Set<NodeJS.Timeout>()
  #stopped = false
  #settled = false

  constructor(
    upstream: Upstream,
    catalog: ServerCatalog,
    servers: readonly string[],
    onFailure: (server: string, why: string) => void,
  ) {
    this.#upstream = upstream
    this.#catalog = catalog
    this.#servers = servers
    this.#onFailure = onFailure
  }

  /** Every server has listed its tools, or has failed to once. */
  get settled(): boolean {
    return this.#settled
  }

  /** Begins. @returns once every server has listed or failed once: one dead or slow server never holds the others */
  async start(): Promise<void> {
    this.#upstream.onToolsChanged((server, tools) => {
      if (tools === undefined) void this.#ask(server)
      else void this.#catalog.listed(server, tools)
    })
    await Promise.all(this.#servers.map((server) => this.#ask(server)))
    this.#settled = true
  }

  stop(): void {
    this.#stopped = true
    for (const timer of this.#retries) clearTimeout(timer)
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
      if (this.#again.delete(server) && !this.#stopped) void this.#ask(server)
    })
    this.#asked.set(server, asked)
    return asked
  }

  async #describe(server: string): Promise<void> {
    if (this.#stopped) return
    try {
      await this.#catalog.describe(
        server,
        await this.#upstream.describe(server, AbortSignal.timeout(DESCRIBE_MS)),
      )
    } catch (error) {
      if (!(error instanceof UpstreamFailed)) throw error
      if (this.#stopped) return
      this.#onFailure(server, error.message)
      this.#catalog.failed(server)
      const timer = setTimeout(() => {
        this.#retries.delete(timer)
        void this.#ask(server)
      }, RETRY_MS).unref()
      this.#retries.add(timer)
    }
  }
}
