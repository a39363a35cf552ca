import type { Answer } from '../../call/call.ts'
import { isJsonObject } from '../../call/json.ts'
import { type KeyRing, MAX_SEALED_BYTES } from '../../ports/key-ring.ts'
import type { OnceKey } from '../../ports/idempotency-store.ts'

/** Longest answer that can be kept, in bytes: one byte before it tells its kind. */
export const MAX_KEPT_BYTES = MAX_SEALED_BYTES - 1

const KINDS = { result: 'r', error: 'e' } as const

/** Answers as they lie in the store: sealed, and bound to their key and its payload. */
export function createKeptAnswers(keys: KeyRing, maxBytes: number) {
  const boundTo = ({ id, payload }: OnceKey): string => `${id} ${payload}`
  return {
    /** @returns undefined for an answer that is too long to be kept */
    seal(key: OnceKey, { kind, bytes }: Answer): string | undefined {
      if (bytes.length > Math.min(maxBytes, MAX_KEPT_BYTES)) return undefined
      return keys.seal('idempotency', Buffer.concat([Buffer.from(KINDS[kind]), bytes]), boundTo(key))
    },

    /** @returns undefined when its seal does not open any more */
    open(key: OnceKey, sealed: string): Answer | undefined {
      const plain = keys.open('idempotency', sealed, boundTo(key))
      if (plain === undefined) return undefined
      const bytes = plain.subarray(1)
      const value: unknown = JSON.parse(bytes.toString('utf8'))
      if (!isJsonObject(value)) throw new TypeError('an answer is an object')
      return {
        kind: plain.toString('latin1', 0, 1) === KINDS.error ? 'error' : 'result',
        bytes,
        value,
        upstreamMs: 0,
      }
    },
  }
}
