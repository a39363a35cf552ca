import { isJsonObject, type JsonObject } from '../call/json.ts'

declare global {
  interface JSON {
    /** ECMAScript 2026: stringify writes the text as it stands. */
    rawJSON(text: string): unknown
  }
}

/**
 * An object that stringify writes with the numbers as its text has them: parse and stringify alone would change those that no
 * double holds.
 * @param bytes proven JSON; undefined comes back when it holds no object
 */
export function parseExact(bytes: Uint8Array): JsonObject | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  const exact: unknown = JSON.parse(text, (_key, parsed: unknown, context?: { readonly source?: string }) =>
    typeof parsed === 'number' && context?.source !== undefined && String(parsed) !== context.source
      ? JSON.rawJSON(context.source)
      : parsed,
  )
  return isJsonObject(exact) ? exact : undefined
}
