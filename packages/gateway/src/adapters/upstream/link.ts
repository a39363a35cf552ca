import type { Answer } from '../../call/call.ts'
import type { JsonObject } from '../../call/json.ts'
import { PassingMap } from '../../call/passing-map.ts'
import { encodeNotification, encodeOwnRequest, type Message, type RpcId } from '../../mcp/jsonrpc.ts'
import { UpstreamFailed, type HostReach } from '../../ports/upstream.ts'
import { isBatch, splitBatch } from './batch.ts'
import { abortedBy, readMessage, toAnswer, type ConnectContext } from './connection.ts'
import { Inbound, type OpenCall } from './inbound.ts'
import { NoiseMeter } from './noise.ts'
import type { Pipe, PipeEvents } from './pipe.ts'

/** How one request is sent. */
export interface LinkRequest {
  readonly method: string
  readonly host: HostReach | undefined
  readonly signal: AbortSignal
  /** No cancel goes out for it: `initialize` must not be cancelled. */
  readonly greeting?: boolean
}

/** A request on its way, until it is settled. */
class Waiting implements OpenCall {
  readonly id: number
  readonly method: string
  readonly host: HostReach | undefined
  readonly signal: AbortSignal
  readonly startedAt: number
  readonly #settled: PromiseWithResolvers<Answer> = Promise.withResolvers()
  readonly #onAbort: (waiting: Waiting) => void
  questions: Map<RpcId, AbortController> | undefined
  /** Whether all of it reached the server: from then on the server may have run it. */
  sent = false

  constructor(id: number, request: LinkRequest, startedAt: number, onAbort: (waiting: Waiting) => void) {
    this.id = id
    this.method = request.method
    this.host = request.host
    this.signal = request.signal
    this.startedAt = startedAt
    this.#onAbort = onAbort
    this.signal.addEventListener('abort', this, { once: true })
  }

  get answer(): Promise<Answer> {
    return this.#settled.promise
  }

  /** The signal was aborted. */
  handleEvent(): void {
    this.#onAbort(this)
  }

  settle(outcome: Answer | UpstreamFailed): void {
    this.signal.removeEventListener('abort', this)
    if (outcome instanceof UpstreamFailed) this.#settled.reject(outcome)
    else this.#settled.resolve(outcome)
  }
}

/** JSON-RPC over one pipe. Ids are our own counter and never come back, so no two answers can be confused. */
export class Link implements PipeEvents {
  readonly inbound: Inbound
  readonly #context: ConnectContext
  readonly #pipe: Pipe
  readonly #noise: NoiseMeter
  readonly #waiting = new PassingMap<number, Waiting>()
  readonly #gone = new AbortController()
  #nextId = 1
  /** Why the link is of no use any more. */
  #ended: UpstreamFailed | undefined

  /** @throws what `open` throws */
  constructor(context: ConnectContext, open: (events: PipeEvents) => Pipe) {
    this.#context = context
    this.#noise = new NoiseMeter(context.server, context.limits, context.clock)
    this.inbound = new Inbound(context, (answer) => {
      // A server that asks and never reads must not fill the gate's memory.
      if (!this.#isFull()) this.#pipe.write(answer)
    })
    this.#pipe = open(this)
  }

  get alive(): boolean {
    return this.#ended === undefined
  }

  /** Aborted once the link has ended. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  nextId(): number {
    return this.#nextId++
  }

  /** Sends one request. @param id of nextId, and the one in the message */
  call(id: number, message: Buffer, request: LinkRequest): Promise<Answer> {
    const { server, limits, clock } = this.#context
    if (request.signal.aborted) return Promise.reject(abortedBy(request.signal, server))
    if (this.#ended !== undefined) return Promise.reject(unsent(this.#ended))
    if (this.#waiting.size >= limits.maxInFlight || this.#isFull()) {
      return Promise.reject(
        new UpstreamFailed('busy', `server \`${server}\` does not keep up with its requests`),
      )
    }
    const waiting = new Waiting(id, request, clock(), (aborted) => {
      if (request.greeting !== true) {
        this.notify('notifications/cancelled', { requestId: id, reason: 'cancelled' })
      }
      this.#settle(aborted, abortedBy(request.signal, server))
    })
    this.#waiting.set(id, waiting)
    this.inbound.started(waiting)
    this.#pipe.write(message, (failure) => {
      if (failure === undefined) waiting.sent = true
      else this.#settle(waiting, failure)
    })
    return waiting.answer
  }

  /** Sends one request of the gate itself, as part of the greeting. */
  greet(method: string, params: JsonObject, signal: AbortSignal): Promise<Answer> {
    const id = this.nextId()
    const message = encodeOwnRequest(id, method, params)
    return this.call(id, message, { method, host: undefined, signal, greeting: true })
  }

  /** Sends one notification. `onSent` as Pipe.write. */
  notify(method: string, params?: JsonObject, onSent?: () => void): void {
    this.#pipe.write(encodeNotification(method, params), onSent)
  }

  async close(): Promise<void> {
    const { server } = this.#context
    this.#finish(new UpstreamFailed('unavailable', `connection to server \`${server}\` was closed`))
    await this.#pipe.close()
    this.#settleAll()
  }

  onMessage(bytes: Buffer): void {
    if (this.#ended !== undefined) return
    try {
      if (!isBatch(bytes)) this.#receive(bytes)
      // Before 2025-03-26 and after it, what looks like a batch is no message.
      else if (this.inbound.takesBatches) for (const part of splitBatch(bytes)) this.#receive(part)
      else this.#noise.count(bytes.length)
    } catch (cause) {
      this.onBroken(this.#faultOf(cause))
    }
  }

  onNoise(bytes: number): void {
    if (this.#ended !== undefined) return
    try {
      this.#noise.count(bytes)
    } catch (cause) {
      this.onBroken(this.#faultOf(cause))
    }
  }

  /** A server that broke the protocol has no trust left: whose answer was unreadable cannot be told. */
  onBroken(failure: UpstreamFailed): void {
    if (this.#ended !== undefined) return
    this.#finish(failure)
    this.#settleAll()
    this.#pipe.kill()
  }

  onEnd(failure: UpstreamFailed): void {
    this.#finish(failure)
    this.#settleAll()
  }

  #receive(bytes: Uint8Array): void {
    const message = readMessage(bytes, this.#context.server, this.#context.scan)
    if (message.kind === 'response') this.#answered(message, bytes.length)
    else {
      this.#noise.count(bytes.length)
      this.inbound.receive(message, undefined)
    }
  }

  #answered(message: Message & { readonly kind: 'response' }, bytes: number): void {
    const waiting = typeof message.id === 'number' ? this.#waiting.get(message.id) : undefined
    // Unknown, already settled, or a string where we sent a number: nobody waits for it.
    if (waiting === undefined) this.#noise.count(bytes)
    else this.#settle(waiting, toAnswer(message, this.#context.clock() - waiting.startedAt))
  }

  #settle(waiting: Waiting, outcome: Answer | UpstreamFailed): void {
    this.#waiting.delete(waiting.id)
    this.inbound.ended(waiting)
    waiting.settle(outcome)
  }

  #isFull(): boolean {
    return this.#pipe.unsentBytes > this.#context.limits.maxUnwrittenBytes
  }

  #faultOf(cause: unknown): UpstreamFailed {
    if (cause instanceof UpstreamFailed) return cause
    const { server } = this.#context
    return new UpstreamFailed('protocol', `message of server \`${server}\` could not be handled`, { cause })
  }

  #finish(failure: UpstreamFailed): void {
    this.#ended ??= failure
    this.#gone.abort(this.#ended)
  }

  #settleAll(): void {
    const failure = this.#ended
    if (failure === undefined) return
    for (const waiting of this.#waiting.values()) {
      const known = failure.fault !== 'unavailable' || !waiting.sent
      this.#settle(waiting, known ? failure : lost(failure))
    }
  }
}

/** What a request is told that was sent and whose answer cannot come. */
function lost(failure: UpstreamFailed): UpstreamFailed {
  return new UpstreamFailed('unknown_fate', `${failure.message} before it answered`, { cause: failure })
}

/** What a later request is told of a link that ended before: this request was never sent. */
function unsent(ended: UpstreamFailed): UpstreamFailed {
  return new UpstreamFailed('unavailable', ended.message, { cause: ended })
}
