import { member, stringMember, type JsonObject } from '../../call/json.ts'
import type { Reply } from './door.ts'
import { NotObtained, type Affected } from './fault.ts'
import type { Obtained } from './kept.ts'
import { SHOWABLE } from './options.ts'

/** Type of the tokens that are asked for (RFC 8693 section 3). */
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
/** Type of the assertions that the gate signs, and of access tokens that an issuer calls by their form. */
export const JWT = 'urn:ietf:params:oauth:token-type:jwt'

/** How long a token is used whose issuer does not say how long it lives, in seconds; a 401 ends it earlier. */
const UNSAID_LIFE_S = 60
/** Longest that any token is used, in seconds: what the issuer takes back is gone after that. */
const MAX_KEEP_S = 3_600

/**
 * Errors of RFC 6749 section 5.2, RFC 8693 section 2.2.2 and what is customary beside them, by whom they concern. An error that is
 * not here is not repeated: its text is the issuer's, and may hold what was sent to it.
 */
const ERRORS: ReadonlyMap<string, Affected> = new Map([
  ['invalid_client', 'everyone'],
  ['unauthorized_client', 'everyone'],
  ['unsupported_grant_type', 'everyone'],
  ['temporarily_unavailable', 'everyone'],
  ['server_error', 'everyone'],
  ['slow_down', 'everyone'],
  ['invalid_request', 'caller'],
  ['invalid_grant', 'caller'],
  ['invalid_scope', 'caller'],
  ['invalid_target', 'caller'],
  ['access_denied', 'caller'],
])

/**
 * Judges the answer of a token endpoint strictly: what the gate would show to a server is a bearer token, no wider than asked for.
 * @throws NotObtained
 */
export function judgeTokenAnswer(
  server: string,
  asked: { readonly scope: string | undefined; readonly exchange: boolean },
  { status, retryAfterMs, body }: Reply,
): Obtained {
  const endpoint = `token endpoint of server \`${server}\``
  if (status !== 200) throw errorOf(endpoint, server, asked.exchange, { status, retryAfterMs, body })
  if (body === undefined) throw new NotObtained('everyone', `${endpoint} answers without a JSON object`)
  const token = stringMember(body, 'access_token')
  const fault =
    token === undefined || !SHOWABLE.test(token)
      ? 'gives no access token of 1 to 8192 visible ASCII characters'
      : (faultOfType(body, asked.exchange) ?? faultOfScope(body, asked.scope))
  if (fault !== undefined) throw new NotObtained('caller', `${endpoint} ${fault}`)
  return { headers: ['authorization', `Bearer ${token}`], keepMs: keepMsOf(body, endpoint) }
}

function faultOfType(body: JsonObject, exchange: boolean): string | undefined {
  const type = stringMember(body, 'token_type')?.toLowerCase()
  if (type === 'dpop') return 'gives a DPoP token, which only its key could use; have it give bearer tokens'
  if (type !== 'bearer') return 'gives a token whose `token_type` is not Bearer'
  if (!exchange) return undefined
  const issued = stringMember(body, 'issued_token_type')
  return issued === ACCESS_TOKEN || issued === JWT
    ? undefined
    : 'gives an exchanged token whose `issued_token_type` is not that of an access token (RFC 8693 s2.2.1)'
}

/** RFC 6749 section 3.3: an issuer may give less than was asked for. More than was asked for is no answer to this question. */
function faultOfScope(body: JsonObject, asked: string | undefined): string | undefined {
  const given = member(body, 'scope')
  if (given === undefined) return undefined
  if (typeof given !== 'string') return 'gives a token whose `scope` is not a string'
  if (asked === undefined) return undefined
  const wanted = new Set(asked.split(' '))
  const wider = given.split(' ').some((scope) => scope !== '' && !wanted.has(scope))
  return wider ? `gives a token for more than the scope \`${asked}\` that was asked for` : undefined
}

/** How long to use a token: until a tenth of its life is left, at least 5 and at most 60 seconds. */
function keepMsOf(body: JsonObject, endpoint: string): number {
  const said = member(body, 'expires_in')
  const lifeS = said === undefined ? UNSAID_LIFE_S : said
  if (typeof lifeS !== 'number' || !Number.isSafeInteger(lifeS) || lifeS < 1) {
    throw new NotObtained('caller', `${endpoint} gives a token whose \`expires_in\` is no positive integer`)
  }
  const margin = Math.min(60, Math.max(5, lifeS / 10))
  return Math.max(0, Math.min(lifeS - margin, MAX_KEEP_S)) * 1_000
}

function errorOf(
  endpoint: string,
  server: string,
  exchange: boolean,
  { status, retryAfterMs, body }: Reply,
): NotObtained {
  const http = `HTTP ${status}`
  if (status === 429)
    return new NotObtained('everyone', `${endpoint} is asked too often (${http})`, { retryAfterMs })
  if (status >= 500) return new NotObtained('everyone', `${endpoint} fails (${http})`, { retryAfterMs })
  const error = body === undefined ? undefined : stringMember(body, 'error')
  const affects = error === undefined ? undefined : ERRORS.get(error)
  if (affects === undefined) {
    // Refused in words of its own: with an exchange that is mostly about the one who is asked for.
    const affected = status === 400 || (exchange && status === 403) ? 'caller' : 'everyone'
    return new NotObtained(affected, `${endpoint} refuses without an error that OAuth names (${http})`)
  }
  const fix =
    error === 'invalid_client' ? `; check \`servers.${server}.credentials.clientId\` and \`auth\`` : ''
  return new NotObtained(affects, `${endpoint} refuses with \`${error}\` (${http})${fix}`, {
    retryAfterMs,
    error,
  })
}
