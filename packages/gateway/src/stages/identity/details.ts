import { type AuthorizationDetail, DETAIL_TYPE, isTicketId } from '../../call/authorization.ts'
import { type Json, type JsonObject, isJsonObject, member } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import { shown } from './shown.ts'

const MEMBERS = ['type', 'locations', 'actions', 'datatypes', 'purpose', 'ticket']
const MAX_DETAILS = 32
const MAX_ENTRIES = 256
const SERVER = /^[a-z][a-z0-9-]{0,15}$/
const ACTION =
  /^(?:(?:tools\/call|prompts\/get):[a-z][a-z0-9-]{0,15}\.[\x21\x23-\x5b\x5d-\x7e]{1,128}|resources\/read:[a-z][a-z0-9-]{0,15})$/
const WORD = /^[a-z][a-z0-9_-]{0,63}$/

/**
 * The details of a token that are for this gate (RFC 9396). A member that is not understood could narrow what the token is for,
 * so it refuses the token; wildcards were refused before (grants.ts).
 * @returns undefined when it has none of this type
 * @throws Refusal CG_IDENTITY_CLAIM naming the member
 */
export function parseDetails(payload: JsonObject): readonly AuthorizationDetail[] | undefined {
  const all = member(payload, 'authorization_details')
  if (!Array.isArray(all)) return undefined
  // A list that says nothing allows nothing: somebody meant to narrow the token.
  if (all.length === 0) return []
  const almost = all.find((detail: Json) =>
    isAlmostOurs(isJsonObject(detail) ? member(detail, 'type') : undefined),
  )
  if (almost !== undefined) throw wrong('type', `\`${DETAIL_TYPE}\`, letter by letter`)
  const ours = all.filter(
    (detail: Json): detail is JsonObject => isJsonObject(detail) && member(detail, 'type') === DETAIL_TYPE,
  )
  if (ours.length > MAX_DETAILS) throw wrong('authorization_details', `at most ${MAX_DETAILS} of this type`)
  return ours.length === 0 ? undefined : ours.map(parseDetail)
}

/** A typing error in the type would make a token for one thing a token for everything. */
function isAlmostOurs(type: Json | undefined): boolean {
  const plain = typeof type === 'string' ? type.toLowerCase().replace(/[^a-z]/g, '') : ''
  return plain === DETAIL_TYPE.replaceAll('_', '') && type !== DETAIL_TYPE
}

function parseDetail(detail: JsonObject): AuthorizationDetail {
  const unknown = Object.keys(detail).find((name) => !MEMBERS.includes(name))
  if (unknown !== undefined) throw wrong(shown(unknown), `one of ${MEMBERS.join(' ')}`)
  const purpose = member(detail, 'purpose')
  if (purpose !== undefined && (typeof purpose !== 'string' || !WORD.test(purpose)))
    throw wrong('purpose', 'a word in lower case')
  const ticket = member(detail, 'ticket')
  if (ticket !== undefined && (typeof ticket !== 'string' || !isTicketId(ticket)))
    throw wrong('ticket', 'the id of a ticket')
  const datatypes = texts(detail, 'datatypes', WORD, 'words in lower case')
  const actions =
    texts(detail, 'actions', ACTION, 'actions such as `tools/call:crm.read`') ?? missing('actions')
  // Operators label tools alone: of a resource nobody says which data it holds.
  if (datatypes !== undefined && actions.some((action) => !action.startsWith('tools/call:')))
    throw wrong('datatypes', 'actions of tools alone beside it')
  return {
    locations: texts(detail, 'locations', SERVER, 'server ids') ?? missing('locations'),
    actions,
    datatypes,
    purpose,
    ticket,
  }
}

function texts(
  detail: JsonObject,
  name: string,
  form: RegExp,
  expected: string,
): readonly string[] | undefined {
  const value = member(detail, name)
  if (value === undefined) return undefined
  const list: readonly Json[] = Array.isArray(value) ? value : []
  const fit = list.filter((entry: Json): entry is string => typeof entry === 'string' && form.test(entry))
  if (!Array.isArray(value) || fit.length !== list.length || list.length > MAX_ENTRIES)
    throw wrong(name, `a list of at most ${MAX_ENTRIES} ${expected}`)
  return fit
}

function missing(name: string): never {
  throw wrong(name, 'a list; without it the detail would be for nothing')
}

function wrong(name: string, expected: string): Refusal {
  return new Refusal('CG_IDENTITY_CLAIM', {
    internal: `claim \`authorization_details\`: \`${name}\` (expected ${expected})`,
  })
}
