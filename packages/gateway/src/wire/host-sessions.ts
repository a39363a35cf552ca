import { randomUUID } from 'node:crypto'
import { isJsonObject, member, stringMember, type JsonObject } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import type { KeyRing } from '../ports/key-ring.ts'

/** Header that carries the id of a legacy session (specification 2025-11-25, transports). */
export const SESSION_HEADER = 'mcp-session-id'

/** How long a session id is good for, in milliseconds. */
const SESSION_MS = 24 * 3_600_000
/** Longest capabilities of a host, in UTF-16 units of their JSON: they travel in a header. */
const MAX_CAPABILITIES = 4_096
/** Ids that are remembered: opened ones, so that a call costs no decryption, and ended ones. */
const MAX_REMEMBERED = 10_000

/** What a legacy host and the gate agreed on. It names nobody: who calls is told by the token alone. */
export interface HostSession {
  /** Callgate session that initialized; another one's requests are refused. */
  readonly session: string
  readonly version: string
  readonly capabilities: JsonObject
  /** Milliseconds since the epoch. */
  readonly until: number
}

/**
 * Legacy session ids. Each seals what was agreed, so the gate keeps nothing for it and any node reads it; DELETE ends it.
 * Mcp-Session-Id never makes, splits or clears a Callgate session (ARCHITECTURE.md section 3).
 */
export function createHostSessions(keys: KeyRing, now: () => number) {
  const opened = new Map<string, HostSession>()
  const ended = new Map<string, number>()

  return {
    /** @throws Refusal CG_WIRE_PARAMS for capabilities that are too long */
    issue(agreed: Pick<HostSession, 'session' | 'version' | 'capabilities'>, resource: string): string {
      if (JSON.stringify(agreed.capabilities).length > MAX_CAPABILITIES) {
        throw new Refusal('CG_WIRE_PARAMS', {
          publicText: `\`capabilities\` are longer than ${MAX_CAPABILITIES} characters`,
        })
      }
      // The nonce makes each id one of its own, so that ending one ends no other.
      const sealed = { ...agreed, until: now() + SESSION_MS, nonce: randomUUID() }
      return keys.seal('session', Buffer.from(JSON.stringify(sealed)), resource)
    },

    /** @throws Refusal CG_WIRE_SESSION for an id that is not ours, not of this endpoint, too old or ended */
    open(id: string, resource: string): HostSession {
      const key = `${resource} ${id}`
      const agreed = opened.get(key) ?? read(keys.open('session', id, resource))
      if (agreed === undefined || agreed.until <= now() || ended.has(id)) {
        throw new Refusal('CG_WIRE_SESSION', {
          internal: 'the session id does not open, is too old or ended',
        })
      }
      remember(opened, key, agreed)
      return agreed
    },

    end(id: string): void {
      remember(ended, id, now())
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
  if (session === undefined || version === undefined || !isJsonObject(capabilities)) return undefined
  return { session, version, capabilities, until: Number(member(value, 'until')) }
}

/** Insertion order is age: the oldest goes first. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.has(key)) return
  map.set(key, value)
  if (map.size <= MAX_REMEMBERED) return
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}
