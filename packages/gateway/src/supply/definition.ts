import { createHash } from 'node:crypto'
import { canonicalize } from '@callgate/evidence'
import type { ArgumentCheck } from '../call/call.ts'
import { type JsonObject, isJsonObject, member } from '../call/json.ts'
import { SchemaRefused, compileSchema } from '../json-schema/compile.ts'
import { checkHeaders, expectedHeaders, paramHeadersOf } from '../mcp/param-headers.ts'
import { hiddenCharacters } from './drift.ts'

/** Longest reason that is recorded, in UTF-16 units: it holds member names that the server chose, and must fit a record. */
const MAX_WHY = 500

/**
 * SHA-256 (hex) of a definition in canonical JSON (RFC 8785): what a pin pins. One without a canonical form (1e999, half a
 * surrogate pair) has a digest too, so that it is told apart and its neighbours are judged as ever; `judge` refuses it.
 */
export function definitionDigest(definition: JsonObject): string {
  const text = canonicalText(definition) ?? `no canonical form\n${JSON.stringify(definition)}`
  return createHash('sha256').update(text).digest('hex')
}

function canonicalText(definition: JsonObject): string | undefined {
  try {
    return canonicalize(definition)
  } catch (error) {
    if (error instanceof TypeError) return undefined
    throw error
  }
}

/** The check of a definition's arguments, or why it cannot be served at all. */
export function judge(definition: JsonObject): ArgumentCheck | string {
  if (canonicalText(definition) === undefined) return 'a number or a text in the definition is none'
  const hidden = hiddenCharacters(definition)
  if (hidden.length > 0) return cut(hidden.slice(0, 3).join(', '))
  const schema = member(definition, 'inputSchema')
  if (!isJsonObject(schema)) return 'the tool has no `inputSchema` object'
  const asked = paramHeadersOf(schema)
  // A client of 2026-07-28 must drop such a tool, and the gate is one.
  if ('problem' in asked) return cut(asked.problem)
  const { headers } = asked
  try {
    const compiled = compileSchema(schema)
    if (headers.length === 0) return compiled
    return {
      validate: (value) => compiled.validate(value),
      headers: {
        check: (args, received) => checkHeaders(headers, args, received),
        of: (args) => expectedHeaders(headers, args).flat(),
      },
    }
  } catch (error) {
    if (!(error instanceof SchemaRefused)) throw error
    return cut(`input schema refused at \`${error.pointer}\`: ${error.message}`)
  }
}

/** A reason as it may be recorded. */
export const cut = (why: string): string => (why.length <= MAX_WHY ? why : `${why.slice(0, MAX_WHY)}...`)
