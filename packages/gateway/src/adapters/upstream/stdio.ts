import { setTimeout as sleep } from 'node:timers/promises'
import { UpstreamFailed, type UpstreamFault } from '../../ports/upstream.ts'
import { Child } from './child.ts'
import { abortedBy, type ConnectContext, type Connection, type Handshake } from './connection.ts'
import { discoverParams, initializeParams, readDiscover, readInitialize } from './handshake.ts'
import { createLineDecoder, LineTooLong } from './lines.ts'
import { Link } from './link.ts'
import type { StdioServer } from './options.ts'
import { PipeConnection } from './pipe-connection.ts'
import type { Pipe, PipeEvents } from './pipe.ts'

const OPEN_ARRAY = 0x5b
const OPEN_OBJECT = 0x7b
/** Longest part of a child's last words in a message. */
const LAST_WORDS = 500
/** How long a child that reads no more may take to end, or to say what it still has to say, in milliseconds. */
const DEAF_MS = 250

/** The pipes of one child: a message is a line. */
class ChildPipe implements Pipe {
  readonly #child: Child
  readonly #onDeaf: () => void
  readonly #secrets: readonly string[]
  #deaf: NodeJS.Timeout | undefined

  /** @throws UpstreamFailed `unavailable` when the child cannot even be tried */
  constructor(config: StdioServer, { server, limits }: ConnectContext, events: PipeEvents) {
    const lines = createLineDecoder(limits.maxBytes)
    const onLine = (line: Buffer): void => {
      // Banners on stdout are a common fault of servers; only what starts like a message can be taken for one.
      if (line[0] === OPEN_OBJECT || line[0] === OPEN_ARRAY) events.onMessage(line)
      else events.onNoise(line.length)
    }
    const onStdout = (chunk: Buffer): void => {
      try {
        lines.push(chunk, onLine)
      } catch (cause) {
        if (!(cause instanceof LineTooLong)) throw cause
        const what = `server \`${server}\` sent a message that is too large: ${cause.message}`
        events.onBroken(new UpstreamFailed('too_large', what, { cause }))
      }
    }
    const onEnd = (why: string): void => {
      clearTimeout(this.#deaf)
      events.onEnd(new UpstreamFailed('unavailable', `server \`${server}\` ${why}`))
    }
    this.#onDeaf = () =>
      events.onBroken(new UpstreamFailed('unavailable', `server \`${server}\` closed its standard input`))
    const { command, env = {}, cwd } = config
    this.#secrets = Object.values(env)
    try {
      this.#child = new Child({ command, env, cwd, killMs: limits.killMs }, { onStdout, onEnd })
    } catch (cause) {
      throw new UpstreamFailed('unavailable', `server \`${server}\` could not be started`, { cause })
    }
  }

  get unsentBytes(): number {
    return this.#child.unwrittenBytes
  }

  get lastWords(): string {
    return masked(this.#child.diagnosis(), this.#secrets).slice(-LAST_WORDS)
  }

  /** A line that did not reach the pipe is followed by the end of the child, which tells the story: one that lives on is deaf. */
  write(message: Buffer, onSent?: () => void): void {
    this.#child.write(message, (ok) => {
      if (ok) onSent?.()
      else this.#deaf ??= setTimeout(() => this.#onDeaf(), DEAF_MS).unref()
    })
  }

  close(): Promise<void> {
    return this.#child.close()
  }

  kill(): void {
    this.#child.killNow()
  }
}

/** Shortest value of an environment variable that is masked: shorter ones are words that stand everywhere. */
const MIN_SECRET = 4

/** What a child complains of may be the very value that it does not like. */
function masked(text: string, secrets: readonly string[]): string {
  return secrets
    .filter(({ length }) => length >= MIN_SECRET)
    .toSorted((a, b) => b.length - a.length)
    .reduce((shown, secret) => shown.replaceAll(secret, '***'), text)
}

/** A started child and the link over its pipes. */
interface Started {
  readonly link: Link
  readonly lastWords: () => string
}

function start(config: StdioServer, context: ConnectContext): Started {
  let pipe: ChildPipe | undefined
  const link = new Link(context, (events) => (pipe = new ChildPipe(config, context, events)))
  return { link, lastWords: () => pipe?.lastWords ?? '' }
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
  let child = start(config, context)
  try {
    let handshake = await greet(child.link, context, context.era, signal)
    if (handshake === undefined) {
      // Some old servers die of a request before initialize: the same program, without the question.
      await child.link.close()
      child = start(config, context)
      handshake = await greet(child.link, context, 'legacy', signal)
    }
    if (handshake === undefined)
      throw new UpstreamFailed('unavailable', `server \`${context.server}\` was not greeted`)
    if (handshake.era === 'legacy') child.link.notify('notifications/initialized')
    return new PipeConnection(child.link, handshake, context)
  } catch (cause) {
    // Last words are told only here: no call has reached this child yet, so they hold no argument of a caller.
    const words = child.lastWords()
    await child.link.close()
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

/**
 * The era probe of the specification: `server/discover`; any error or silence means `initialize`, in the same child.
 * A child that was only slow to start may still answer the probe, so after the silence both are waited for.
 * @returns undefined when the child died of the probe
 */
async function greet(
  link: Link,
  context: ConnectContext,
  era: 'legacy' | 'modern' | undefined,
  signal: AbortSignal,
): Promise<Handshake | undefined> {
  const initialize = async (): Promise<Handshake> =>
    readInitialize(await link.greet('initialize', initializeParams(context), signal), context.server)
  if (era === 'legacy') return initialize()

  const probe = link.greet('server/discover', discoverParams(context.clientInfo), signal)
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
  if (early === undefined) return legacy
  const late = modern.then((handshake) => handshake ?? legacy)
  try {
    const first = await Promise.any([late, legacy]).catch(() => legacy)
    if (first.era === 'modern') return first
    // A server that answers the question is modern, also when it answers it last. One that never does costs this wait once: its
    // era is remembered.
    const last = await Promise.race([modern, silence(context.limits.probeMs)])
    return last === undefined || last === 'silent' ? first : last
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
