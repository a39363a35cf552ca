import type { SseEvent } from '../../mcp/sse.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { createBackoff } from './backoff.ts'
import { isBatch, splitBatch } from './batch.ts'
import { pause, readMessage, type ConnectContext } from './connection.ts'
import type { HttpEndpoint } from './endpoint.ts'
import type { StreamReader } from './exchange.ts'
import { getStream, type StreamEnd } from './get-stream.ts'
import type { Inbound } from './inbound.ts'
import { NoiseMeter } from './noise.ts'

/** How long somebody waits for a server to open the stream before going on without it, in milliseconds. */
const OPENING_MS = 500

/**
 * The stream on which a legacy HTTP server speaks beside all calls (GET, 2025-03-26 to 2025-11-25), opened again when it breaks:
 * behind the last event where the server numbers them, after the wait that it asks for, with backoff. Most servers have none.
 */
export class EventStream implements StreamReader {
  readonly #endpoint: HttpEndpoint
  readonly #context: ConnectContext
  readonly #inbound: Inbound
  readonly #headers: Readonly<Record<string, string>>
  readonly #noise: NoiseMeter
  readonly #onLost: () => void
  readonly #gone = new AbortController()
  readonly #opening = Promise.withResolvers<void>()
  #running = false
  #heard = false

  /** @param onLost told when the server does not know the session any more */
  constructor(
    endpoint: HttpEndpoint,
    context: ConnectContext,
    inbound: Inbound,
    headers: Readonly<Record<string, string>>,
    onLost: () => void,
  ) {
    this.#endpoint = endpoint
    this.#context = context
    this.#inbound = inbound
    this.#headers = headers
    this.#noise = new NoiseMeter(context.server, context.limits, context.clock)
    this.#onLost = onLost
  }

  /**
   * Opens the stream unless it is. Resolves once the server has said whether it has one, or has taken too long over it.
   * @throws UpstreamFailed `busy` when the server has too many streams open
   */
  async open(): Promise<void> {
    if (!this.#running) {
      this.#endpoint.enterStream()
      this.#running = true
      void this.#run().finally(() => {
        this.#endpoint.leaveStream()
        this.#opening.resolve()
      })
    }
    const waited = new AbortController()
    await Promise.race([this.#opening.promise, pause(OPENING_MS, waited.signal)])
    waited.abort()
  }

  close(): void {
    this.#gone.abort(new Error('the connection ends'))
  }

  onStream(): void {
    this.#opening.resolve()
  }

  onEvent({ data }: SseEvent): boolean {
    this.#heard = true
    if (this.#inbound.takesBatches && isBatch(data)) for (const part of splitBatch(data)) this.#hear(part)
    else this.#hear(data)
    return false
  }

  #hear(data: Uint8Array): void {
    const message = readMessage(data, this.#context.server, this.#context.scan)
    this.#noise.count(data.length)
    // No answer belongs here: those of calls are taken up on streams of their own.
    if (message.kind !== 'response') this.#inbound.receive(message, undefined)
  }

  async #run(): Promise<void> {
    const { limits, clock } = this.#context
    const { signal } = this.#gone
    const backoff = createBackoff(limits.backoffMinMs, limits.backoffMaxMs)
    let lastEventId = ''
    while (!signal.aborted) {
      const since = clock()
      const end = await this.#once(lastEventId)
      if (end === undefined) return
      const unknownEvent = end.outcome === 'refused' && lastEventId !== '' && end.status !== 404
      if (end.outcome === 'refused' && !unknownEvent) {
        if (end.status === 404) this.#onLost()
        return
      }
      lastEventId = unknownEvent ? '' : end.lastEventId || lastEventId
      if (this.#heard || clock() - since >= limits.backoffMaxMs) backoff.recovered()
      this.#heard = false
      backoff.failed(clock())
      await pause(Math.max(end.retryMs ?? 0, backoff.waitMs(clock())), signal)
    }
  }

  /** @returns undefined when the stream is not to be opened again: the connection ends, or the server broke the protocol */
  async #once(lastEventId: string): Promise<StreamEnd | undefined> {
    try {
      return await getStream(
        this.#endpoint,
        this.#context,
        this.#headers,
        lastEventId,
        this,
        this.#gone.signal,
      )
    } catch (cause) {
      if (cause instanceof UpstreamFailed) return undefined
      throw cause
    }
  }
}
