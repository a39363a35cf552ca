import type { Principal } from '../call/call.ts'
import { UpstreamFailed } from './upstream.ts'

/** Thrown when there is nothing to show to a server: nothing was sent there, so it says nothing of the server. */
export class CredentialsMissing extends UpstreamFailed {}

/** Thrown when a server refuses what it was shown (401, 403): of credentials of one caller it says nothing of the server to others. */
export class CredentialsRefused extends UpstreamFailed {}

/**
 * What the gate shows of itself to the servers behind it. A caller's token is no input of this port, so none can leave by it
 * (ARCHITECTURE.md section 5, rule 6; MCP authorization, token passthrough).
 */
export interface Credentials {
  /**
   * Headers that prove the gate to a server, names and values in turn; none for a server without credentials.
   * An array at once when it is kept already, else a promise: one request for all who wait for the same.
   * @param principal for whom the gate acts; undefined: for itself, as when it lists a server's tools
   * @throws CredentialsMissing by rejection when there is nothing to show, else UpstreamFailed: `busy`, `cancelled` or `timeout` by the
   *   signal, which ends this wait only. Its message names the server and the cause, and holds no secret
   */
  headersFor(
    server: string,
    principal: Principal | undefined,
    signal: AbortSignal,
  ): readonly string[] | Promise<readonly string[]>
  /** Who shares credentials of a server: equal texts, without spaces, for equal rights. Empty: everybody does. */
  keyOf(server: string, principal: Principal | undefined): string
  /**
   * The server answered these headers with 401: they are not used again, and the next call obtains others. A server that refuses
   * those too is asked ever less often; while it takes them from other calls it is this one that it refuses, whose caller must
   * not use up the others' credentials.
   * @param headers as headersFor gave them: when others took their place meanwhile, those stay
   * @returns whether the request is worth another try
   */
  refused(server: string, principal: Principal | undefined, headers: readonly string[]): boolean
  /** The server took these headers. */
  accepted(server: string, principal: Principal | undefined, headers: readonly string[]): void
  /** Ends what is under way and forgets everything. */
  close(): Promise<void>
}

/**
 * Names that mean something to HTTP, to MCP, to proxies or to tracing: a secret there would change how the request is read, be
 * logged on its way, or be overwritten.
 */
const NOT_FOR_SECRETS = new RegExp(
  [
    '^(?:host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|via|date|range|origin|referer|user-agent)$',
    '^(?:cookie2?|set-cookie2?|forwarded|from|dpop|last-event-id|traceparent|tracestate|baggage|content|accept|www-authenticate)$',
    '^(?:content|accept|mcp|proxy|sec|if|x-forwarded|x-http-method|x-method)-',
  ].join('|'),
  'i',
)

/** Whether a secret may be sent under a header name: an HTTP token of at most 64 characters with no meaning of its own. */
export function isCredentialHeader(name: string): boolean {
  return /^[\w!#$%&'*+.^`|~-]{1,64}$/.test(name) && !NOT_FOR_SECRETS.test(name)
}
