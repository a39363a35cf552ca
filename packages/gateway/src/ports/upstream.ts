import type { Answer, Era, Principal } from '../call/call.ts'
import type { InputRequests, InputResponses } from '../call/input.ts'
import type { JsonObject } from '../call/json.ts'

/** One request to a server, on behalf of one session. */
export interface UpstreamRequest {
  readonly server: string
  /** Callgate session that the connection belongs to: no upstream session is shared between sessions, unless `shared`. */
  readonly session: string
  /** For whom the gate asks; undefined: for itself. Its own credentials towards the server may depend on it. */
  readonly principal: Principal | undefined
  readonly method: string
  /** Members of `params` beside `arguments` and `_meta`: `name`, `uri`, `cursor`, `ref`. Bare upstream names. */
  readonly head: JsonObject
  /** Verbatim bytes of `arguments`, already proven unambiguous; undefined: no such member. */
  readonly argsBytes: Uint8Array | undefined
  /** Members of `_meta` to pass on; the adapter adds what the era requires and the progress token. */
  readonly meta: JsonObject
  /** The host's end, as far as this server may reach it; undefined: not at all. */
  readonly host: HostReach | undefined
  /** `Mcp-Param-*` headers for a modern HTTP server, names and encoded values in turn; undefined: none. */
  readonly paramHeaders?: readonly string[] | undefined
  /** Goes on with a call that a modern server answered by questions (2026-07-28, MRTR); legacy servers never get it. */
  readonly retry?: Retry | undefined
}

/** What a server may do to the host of one request. */
export interface HostReach {
  /** Client capabilities declared to the server: what the host declared, cut by `servers.X.clientCapabilities`. */
  readonly capabilities: JsonObject
  /** Least severity of log messages; undefined: the host did not say. */
  readonly logLevel: string | undefined
  /** A legacy host hears what a server logs without having said a level; a modern one hears nothing. */
  readonly hearsLogs: boolean
  readonly onProgress: ((params: JsonObject) => void) | undefined
  readonly onLog: ((params: JsonObject) => void) | undefined
  /**
   * Asks the host what a legacy server asks in the middle of the request; only methods that `capabilities` declare come here.
   * It rejects with a Refusal when the host cannot be asked: the server is then told by an error.
   */
  readonly ask: (requests: InputRequests, signal: AbortSignal) => Promise<InputResponses>
}

/** The host's answers to a modern server, and the state that the server gave with its questions. */
export interface Retry {
  /** JSON text of `inputResponses`, proven or our own; undefined: none. */
  readonly inputResponses: Uint8Array | undefined
  readonly requestState: string | undefined
}

/** What a session wants to hear of a server beside its calls. */
export interface Listening {
  readonly server: string
  readonly session: string
  /** As UpstreamRequest. */
  readonly principal: Principal | undefined
  /** As HostReach. */
  readonly capabilities: JsonObject
  /** Resources whose changes are wanted, by bare upstream URI. */
  readonly resources: readonly string[]
  /** Told each notification: list_changed of tools, prompts and resources, resources/updated, message. Bare names and URIs. */
  readonly onNotification: (method: string, params: JsonObject) => void
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
  | 'unavailable'
  | 'busy'
  | 'timeout'
  | 'protocol'
  | 'too_large'
  | 'unknown_fate'
  | 'cancelled'
  /** The server wants the caller's own consent, and there is none. */
  | 'consent'

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
  /**
   * Hears a server on behalf of a session until the signal is aborted, over the connection of its calls where there is one;
   * a stream that breaks is opened again. Resolves once the server has taken the wish.
   * @throws UpstreamFailed when it did not; an aborted signal ends it silently
   */
  listen(listening: Listening, signal: AbortSignal): Promise<void>
  /** Calls back when a server says that its tools changed, or when a session's connection lists other tools. */
  onToolsChanged(listener: (server: string, tools?: readonly JsonObject[]) => void): void
  /** Ends every connection and child process. */
  close(): Promise<void>
}
