import type { JsonObject } from './json.ts'

/** What a server may ask of a host in the middle of a call: before 2026-07-28 by a request of its own, since then by a result. */
export type InputMethod = 'elicitation/create' | 'sampling/createMessage' | 'roots/list'

/** One question of a server. */
export interface InputRequest {
  readonly method: InputMethod
  readonly params: JsonObject
}

/** Questions that are asked together, by the key that the server (or the gate for it) gave each. */
export type InputRequests = Readonly<Record<string, InputRequest>>

/** What the host said to one question; an error is what a legacy host may answer, such as a refusal of its user. */
export type InputResponse =
  | { readonly kind: 'result'; readonly result: JsonObject }
  | { readonly kind: 'error'; readonly code: number; readonly message: string }

/** The host's answers, by the same keys. */
export type InputResponses = Readonly<Record<string, InputResponse>>

/** The call that a server's questions belong to. */
export interface Asking {
  readonly id: string
  /** The caller's session: nobody else may answer. */
  readonly session: string
  /** Method, name and arguments of the call, as one text: an answer to another call is none. */
  readonly binding: string
}

/** The host's end of one call: what may be said to it, and asked of it, before the answer. */
export interface HostLink {
  /** Capabilities that the host declared, as it declared them; what a server sees of them is the operator's choice. */
  readonly capabilities: JsonObject
  /** Least severity of log messages that the host wants with this call (2026-07-28); undefined: it did not say. */
  readonly logLevel: string | undefined
  /** Tells the params of a progress notification, without their token; undefined when the host asked for none. */
  readonly progress: ((params: JsonObject) => void) | undefined
  /** Tells the params of a log message. Best effort: a host that is gone or slow loses it. */
  log(params: JsonObject): void
  /**
   * Asks the host and waits for all answers; a call waits at most 5 minutes.
   * @param call the call on whose behalf it is asked, as it stands in the forward stage
   * @throws Refusal CG_HOST_UNREACHABLE when it cannot be asked, CG_HOST_SILENT when it went or took too long
   */
  ask(requests: InputRequests, call: Asking, signal: AbortSignal): Promise<InputResponses>
}
