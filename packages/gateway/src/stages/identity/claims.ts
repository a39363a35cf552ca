import type { AuthorizationDetail } from '../../call/authorization.ts'
import type { Json, JsonObject } from '../../call/json.ts'
import { isJsonObject, member } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import type { ScanOptions } from '../../mcp/json-scan.ts'
import { parseDetails } from './details.ts'
import { parseGrants } from './grants.ts'
import { parseJsonPart } from './jws.ts'
import { canonicalResource } from './resource.ts'
import { shown } from './shown.ts'

/** Longest accepted token life, in seconds. Cannot be raised. Source: playbook Play 2 ("exp <= 10m"). */
export const MAX_TOKEN_LIFE_S = 600

/** Longest life under an exception, in seconds: tokens of Entra live up to 90 minutes. */
export const MAX_EXCEPTION_LIFE_S = 5_400

/** Largest accepted clock skew, in seconds. Source: SECURITY.md 1.2. */
export const MAX_CLOCK_SKEW_S = 60

/** Longest text of one claim, in characters. */
const MAX_CLAIM_CHARS = 512
/** Most audiences in one token. */
const MAX_AUDIENCES = 32
/** Last second that a JavaScript date can name. */
const MAX_NUMERIC_DATE = 8_640_000_000_000

/** Whoever uses a token must also show a key: by a DPoP proof, by a client certificate, or both. */
export interface Confirmation {
  /** `jkt`: thumbprint of the DPoP key (RFC 9449 section 6.1). */
  readonly keyThumbprint: string | undefined
  /** `x5t#S256`: thumbprint of the client certificate (RFC 8705 section 3.1). */
  readonly certificateThumbprint: string | undefined
}

/** What an issuer calls a claim that it has under another name. */
export interface ClaimNames {
  /** Default `client_id`. */
  readonly clientId?: string
  /** Default `jti`. */
  readonly jti?: string
  /** Default `sid`, else `grant_id`. */
  readonly sid?: string
}

/** What an issuer cannot do, let pass for a while. Past its end its tokens are judged as those of every other issuer. */
export interface IssuerException {
  /** Milliseconds since the epoch at which it ends; no token under it lives longer. */
  readonly until: number
  /** Claims that its tokens lack: `nbf` then counts from `iat`, and the whole token stands for its `jti`. */
  readonly without: readonly ('nbf' | 'jti')[]
  /** Seconds, 1 to MAX_EXCEPTION_LIFE_S. Default: as every other issuer. */
  readonly maxTokenLifeS?: number
  /** Audiences that are taken for this gate, beside its own URLs: letter by letter. */
  readonly audiences: readonly string[]
}

/** How the tokens of one issuer are read. */
export interface ClaimRules {
  readonly claims?: ClaimNames
  readonly exception?: IssuerException
}

/** What a token says, each member typed. True only once the signature holds. */
export interface TokenClaims {
  readonly iss: string
  readonly sub: string
  /** Canonical; what is not an absolute URI stays as it is. */
  readonly aud: readonly string[]
  /** Seconds since the epoch, as are exp and nbf; they may have a fraction (RFC 7519 s2). */
  readonly iat: number
  readonly exp: number
  readonly nbf: number
  readonly jti: string
  /** `client_id` (RFC 9068). */
  readonly clientId: string | undefined
  /** `azp` (OpenID Connect): names the client for records, never the actor. */
  readonly authorizedParty: string | undefined
  /** `act.sub` (RFC 8693 s4.1): the outermost, current actor. */
  readonly actor: string | undefined
  /** `sid`, else `grant_id` (OAuth grant management): both outlive a refresh. */
  readonly sid: string | undefined
  /** What the token is bound to (RFC 7800 `cnf`); undefined: it is a bearer token. */
  readonly confirmation: Confirmation | undefined
  /** The token asks to be claimed once in every replay mode. */
  readonly once: boolean
  readonly grants: readonly string[]
  /** What the token is for; undefined: it does not say. */
  readonly details: readonly AuthorizationDetail[] | undefined
}

/** Payload bounds. A token of 8,192 characters has no honest use for more. */
export const PAYLOAD_SCAN: ScanOptions = {
  maxBytes: 8_192,
  maxDepth: 16,
  maxKeys: 256,
  twinKeys: {
    '': [
      'iss',
      'sub',
      'aud',
      'exp',
      'nbf',
      'iat',
      'jti',
      'client_id',
      'azp',
      'act',
      'cnf',
      'sid',
      'grant_id',
      'once',
      'scope',
      'scp',
      'authorization_details',
    ],
  },
}

/** Parses a payload that is proven unambiguous. @throws Refusal CG_IDENTITY_MALFORMED */
export function parsePayload(bytes: Uint8Array): JsonObject {
  return parseJsonPart(bytes, PAYLOAD_SCAN, 'payload')
}

/** The exception of an issuer that is in force. @param now milliseconds since the epoch */
export function exceptionOf(rules: ClaimRules, now: number): IssuerException | undefined {
  return rules.exception !== undefined && now < rules.exception.until ? rules.exception : undefined
}

/**
 * Reads the claims of play2.jwt-claims: aud, iss, sub, iat, exp, nbf and jti are all required.
 * @param names what the issuer calls them
 * @param exception what its tokens may lack
 * @param tokenId stands for a `jti` that the exception lets them lack: the hash of the whole token
 * @throws Refusal CG_IDENTITY_CLAIM naming the claim, CG_IDENTITY_WILDCARD for a grant with `*`
 */
export function parseClaims(
  payload: JsonObject,
  names: ClaimNames = {},
  exception?: IssuerException,
  tokenId = '',
): TokenClaims {
  const may = (name: 'nbf' | 'jti'): boolean => exception?.without.includes(name) === true
  const jtiName = names.jti ?? 'jti'
  const once = member(payload, 'once')
  if (once !== undefined && typeof once !== 'boolean') throw wrong('once', 'a boolean', once)
  const claims = {
    iss: requiredText(payload, 'iss'),
    sub: requiredText(payload, 'sub'),
    aud: audiences(payload),
    iat: numericDate(payload, 'iat'),
    exp: numericDate(payload, 'exp'),
    nbf: numericDate(payload, may('nbf') && member(payload, 'nbf') === undefined ? 'iat' : 'nbf'),
    jti: may('jti') ? (optionalText(payload, jtiName) ?? tokenId) : requiredText(payload, jtiName),
    clientId: optionalText(payload, names.clientId ?? 'client_id'),
    authorizedParty: optionalText(payload, 'azp'),
    actor: actorOf(payload),
    sid:
      names.sid === undefined
        ? (optionalText(payload, 'sid') ?? optionalText(payload, 'grant_id'))
        : optionalText(payload, names.sid),
    confirmation: confirmationOf(payload),
    once: once === true,
    grants: parseGrants(payload),
    details: parseDetails(payload),
  }
  if (claims.exp <= claims.iat) {
    throw new Refusal('CG_IDENTITY_CLAIM', {
      internal: `claim \`exp\` is ${shown(claims.exp)}, \`iat\` is ${shown(claims.iat)} (expected a token that ends after it was issued)`,
    })
  }
  return claims
}

/** Issuers that cannot mint such tokens (Entra, Okta, Keycloak as they come) meet this sentence. */
const WAYS_OUT =
  'change the issuer, let an operator grant it an exception that ends (`identity.issuers[].exception`), or exchange the token at an issuer that can'

/** Refuses a token that lives too long, however much of its life is left. @throws Refusal CG_IDENTITY_LIFETIME */
export function checkLifetime(claims: TokenClaims, maxTokenLifeS: number): void {
  const lifeS = claims.exp - claims.iat
  if (lifeS <= maxTokenLifeS) return
  throw new Refusal('CG_IDENTITY_LIFETIME', {
    internal: `token lives ${lifeS} s, at most ${maxTokenLifeS} s allowed; ${WAYS_OUT}`,
    publicText: `the access token lives longer than this gate accepts; ${WAYS_OUT}`,
  })
}

/**
 * Judges a token against the clock; asked on every call, also for a token verified before.
 * @param nowS seconds since the epoch
 * @throws Refusal CG_IDENTITY_EXPIRED or CG_IDENTITY_NOT_YET_VALID
 */
export function checkTimes(claims: TokenClaims, nowS: number, skewS: number): void {
  if (nowS >= claims.exp + skewS) {
    throw new Refusal('CG_IDENTITY_EXPIRED', {
      internal: `claim \`exp\` is ${shown(claims.exp)}, the clock says ${shown(nowS)} (skew allowed: ${skewS} s)`,
    })
  }
  if (nowS < claims.nbf - skewS || nowS < claims.iat - skewS) {
    const name = nowS < claims.nbf - skewS ? 'nbf' : 'iat'
    throw new Refusal('CG_IDENTITY_NOT_YET_VALID', {
      internal: `claim \`${name}\` is ${shown(claims[name])}, the clock says ${shown(nowS)} (skew allowed: ${skewS} s)`,
    })
  }
}

/**
 * Refuses a token that was not made for this endpoint (RFC 8707; CWE-441 confused deputy).
 * @param accepted canonical URIs (acceptedAudiences)
 * @throws Refusal CG_IDENTITY_AUDIENCE
 */
export function checkAudience(claims: TokenClaims, accepted: readonly string[]): void {
  if (claims.aud.some((audience) => accepted.includes(audience))) return
  throw new Refusal('CG_IDENTITY_AUDIENCE', {
    internal: `claim \`aud\` is ${shown(claims.aud)} (expected ${accepted.map(shown).join(' or ')})`,
  })
}

/** A claim that must be there as a text. @throws Refusal CG_IDENTITY_CLAIM */
export function requiredText(object: JsonObject, name: string): string {
  const value = optionalText(object, name)
  if (value === undefined) throw missing(name)
  return value
}

/** Texts name people, tenants and sessions in policy and records: controls and bidi marks would forge those lines. */
function optionalText(object: JsonObject, name: string, path = name): string | undefined {
  const value = member(object, name)
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw wrong(path, 'a string', value)
  if (value === '' || value.length > MAX_CLAIM_CHARS || /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(value)) {
    throw wrong(path, `1 to ${MAX_CLAIM_CHARS} characters without controls`, value)
  }
  return value
}

function numericDate(payload: JsonObject, name: 'iat' | 'exp' | 'nbf'): number {
  const value = member(payload, name)
  if (value === undefined) throw missing(name)
  if (typeof value !== 'number' || !(value > 0 && value <= MAX_NUMERIC_DATE)) {
    throw wrong(name, 'seconds since the epoch', value)
  }
  return value
}

function audiences(payload: JsonObject): readonly string[] {
  const value = member(payload, 'aud')
  if (value === undefined) throw missing('aud')
  const list = Array.isArray(value) ? value : [value]
  if (list.length === 0 || list.length > MAX_AUDIENCES) {
    throw wrong('aud', `a string or 1 to ${MAX_AUDIENCES} of them`, value)
  }
  return list.map((entry: Json) => {
    if (typeof entry !== 'string' || entry === '')
      throw wrong('aud', 'a string or an array of strings', value)
    return canonicalResource(entry) ?? entry
  })
}

function actorOf(payload: JsonObject): string | undefined {
  const act = member(payload, 'act')
  if (act === undefined) return undefined
  if (!isJsonObject(act)) throw wrong('act', 'an object with `sub`', act)
  const sub = optionalText(act, 'sub', 'act.sub')
  // An `act` that names nobody would fall back to the client and attribute the call to the wrong party.
  if (sub === undefined) throw missing('act.sub')
  return sub
}

/** A key that cannot be checked here binds the token to somebody else: such a token is refused, not taken as a bearer token. */
function confirmationOf(payload: JsonObject): Confirmation | undefined {
  const cnf = member(payload, 'cnf')
  if (cnf === undefined) return undefined
  if (!isJsonObject(cnf)) throw wrong('cnf', 'an object', cnf)
  const unknown = Object.keys(cnf).find((name) => name !== 'jkt' && name !== 'x5t#S256')
  const confirmation = {
    keyThumbprint: thumbprint(cnf, 'jkt'),
    certificateThumbprint: thumbprint(cnf, 'x5t#S256'),
  }
  const none = confirmation.keyThumbprint === undefined && confirmation.certificateThumbprint === undefined
  if (unknown !== undefined || none) {
    throw new Refusal('CG_IDENTITY_CLAIM', {
      internal: `claim \`cnf\` ${none ? 'names no key' : `has ${shown(unknown ?? '')}`} (expected \`jkt\` or \`x5t#S256\`)`,
    })
  }
  return confirmation
}

/** SHA-256 in base64url without padding. */
function thumbprint(cnf: JsonObject, name: string): string | undefined {
  const text = optionalText(cnf, name, `cnf.${name}`)
  if (text === undefined || /^[A-Za-z0-9_-]{43}$/.test(text)) return text
  throw wrong(`cnf.${name}`, 'a SHA-256 thumbprint of 43 base64url characters', text)
}

function missing(name: string): Refusal {
  return new Refusal('CG_IDENTITY_CLAIM', {
    internal: `claim \`${name}\` is missing (required: aud iss sub iat exp nbf jti); ${WAYS_OUT}`,
    publicText: `the access token lacks a claim that is required here; ${WAYS_OUT}`,
  })
}

/** Names kind and size of a wrong value, not the value: it may be a `jti` or hold a credential. */
function wrong(name: string, expected: string, value: Json): Refusal {
  const kind = value === null ? 'null' : Array.isArray(value) ? `array of ${value.length}` : typeof value
  const size = typeof value === 'string' ? ` of ${value.length} characters` : ''
  return new Refusal('CG_IDENTITY_CLAIM', {
    internal: `claim \`${name}\` is \`${kind}${size}\` (expected ${expected})`,
  })
}
