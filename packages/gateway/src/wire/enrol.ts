import type { Proof } from '../call/call.ts'
import { isJsonObject, stringMember } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import { JsonFault, type ScanOptions, scanJson } from '../mcp/json-scan.ts'
import type { Enrolled, EnrolledJwk } from '../ports/enrolments.ts'
import type { ProvenKey } from '../stages/identity/dpop.ts'
import { type Exchange, countOf, readBody, send } from './http-listener.ts'
import { one } from './request-headers.ts'

/** Path at which a code is redeemed. */
export const ENROL_PATH = '/enrol'

/** A code in its object, and room for a host that likes white space. */
const MAX_BODY_BYTES = 1_024
const SCAN: ScanOptions = { maxBytes: MAX_BODY_BYTES, maxDepth: 2, maxKeys: 4, twinKeys: { '': ['code'] } }

export interface EnrolOptions {
  readonly publicUrl: string
  readonly proveKey: (proof: Proof | undefined, peer: string, now: number) => Promise<ProvenKey>
  readonly refund: (peer: string) => void
  /** @throws Refusal CG_ENROL_CODE, CG_ENROL_UNAVAILABLE */
  readonly redeem: (
    code: string,
    jwk: EnrolledJwk,
    peer: string,
  ) => Promise<Enrolled & { readonly issuer: string }>
  readonly now: () => number
}

/**
 * `POST /enrol`: takes a code once and binds it to the key whose DPoP proof comes with it.
 * The proof is judged first and paid from the peer's budget, so that whoever guesses pays for each guess; it names this URL, so
 * that a gate which was handed a code for another one cannot pass it on with its own or the user's key.
 * @returns the handler; it throws Refusal
 */
export function createEnrol({ publicUrl, proveKey, refund, redeem, now }: EnrolOptions) {
  return async function enrol(exchange: Exchange): Promise<void> {
    const { request, peer } = exchange
    const body = await readBody(exchange, MAX_BODY_BYTES)
    const code = codeIn(body)
    const jwt = countOf(request, 'dpop') === 1 ? one(request.headers['dpop']) : undefined
    const proof =
      jwt === undefined
        ? undefined
        : {
            jwt,
            httpMethod: 'POST',
            url: `${publicUrl}${ENROL_PATH}`,
            headers: request.rawHeaders,
            body,
          }
    const { jwk } = await proveKey(proof, peer, now())
    const enrolled = await redeem(code, pointOf(jwk), peer)
    refund(peer)
    const answer = {
      client_id: enrolled.clientId,
      issuer: enrolled.issuer,
      audience: publicUrl,
      subject: enrolled.subject,
      actor: enrolled.actor.id,
      actor_type: enrolled.actor.type,
      tenant: enrolled.tenant,
      scope: enrolled.scope.join(' '),
      expires_at: new Date(enrolled.endsAt).toISOString(),
    }
    send(exchange, 200, ['Content-Type', 'application/json'], Buffer.from(JSON.stringify(answer)))
  }
}

/** @throws Refusal CG_WIRE_SYNTAX, CG_WIRE_PARAMS. What has no form of a code is for the registry to refuse, like every wrong one */
function codeIn(body: Buffer): string {
  try {
    scanJson(body, SCAN)
  } catch (cause) {
    if (!(cause instanceof JsonFault)) throw cause
    throw new Refusal('CG_WIRE_SYNTAX', { internal: `the body is not strict JSON: ${cause.message}`, cause })
  }
  const value: unknown = JSON.parse(body.toString('utf8'))
  const code =
    isJsonObject(value) && Object.keys(value).length === 1 ? stringMember(value, 'code') : undefined
  if (code !== undefined) return code
  throw new Refusal('CG_WIRE_PARAMS', { internal: 'the body is not `{"code": "..."}`' })
}

/** @throws Refusal CG_IDENTITY_PROOF for a key of another kind, which ES256 does not sign with anyway */
function pointOf(jwk: ProvenKey['jwk']): EnrolledJwk {
  const { kty, crv, x, y } = jwk
  if (kty === 'EC' && crv === 'P-256' && typeof x === 'string' && typeof y === 'string')
    return { kty, crv, x, y }
  throw new Refusal('CG_IDENTITY_PROOF', { internal: 'DPoP proof: the key is no point of P-256' })
}
