import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from '../../call/call.ts'
import type { JsonObject } from '../../call/json.ts'
import { modernMeta, PROGRESS_TOKEN, withoutReservedMeta } from '../../mcp/era.ts'
import { encodeNotification, encodeOwnRequest, encodeRequest } from '../../mcp/jsonrpc.ts'
import { UpstreamFailed, type UpstreamFault } from '../../ports/upstream.ts'
import { Child } from './child.ts'
import {
  abortedBy,
  readMessage,
  toAnswer,
  type ConnectContext,
  type Connection,
  type Handshake,
} from './connection.ts'
import { discoverParams, initializeParams, readDiscover, readInitialize } from './handshake.ts'
import { answerServer, createNoiseMeter, readProgress, tellProgress } from './inbound.ts'
import { createLineDecoder, LineTooLong } from './lines.ts'
import type { StdioServer } from './options.ts'

const OPEN_OBJECT = 0x7b
/** Longest part of a child's last words in a message. */
const LAST_WORDS = 500

interface Waiting {
  readonly method: string
  readonly startedAt: number
  readonly onProgress: ((params: JsonObject) => void) | undefined
  /** Whether the whole line reached the pipe: from then on the child may have run it. */
  written: boolean
  settle(outcome: Answer | UpstreamFailed): void
}

/** JSON-RPC over the pipes of one child. Ids are our own counter and never come back, so no two answers can be confused. */
class Link {
  readonly #context: ConnectContext
  readonly #roots: readonly string[] | undefined
  readonly #child: Child
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1
  /** Why the link is of no use any more. */
  #ended: UpstreamFailed | undefined

  constructor(config: StdioServer, context: ConnectContext) {
    this.#context = context
    this.#roots = config.roots
    const { server, limits } = context
    const lines = createLineDecoder(limits.maxBytes)
    const noise = createNoiseMeter(server, limits, context.clock)
    const onLine = (line: Buffer): void => {
      if (this.#ended !== undefined) return
      // Banners on stdout are a common fault of servers; only what starts like a message can be taken for one.
      if (line[0] !== OPEN_OBJECT) {
        if (line.length > 1) noise(line.length)
        return
      }
      this.#receive(line, noise)
    }
    try {
      this.#child = new Child(
        { command: config.command, env: config.env ?? {}, cwd: config.cwd, killMs: limits.killMs },
        {
          onStdout: (chunk) => {
            if (this.#ended !== undefined) return
            try {
              lines.push(chunk, onLine)
            } catch (cause) {
              this.#break(this.#faultOf(cause))
            }
          },
          onEnd: (why) => this.#end(new UpstreamFailed('unavailable', `server \`${server}\` ${why}`)),
        },
      )
    } catch (cause) {
      throw new UpstreamFailed('unavailable', `server \`${server}\` could not be started`, { cause })
    }
  }

  get alive(): boolean {
    return this.#ended === undefined
  }

  get diagnosis(): string {
    return this.#child.diagnosis()
  }

  /** Sends one request. `greeting`: no cancel goes out for it, since `initialize` must not be cancelled. */
  call(
    encode: (id: number) => Buffer,
    options: {
      readonly method: string
      readonly signal: AbortSignal
      readonly greeting: boolean
      readonly onProgress?: ((params: JsonObject) => void) | undefined
    },
  ): Promise<Answer> {
    const { server, limits, clock } = this.#context
    const { signal } = options
    if (signal.aborted) return Promise.reject(abortedBy(signal, server))
    if (this.#ended !== undefined) return Promise.reject(unsent(this.#ended))
    if (this.#waiting.size >= limits.maxInFlight || this.#child.unwrittenBytes > limits.maxUnwrittenBytes) {
      return Promise.reject(
        new UpstreamFailed('busy', `server \`${server}\` does not keep up with its requests`),
      )
    }
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (!options.greeting) {
          this.#child.write(
            encodeNotification('notifications/cancelled', { requestId: id, reason: 'cancelled' }),
          )
        }
        waiting.settle(abortedBy(signal, server))
      }
      const waiting: Waiting = {
        method: options.method,
        startedAt: clock(),
        onProgress: options.onProgress,
        written: false,
        settle: (outcome) => {
          this.#waiting.delete(id)
          signal.removeEventListener('abort', onAbort)
          if (outcome instanceof UpstreamFailed) reject(outcome)
          else resolve(outcome)
        },
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiting.set(id, waiting)
      this.#child.write(encode(id), (ok) => {
        if (ok) waiting.written = true
      })
    })
  }

  notify(method: string): void {
    this.#child.write(encodeNotification(method))
  }

  async close(): Promise<void> {
    this.#ended ??= new UpstreamFailed(
      'unavailable',
      `connection to server \`${this.#context.server}\` was closed`,
    )
    await this.#child.close()
    this.#settleAll(this.#ended)
  }

  #receive(line: Buffer, noise: (bytes: number) => void): void {
    const message = readMessage(line, this.#context.server, this.#context.scan)
    if (message.kind === 'response') {
      const waiting = typeof message.id === 'number' ? this.#waiting.get(message.id) : undefined
      // Unknown, already settled, or a string where we sent a number: nobody waits for it.
      if (waiting === undefined) noise(line.length)
      else waiting.settle(toAnswer(message, this.#context.clock() - waiting.startedAt))
      return
    }
    if (message.kind === 'request') {
      noise(line.length)
      // A child that asks and never reads must not fill the gate's memory.
      if (this.#child.unwrittenBytes <= this.#context.limits.maxUnwrittenBytes) {
        this.#child.write(answerServer(message, this.#roots))
      }
      return
    }
    if (message.method === 'notifications/progress') {
      const progress = readProgress(message.params)
      const waiting = typeof progress?.token === 'number' ? this.#waiting.get(progress.token) : undefined
      noise(line.length)
      if (progress !== undefined && waiting?.onProgress !== undefined) {
        tellProgress(waiting.onProgress, progress.params)
      }
    } else if (message.method === 'notifications/tools/list_changed') {
      noise(line.length)
      this.#context.onToolsChanged()
    } else noise(line.length)
  }

  #faultOf(cause: unknown): UpstreamFailed {
    if (cause instanceof UpstreamFailed) return cause
    const { server } = this.#context
    if (cause instanceof LineTooLong) {
      return new UpstreamFailed(
        'too_large',
        `server \`${server}\` sent a message that is too large: ${cause.message}`,
      )
    }
    return new UpstreamFailed('protocol', `message of server \`${server}\` could not be handled`, { cause })
  }

  /** A child that broke the protocol has no trust left: whose answer was unreadable cannot be told. */
  #break(failure: UpstreamFailed): void {
    if (this.#ended !== undefined) return
    this.#ended = failure
    this.#settleAll(failure)
    this.#child.killNow()
  }

  #end(failure: UpstreamFailed): void {
    this.#ended ??= failure
    this.#settleAll(this.#ended)
  }

  #settleAll(failure: UpstreamFailed): void {
    for (const waiting of this.#waiting.values()) {
      if (failure.fault !== 'unavailable' || !waiting.written) waiting.settle(failure)
      else {
        waiting.settle(
          new UpstreamFailed('unknown_fate', `${failure.message} before it answered`, { cause: failure }),
        )
      }
    }
  }
}

/** What a later request is told of a link that ended before: this request was never sent. */
function unsent(ended: UpstreamFailed): UpstreamFailed {
  return new UpstreamFailed('unavailable', ended.message, { cause: ended })
}

/**
 * Starts a child and greets it in the era that it speaks.
 * @throws UpstreamFailed `unavailable` (did not start, died, last words included), `timeout`, `protocol`
 */
export async function connectStdio(
  config: StdioServer,
  context: ConnectContext,
  signal: AbortSignal,
): Promise<Connection> {
  let link = new Link(config, context)
  try {
    let handshake = await greet(link, config, context, context.era, signal)
    if (handshake === undefined) {
      // Some old servers die of a request before initialize: the same program, without the question.
      await link.close()
      link = new Link(config, context)
      handshake = await greet(link, config, context, 'legacy', signal)
    }
    if (handshake === undefined)
      throw new UpstreamFailed('unavailable', `server \`${context.server}\` was not greeted`)
    return connectionOf(link, handshake, context)
  } catch (cause) {
    // Last words are told only here: no call has reached this child yet, so they hold no argument of a caller.
    const words = link.diagnosis.slice(-LAST_WORDS)
    await link.close()
    throw connectFailure(cause, context.server, words)
  }
}

function connectFailure(cause: unknown, server: string, words: string): UpstreamFailed {
  if (!(cause instanceof UpstreamFailed)) {
    return new UpstreamFailed('unavailable', `server \`${server}\` could not be greeted`, { cause })
  }
  const fault: UpstreamFault = cause.fault === 'unknown_fate' ? 'unavailable' : cause.fault
  const heard = words === '' ? '' : `; its last words: \`${words}\``
  return new UpstreamFailed(fault, `${cause.message}${heard}`, { cause })
}

function connectionOf(link: Link, handshake: Handshake, context: ConnectContext): Connection {
  const own = handshake.era === 'modern' ? modernMeta(context.clientInfo, {}) : {}
  return {
    handshake,
    get alive() {
      return link.alive
    },
    request: ({ method, head, argsBytes, meta, host }, signal) =>
      link.call(
        (id) => {
          const all = {
            ...withoutReservedMeta(meta, handshake.era),
            ...(host?.onProgress === undefined ? {} : { [PROGRESS_TOKEN]: id }),
            ...own,
          }
          return encodeRequest(id, method, head, argsBytes, Object.keys(all).length === 0 ? undefined : all)
        },
        { method, signal, greeting: false, onProgress: host?.onProgress },
      ),
    close: () => link.close(),
  }
}

/**
 * The era probe of the specification: `server/discover`; any error or silence means `initialize`, in the same child.
 * A child that was only slow to start may still answer the probe, so after the silence both are waited for.
 * @returns undefined when the child died of the probe
 */
async function greet(
  link: Link,
  config: StdioServer,
  context: ConnectContext,
  era: 'legacy' | 'modern' | undefined,
  signal: AbortSignal,
): Promise<Handshake | undefined> {
  const ask = (method: string, params: JsonObject): Promise<Answer> =>
    link.call((id) => encodeOwnRequest(id, method, params), { method, signal, greeting: true })
  const initialize = async (): Promise<Handshake> => {
    const answer = await ask('initialize', initializeParams(context.clientInfo, config.roots))
    return readInitialize(answer, context.server)
  }
  const welcome = (handshake: Handshake): Handshake => {
    if (handshake.era === 'legacy') link.notify('notifications/initialized')
    return handshake
  }
  if (era === 'legacy') return welcome(await initialize())

  const probe = ask('server/discover', discoverParams(context.clientInfo))
  if (era === 'modern') {
    const handshake = readDiscover(await probe)
    if (handshake !== undefined) return handshake
    throw new UpstreamFailed(
      'protocol',
      `server \`${context.server}\` does not speak the modern era it is configured for`,
    )
  }
  const modern = probe.then(readDiscover).catch(() => undefined)
  const early = await Promise.race([modern, silence(context.limits.probeMs)])
  if (early !== undefined && early !== 'silent') return early
  if (signal.aborted) throw abortedBy(signal, context.server)
  if (!link.alive) return undefined
  const legacy = initialize()
  if (early === undefined) return welcome(await legacy)
  const late = modern.then((handshake) => handshake ?? legacy)
  try {
    return welcome(await Promise.any([late, legacy]).catch(() => legacy))
  } catch (cause) {
    // Slow to start, and then it died of the probe that lay in its pipe.
    const died = cause instanceof UpstreamFailed && DIED.has(cause.fault) && !signal.aborted
    if (died) return undefined
    throw cause
  }
}

const DIED: ReadonlySet<UpstreamFault> = new Set<UpstreamFault>(['unavailable', 'unknown_fate'])

async function silence(ms: number): Promise<'silent'> {
  await sleep(ms, undefined, { ref: false })
  return 'silent'
}
