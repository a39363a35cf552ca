import type { Json } from './json.ts'

declare global {
  interface JSON {
    /** ECMAScript 2026: stringify writes the text as it stands. */
    rawJSON(text: string): unknown
    isRawJSON(value: unknown): boolean
  }
}

/**
 * Parses JSON so that stringify writes its numbers as the text has them: parse and stringify alone would change those that no double
 * holds. Such a number is an object of `JSON.rawJSON`.
 * @throws SyntaxError
 */
export function exactJson(text: string): Json {
  return JSON.parse(text, (_key, parsed: unknown, context?: { readonly source?: string }) =>
    typeof parsed === 'number' && context?.source !== undefined && String(parsed) !== context.source
      ? JSON.rawJSON(context.source)
      : parsed,
  ) as Json
}
