import type { Session } from '../call/call.ts'

/** What the gate remembers of (tenant, actor, subject, client_id, sid). Mcp-Session-Id never makes, splits or clears it. */
export interface Sessions {
  /**
   * Finds or makes the session of a tuple and counts one call in it.
   * @param tuple tenant, actor, subject and client id, joined unambiguously
   * @param sid session id of the host or of the token; undefined: the tuple itself, until 30 minutes idle
   */
  enter(tuple: string, sid: string | undefined, now: number): Session
}
