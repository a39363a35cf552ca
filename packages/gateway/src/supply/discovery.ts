import { type Upstream, UpstreamFailed } from '../ports/upstream.ts'
import type { ServerCatalog } from './catalog.ts'

/**
 * How long a server may take to list its tools before it counts as failed once, in milliseconds. /healthz is promised
 * within 20 s of the start, so this leaves time for starting.
 */
const DESCRIBE_MS = 15_000
/** Between tries on a server that failed, in milliseconds. */
const RETRY_MS = 10_000
/** Between two listings of a server that said meanwhile that its tools changed, in milliseconds. */
const AGAIN_MS = 1_000

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
      else this.#catalog.listed(server, tools).catch((error: unknown) => this.#failed(server, error))
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
      // A server that says "changed" at every listing must not keep the gate listing.
      if (this.#again.delete(server)) this.#later(server, AGAIN_MS)
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
      this.#failed(server, error)
    }
  }

  /** Whatever failed, the server or the disk that its pins are kept on: it is tried again, and the gate goes on. */
  #failed(server: string, error: unknown): void {
    if (this.#stopped) return
    const why = error instanceof Error ? error.message : String(error)
    this.#onFailure(server, error instanceof UpstreamFailed ? why : `its tools could not be pinned: ${why}`)
    this.#catalog.failed(server)
    this.#later(server, RETRY_MS)
  }

  #later(server: string, ms: number): void {
    if (this.#stopped) return
    const timer = setTimeout(() => {
      this.#retries.delete(timer)
      void this.#ask(server)
    }, ms).unref()
    this.#retries.add(timer)
  }
}
