import { type JsonObject, member } from '../call/json.ts'

/** Member of `_meta` that holds the key of a call (a prefix of our own, as MCP asks for): stdio has no headers. */
export const IDEMPOTENCY_META_KEY = 'dev.callgate/idempotencyKey'

/** The header of draft-ietf-httpapi-idempotency-key-header, in lower case. */
export const IDEMPOTENCY_HEADER = 'idempotency-key'

/** Longest key, in characters: a UUID has 36. */
export const MAX_IDEMPOTENCY_KEY = 128

/** Visible ASCII without what lists, parameters and quotes of headers are made of: one key has one text wherever it stands. */
const KEY = /^[!#-+\--:<-[\]-~]{1,128}$/
const WHAT = `1 to ${MAX_IDEMPOTENCY_KEY} visible ASCII characters without \`"\`, \`,\`, \`;\` and \`\\\``

/** A key, no key, or what is wrong with what was given: `differs` where two keys were. No text holds a byte of it. */
export type KeyRead =
  { readonly key: string | undefined } | { readonly problem: string; readonly fault: 'malformed' | 'differs' }

/**
 * The key that a host wants a call to run once under: the `Idempotency-Key` header, as the draft's quoted string or bare, or the
 * member of `_meta`. Both may stand there if they say the same.
 * @param headers as received, names and values in turn
 */
export function readIdempotencyKey(headers: readonly string[], meta: JsonObject): KeyRead {
  const given = headers.filter((_, i) => i % 2 === 1 && headers[i - 1]?.toLowerCase() === IDEMPOTENCY_HEADER)
  // Readers differ in which of two headers they take.
  if (given.length > 1) return malformed('header `Idempotency-Key` is repeated')
  const [header] = given
  const inHeader = header === undefined ? undefined : bare(header)
  if (inHeader !== undefined && !KEY.test(inHeader))
    return malformed(`header \`Idempotency-Key\` is not ${WHAT}`)
  const inMeta = member(meta, IDEMPOTENCY_META_KEY)
  if (inMeta !== undefined && (typeof inMeta !== 'string' || !KEY.test(inMeta)))
    return malformed(`\`_meta["${IDEMPOTENCY_META_KEY}"]\` is not a text of ${WHAT}`)
  if (inHeader !== undefined && inMeta !== undefined && inHeader !== inMeta)
    return {
      problem: `header \`Idempotency-Key\` and \`_meta["${IDEMPOTENCY_META_KEY}"]\` are two keys; send one, or the same in both`,
      fault: 'differs',
    }
  return { key: inHeader ?? inMeta }
}

/** The text of a quoted string (RFC 9651 section 3.3.3), or the value as it is. */
function bare(value: string): string {
  const trimmed = value.trim()
  return /^"[^"]*"$/.test(trimmed) ? trimmed.slice(1, -1) : trimmed
}

const malformed = (problem: string): KeyRead => ({ problem, fault: 'malformed' })
