import { exactJson } from '../call/exact-json.ts'
import { isJsonObject, type JsonObject } from '../call/json.ts'

/**
 * An object that stringify writes with the numbers as its text has them.
 * @param bytes proven JSON; undefined comes back when it holds no object
 */
export function parseExact(bytes: Uint8Array): JsonObject | undefined {
  const exact = exactJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  return isJsonObject(exact) ? exact : undefined
}
