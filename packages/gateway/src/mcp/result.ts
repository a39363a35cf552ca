import type { CallMethod, Era } from '../call/call.ts'
import { type JsonObject, member } from '../call/json.ts'

const REST = 1

/**
 * A server's result as the host's era needs it. The received bytes stay as they are; what a modern host requires and a
 * legacy server did not say is put before them (2026-07-28: resultType on every result, ttlMs and cacheScope on reads).
 */
export function completeResult(
  bytes: Uint8Array,
  value: JsonObject,
  era: Era,
  method: CallMethod,
): Uint8Array {
  if (era === 'legacy') return bytes
  const missing: string[] = []
  if (member(value, 'resultType') === undefined) missing.push('"resultType":"complete"')
  if (method === 'resources/read') {
    if (member(value, 'ttlMs') === undefined) missing.push('"ttlMs":0')
    if (member(value, 'cacheScope') === undefined) missing.push('"cacheScope":"private"')
  }
  if (missing.length === 0) return bytes
  const comma = Object.keys(value).length === 0 ? '' : ','
  return Buffer.concat([Buffer.from(`{${missing.join(',')}${comma}`), bytes.subarray(REST)])
}
