// Checks who calls, in a tool server behind the gate. Copy this file: it needs node:crypto and jose, and nothing of ours.
import { hash } from 'node:crypto'
import { jwtVerify, type JWTVerifyGetKey } from 'jose'

/** Who calls, as the gate vouches for it. */
export interface Caller {
  /** Issuer of the caller's own identity and the name there: only both together name one person. */
  readonly issuer: string
  readonly subject: string
  /** The agent that acts for the subject. */
  readonly actor: string
  readonly client: string
  readonly tenant: string
}

/** What a verifier knows. */
export interface VerifierOptions {
  /** `iss` of the gate's assertions. */
  readonly issuer: string
  /** Id of this server in the gate's configuration. */
  readonly server: string
  /** The gate's public keys: jose's createLocalJWKSet or createRemoteJWKSet. */
  readonly keys: JWTVerifyGetKey
}

/** Longest life of an assertion and largest difference of clocks, in seconds. */
const MAX_LIFE_S = 60
const CLOCKS_S = 5

/**
 * Makes the check of one server. It takes the body of a `tools/call` request as received, before any parser: the assertion holds a
 * hash of the very bytes of `arguments`. It rejects with an Error for whatever the gate did not vouch for.
 */
export function createCallerVerifier({ issuer, server, keys }: VerifierOptions) {
  const seen = new Map<string, number>()
  return async (body: Uint8Array): Promise<Caller> => {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
    JSON.parse(text)
    const params = memberOf(text, 'params') ?? '{}'
    const meta = memberOf(params, '_meta') ?? '{}'
    const token: unknown = JSON.parse(memberOf(meta, 'callgate/caller') ?? 'null')
    if (typeof token !== 'string') throw new Error('the call has no caller assertion')
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience: server,
      // Whatever else the gate signs is no caller assertion.
      typ: 'callgate-caller+jwt',
      algorithms: ['EdDSA', 'Ed25519', 'ES256', 'ES384', 'PS256', 'RS256'],
      requiredClaims: ['sub', 'jti', 'exp', 'iat'],
      maxTokenAge: MAX_LIFE_S,
      clockTolerance: CLOCKS_S,
    })
    const { aud, exp = Infinity, iat = 0, jti } = payload
    if (aud !== server || exp - iat > MAX_LIFE_S) throw new Error('the assertion is wider than one call')
    if (payload['tool'] !== JSON.parse(memberOf(params, 'name') ?? 'null')) {
      throw new Error('the assertion is for another tool')
    }
    if (payload['args_sha256'] !== hash('sha256', memberOf(params, 'arguments') ?? '', 'base64url')) {
      throw new Error('the assertion is for other arguments')
    }
    claimOnce(seen, text256(jti), exp)
    return {
      issuer: text256(claim(payload['sub_id'], 'iss')),
      subject: text256(payload.sub),
      actor: text256(claim(payload['act'], 'sub')),
      client: text256(payload['client_id']),
      tenant: text256(payload['tenant']),
    }
  }
}

/** One process only: servers of several processes share this in their database. */
function claimOnce(seen: Map<string, number>, jti: string, exp: number): void {
  const now = Date.now() / 1_000
  for (const [old, until] of seen) {
    if (until > now) break
    seen.delete(old)
  }
  if (seen.has(jti)) throw new Error('the assertion was used before')
  seen.set(jti, exp + CLOCKS_S)
}

function claim(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.getOwnPropertyDescriptor(value, name)?.value
    : undefined
}

function text256(value: unknown): string {
  if (typeof value !== 'string' || value.length > 1_024) throw new Error('the assertion lacks a claim')
  return value
}

/**
 * Text of a member of a JSON object exactly as it is written there; undefined: no such member. A member that is there twice is
 * refused: another parser could read the other one.
 * @param json one object, proven by JSON.parse
 */
export function memberOf(json: string, name: string): string | undefined {
  let depth = 0
  let key: unknown
  let from = 0
  let found: string | undefined
  for (const { 0: token, index } of json.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g)) {
    const ends = depth === 1 && (token === ',' || token === '}')
    if (ends && key === name) {
      if (found !== undefined) throw new Error(`the call has two members \`${name}\``)
      found = json.slice(from, index).trim()
    }
    if (ends) key = undefined
    else if (depth === 1 && key === undefined) key = JSON.parse(token)
    else if (depth === 1 && token === ':') from = index + 1
    if (token === '{' || token === '[') depth++
    else if (token === '}' || token === ']') depth--
  }
  return found
}
