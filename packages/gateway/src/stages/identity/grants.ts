import type { Json, JsonObject } from '../../call/json.ts'
import { isJsonObject, member } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import { shown } from './shown.ts'

/** Most grants in one token. */
const MAX_GRANTS = 256

/**
 * The grants of a token: `scope` (RFC 6749 s3.3) and `scp` (Entra, Okta), each as a space-separated string or an array.
 * A grant that contains `*` passes every check written for one tool, so the whole token is refused, also for a `*`
 * anywhere in `authorization_details` (RFC 9396). Source: playbook Play 2 (deny wildcard scopes), play2.no-wildcards.
 * @throws Refusal CG_IDENTITY_WILDCARD, or CG_IDENTITY_CLAIM for another shape
 */
export function parseGrants(payload: JsonObject): readonly string[] {
  const grants = [...new Set([...listOf(payload, 'scope'), ...listOf(payload, 'scp')])]
  if (grants.length > MAX_GRANTS) throw shape('scope', `at most ${MAX_GRANTS} grants`)
  const wild = grants.find((grant) => grant.includes('*'))
  if (wild !== undefined) throw wildcard(`grant ${shown(wild)}`)
  const details = member(payload, 'authorization_details')
  if (details !== undefined) {
    if (!Array.isArray(details) || !details.every(isTypedDetail)) {
      throw shape('authorization_details', 'an array of objects with a string `type`')
    }
    if (hasWildcard(details)) throw wildcard('claim `authorization_details`')
  }
  return grants
}

function listOf(payload: JsonObject, name: 'scope' | 'scp'): readonly string[] {
  const value = member(payload, name)
  if (value === undefined) return []
  const texts: readonly Json[] = Array.isArray(value) ? value : [value]
  return texts.flatMap((text) => {
    if (typeof text !== 'string') throw shape(name, 'a string or an array of strings')
    const grants = text.split(' ').filter((grant) => grant !== '')
    // RFC 6749 s3.3: a scope token is visible ASCII without quote and backslash.
    if (!grants.every((grant) => /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/.test(grant))) {
      throw shape(name, 'grants of 1 to 256 visible ASCII characters (RFC 6749 s3.3)')
    }
    return grants
  })
}

function isTypedDetail(value: Json): boolean {
  return isJsonObject(value) && typeof member(value, 'type') === 'string'
}

/** Names and values alike: `{"actions":["*"]}`, `{"*":true}`. The scanner has bounded the depth. */
function hasWildcard(value: Json): boolean {
  if (typeof value === 'string') return value.includes('*')
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some((entry: Json) => hasWildcard(entry))
  return Object.entries(value).some(
    ([name, entry]: [string, Json]) => name.includes('*') || hasWildcard(entry),
  )
}

function wildcard(where: string): Refusal {
  return new Refusal('CG_IDENTITY_WILDCARD', {
    internal: `${where} contains \`*\` (expected grants that name what they allow)`,
  })
}

function shape(name: string, expected: string): Refusal {
  return new Refusal('CG_IDENTITY_CLAIM', {
    internal: `claim \`${name}\` has the wrong shape (expected ${expected})`,
  })
}
