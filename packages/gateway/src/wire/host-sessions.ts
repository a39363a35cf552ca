import { randomUUID } from 'node:crypto'
import { isJsonObject, member, stringMember, type JsonObject } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import type { KeyRing } from '../ports/key-ring.ts'

/** Header that carries the id of a legacy session (specification 2025-11-25, transports). */
export const SESSION_HEADER = 'mcp-session-id'

/** How long a session id is good for, in milliseconds. */
const SESSION_MS = 24 * 3_600_000
/** Longest capabilities of a host, in bytes of their JSON: they travel in a header. */
const MAX_CAPABILITIES = 4_096
/** Opened ids that are remembered, so that a call costs no decryption; each may hold a header's worth of text. */
const MAX_OPENED = 1_000
/** How long they are, in milliseconds: a key that is revoked ends its sessions within a second. */
const OPENED_MS = 500
/** Ended ids that are remembered. */
const MAX_ENDED = 100_000

/** What a legacy host and the gate agreed on. It names nobody: who calls is told by the token alone. */
export interface HostSession {
  /** Callgate session that initialized; another one's requests are refused. */
  readonly session: string
  readonly version: string
  readonly capabilities: JsonObject
  /** Milliseconds since the epoch. */
  readonly until: number
  /** Makes each id one of its own, so that ending one ends no other. */
  readonly nonce: string
}

/**
 * Legacy session ids. Each seals what was agreed, so the gate keeps nothing for it and any node reads it; DELETE ends it.
 * Mcp-Session-Id never makes, splits or clears a Callgate session (ARCHITECTURE.md section 3).
 */
export function createHostSessions(keys: KeyRing, now: () => number) {
  const opened = new Map<string, { readonly agreed: HostSession; readonly until: number }>()
  const ended = new Map<string, true>()

  return {
    /** @throws Refusal CG_WIRE_PARAMS for capabilities that are too long */
    issue(agreed: Pick<HostSession, 'session' | 'version' | 'capabilities'>, resource: string): string {
      if (Buffer.byteLength(JSON.stringify(agreed.capabilities)) > MAX_CAPABILITIES) {
        throw new Refusal('CG_WIRE_PARAMS', {
          publicText: `\`capabilities\` are longer than ${MAX_CAPABILITIES} bytes`,
        })
      }
      const sealed = { ...agreed, until: now() + SESSION_MS, nonce: randomUUID() }
      return keys.seal('session', Buffer.from(JSON.stringify(sealed)), resource)
    },

    /** @throws Refusal CG_WIRE_SESSION for an id that is not ours, not of this endpoint, too old or ended */
    open(id: string, resource: string): HostSession {
      const key = `${resource} ${id}`
      const at = now()
      const known = opened.get(key)
      const fresh = known !== undefined && known.until > at && known.until <= at + OPENED_MS
      const agreed = fresh ? known.agreed : read(keys.open('session', id, resource))
      if (agreed === undefined || agreed.until <= at || ended.has(agreed.nonce)) {
        throw new Refusal('CG_WIRE_SESSION', {
          internal: 'the session id does not open, is too old or ended',
        })
      }
      if (!fresh) remember(opened, key, { agreed, until: at + OPENED_MS }, MAX_OPENED)
      return agreed
    },

    end({ nonce }: HostSession): void {
      remember(ended, nonce, true, MAX_ENDED)
    },
  }
}

export type HostSessions = ReturnType<typeof createHostSessions>

function read(text: Buffer | undefined): HostSession | undefined {
  if (text === undefined) return undefined
  const value: unknown = JSON.parse(text.toString('utf8'))
  if (!isJsonObject(value)) return undefined
  const session = stringMember(value, 'session')
  const version = stringMember(value, 'version')
  const capabilities = member(value, 'capabilities')
  const nonce = stringMember(value, 'nonce')
  const until = member(value, 'until')
  if (session === undefined || version === undefined || nonce === undefined) return undefined
  if (!isJsonObject(capabilities) || typeof until !== 'number') return undefined
  return { session, version, capabilities, until, nonce }
}

/** Insertion order is age: the oldest goes first. */
function remember<T>(map: Map<string, T>, key: string, value: T, most: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= most) return
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}
