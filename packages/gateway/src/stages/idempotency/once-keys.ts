import { canonicalize, keyedHash } from '@callgate/evidence'
import type { PinnedCall } from '../../call/call.ts'
import type { OnceKey } from '../../ports/idempotency-store.ts'

/** Key of a tenant for keyed hashes. */
export type MacKey = (tenant: string) => Buffer

/** Digits of the hash that tells callers apart: they only share bounds by it. */
const CALLER_DIGITS = 32

/**
 * What the store knows a call by. A key is its principal's own: tenant, actor and subject are in its hash, so the same text of
 * somebody else is another key. The payload is server, tool, pinned definition and the arguments that the server would get,
 * whatever the order of their members. Whoever reads the journal learns none of them (keyed, as in records).
 */
export function createOnceKeys(macKey: MacKey) {
  function mac({ principal }: PinnedCall, what: string, ...parts: readonly unknown[]): string {
    const { tenant, actor, subject } = principal
    // The word in front keeps each kind of hash apart from the others, and from those of the evidence.
    return keyedHash(
      macKey(tenant),
      canonicalize([`idempotency ${what}`, tenant, actor.id, subject, ...parts]),
    )
  }

  const payloadOf = (call: PinnedCall): string =>
    mac(call, 'payload', call.target.server, call.target.name, call.digest ?? '', call.args)
  const idOf = (call: PinnedCall, what: string, ...parts: readonly string[]): string =>
    `${mac(call, 'caller').slice(0, CALLER_DIGITS)}.${mac(call, what, ...parts)}`

  return {
    /** By the key that the host gave. */
    given: (call: PinnedCall, key: string, lifeS: number): OnceKey => ({
      id: idOf(call, 'key', key),
      payload: payloadOf(call),
      call: call.id,
      lifeS,
    }),
    /** By the call itself: the same arguments in the same session. */
    derived(call: PinnedCall, lifeS: number): OnceKey {
      const payload = payloadOf(call)
      return { id: idOf(call, 'derived', call.session.key, payload), payload, call: call.id, lifeS }
    },
  }
}
