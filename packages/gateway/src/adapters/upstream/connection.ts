import type { Answer, Era } from '../../call/call.ts'
import { isJsonObject, type JsonObject } from '../../call/json.ts'
import { JsonFault, scanJson, type ScanOptions } from '../../mcp/json-scan.ts'
import { decodeMessage, EnvelopeFault, parseProven, type Message } from '../../mcp/jsonrpc.ts'
import { UpstreamFailed, type Listening, type UpstreamRequest } from '../../ports/upstream.ts'
import type { UpstreamLimits } from './options.ts'

/** What a server said when it was greeted. */
export interface Handshake {
  readonly era: Era
  readonly protocolVersion: string
  readonly serverInfo: JsonObject
  readonly capabilities: JsonObject
  readonly instructions: string | undefined
}

/** One request without its address. */
export type Outgoing = Pick<
  UpstreamRequest,
  'method' | 'head' | 'argsBytes' | 'meta' | 'host' | 'paramHeaders' | 'retry'
>

/** What one listener wants to hear of a server. */
export type Wish = Pick<Listening, 'resources' | 'onNotification'>

/** A greeted server, on behalf of one session. Nothing of it is seen by another session, unless `shared`. */
export interface Connection {
  readonly handshake: Handshake
  /** False once it cannot carry another request. */
  readonly alive: boolean
  /** @throws UpstreamFailed; SessionEnded when the request never ran and another connection may carry it */
  request(outgoing: Outgoing, signal: AbortSignal): Promise<Answer>
  /**
   * Hears the server until the signal is aborted, the connection ends or the server ends what it sends.
   * @param onTaken called once the server has taken the wish
   * @throws UpstreamFailed when it did not take it
   */
  listen(wish: Wish, signal: AbortSignal, onTaken: () => void): Promise<void>
  /** Ends it and what belongs to it. Never throws. */
  close(): Promise<void>
}

/** What the gate shows of itself on one connection: those who share it share that too (Address.credential). As Credentials of the port. */
export interface ConnectionCredentials {
  headers(signal: AbortSignal): readonly string[] | Promise<readonly string[]>
  refused(headers: readonly string[]): boolean
  accepted(headers: readonly string[]): void
}

/** What connecting needs to know beside the server's own options. */
export interface ConnectContext {
  readonly server: string
  readonly limits: UpstreamLimits
  readonly scan: ScanOptions
  readonly clock: () => number
  readonly clientInfo: JsonObject
  /** Era to speak; undefined: ask. */
  readonly era: Era | undefined
  /** Declared to a legacy server when it is greeted; a modern one is told with each request. */
  readonly capabilities: JsonObject
  /** File URIs of the operator; undefined: no roots are declared. */
  readonly roots: readonly string[] | undefined
  /** One connection for all sessions: it may ask nobody, and only answers and progress of it reach anybody. */
  readonly shared: boolean
  readonly credentials: ConnectionCredentials
  /** Told each time the server says that its tools changed. */
  readonly onToolsChanged: () => void
}

/** A server does not know the session any more, or not yet: what it was sent on it never ran. */
export class SessionEnded extends UpstreamFailed {
  constructor(server: string) {
    super('unavailable', `server \`${server}\` does not know its session any more`)
  }
}

/**
 * Reads one message that a server sent.
 * @throws UpstreamFailed `protocol` (ambiguous JSON, broken envelope) or `too_large` (over a cap)
 */
export function readMessage(bytes: Uint8Array, server: string, scan: ScanOptions): Message {
  try {
    return decodeMessage(scanJson(bytes, scan), bytes)
  } catch (cause) {
    if (cause instanceof JsonFault) {
      const fault = cause.fault === 'bytes' ? 'too_large' : 'protocol'
      throw new UpstreamFailed(fault, `server \`${server}\` sent a refused message: ${cause.message}`, {
        cause,
      })
    }
    if (cause instanceof EnvelopeFault) {
      throw new UpstreamFailed('protocol', `server \`${server}\` sent a refused message: ${cause.message}`, {
        cause,
      })
    }
    throw cause
  }
}

/** The answer inside a response. Result bytes stay as they came: they are proven, and what was checked is what is sent. */
export function toAnswer(message: Message & { readonly kind: 'response' }, upstreamMs: number): Answer {
  return { kind: message.outcome, bytes: message.body, value: parseObject(message.body), upstreamMs }
}

/** Parses proven bytes of an object. */
export function parseObject(bytes: Uint8Array): JsonObject {
  const value = parseProven(bytes)
  if (!isJsonObject(value)) throw new TypeError('`bytes` must hold a JSON object')
  return value
}

/** The fault that an aborted signal stands for: `timeout` when its reason is one, else `cancelled`. */
export function abortedBy(signal: AbortSignal, server: string): UpstreamFailed {
  const reason: unknown = signal.reason
  if (reason instanceof Error && reason.name === 'TimeoutError') {
    return new UpstreamFailed('timeout', `server \`${server}\` gave no answer in time`, { cause: reason })
  }
  return new UpstreamFailed('cancelled', `call to server \`${server}\` was cancelled`, { cause: reason })
}

/** Settles as the promise does, or rejects at once when the signal is aborted; the promise itself goes on. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal, server: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(abortedBy(signal, server))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

/** Resolves once any of the signals is aborted. */
export function aborted(...signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      for (const signal of signals) signal.removeEventListener('abort', stop)
      resolve()
    }
    for (const signal of signals) signal.addEventListener('abort', stop)
    if (signals.some((signal) => signal.aborted)) stop()
  })
}

/** Waits; an aborted signal ends it early. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      resolve()
    }
    const timer = setTimeout(stop, ms)
    timer.unref()
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
  })
}
