import type { CallMethod, Era } from '../call/call.ts'
import { type JsonObject, member } from '../call/json.ts'
import { RPC } from './jsonrpc.ts'

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

/** `Resource not found` of versions before 2026-07-28, where it is -32602. */
const RESOURCE_NOT_FOUND = -32002

/** A server's error as the host's era needs it: the same bytes, unless a code changed its number between the eras. */
export function completeError(bytes: Uint8Array, value: JsonObject, era: Era): Uint8Array {
  if (era === 'legacy' || member(value, 'code') !== RESOURCE_NOT_FOUND) return bytes
  return Buffer.from(JSON.stringify({ ...value, code: RPC.invalidParams }))
}
