import type { Answer, Era } from '../call/call.ts'
import type { JsonObject } from '../call/json.ts'

/** One request to a server, on behalf of one session. */
export interface UpstreamRequest {
  readonly server: string
  /** Callgate session that the connection belongs to: no upstream session is shared between sessions, unless `shared`. */
  readonly session: string
  readonly method: string
  /** Members of `params` beside `arguments` and `_meta`: `name`, `uri`, `cursor`. Bare upstream names. */
  readonly head: Readonly<Record<string, string>>
  /** Verbatim bytes of `arguments`, already proven unambiguous; undefined: no such member. */
  readonly argsBytes: Uint8Array | undefined
  /** Members of `_meta` to pass on; the adapter adds what the era requires and the progress token. */
  readonly meta: JsonObject
  readonly onProgress: ((params: JsonObject) => void) | undefined
}

/** What a server offers, as it said it: untrusted. */
export interface ServerDescription {
  readonly era: Era
  readonly protocolVersion: string
  readonly serverInfo: JsonObject
  readonly capabilities: JsonObject
  readonly instructions: string | undefined
  /** Raw tool definitions of every page. */
  readonly tools: readonly JsonObject[]
}

/** How an upstream failed. */
export type UpstreamFault =
  'unavailable' | 'busy' | 'timeout' | 'protocol' | 'too_large' | 'unknown_fate' | 'cancelled'

/** Thrown by every upstream adapter; `unknown_fate` when the request was sent and no answer can come. */
export class UpstreamFailed extends Error {
  override readonly name = 'UpstreamFailed'
  readonly fault: UpstreamFault

  constructor(fault: UpstreamFault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.fault = fault
  }
}

/** The servers behind the gate. Contract: an aborted signal reaches the server as a cancel within 250 ms. */
export interface Upstream {
  /** Sends one request and waits for its answer. @throws UpstreamFailed */
  request(request: UpstreamRequest, signal: AbortSignal): Promise<Answer>
  /** Connects (as the gate itself) and lists every page of a server's tools. @throws UpstreamFailed */
  describe(server: string, signal: AbortSignal): Promise<ServerDescription>
  /** Calls back when a server says that its tools changed, or when a session's connection lists other tools. */
  onToolsChanged(listener: (server: string, tools?: readonly JsonObject[]) => void): void
  /** Ends every connection and child process. */
  close(): Promise<void>
}
