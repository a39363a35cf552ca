import type { Principal, Proof } from '../../call/call.ts'
import { type JsonObject, member } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import type { Enrolled } from '../../ports/enrolments.ts'
import type { TokenClaims } from './claims.ts'
import { type ProofRules, type ProvenKey, checkProofOfKey } from './dpop.ts'
import { type ActorRegistry, principalOf } from './principal.ts'
import { shown } from './shown.ts'

/**
 * Who calls with a token of an enrolled key. The holder of such a key writes its tokens itself, so nothing in them is believed:
 * each claim must say what the operator enrolled, and the principal is made of the enrolment.
 * @throws Refusal CG_IDENTITY_ENROLMENT naming the claim, CG_IDENTITY_GRANTS for more scope than was enrolled
 */
export function enrolledPrincipal(
  claims: TokenClaims,
  payload: JsonObject,
  typ: string | undefined,
  enrolled: Enrolled,
  actors: ActorRegistry,
): Principal {
  const { thumbprint, clientId, actor, subject, tenant, scope } = enrolled
  // The same key signs proofs: only what is named an access token passes as one (RFC 9068 section 2.1, RFC 8725 section 3.11).
  if (typ?.toLowerCase() !== 'at+jwt') throw otherwise('header `typ`', 'at+jwt')
  if (claims.confirmation?.keyThumbprint !== thumbprint) throw otherwise('claim `cnf.jkt`', thumbprint)
  if (claims.sub !== subject) throw otherwise('claim `sub`', subject)
  if (claims.clientId !== clientId) throw otherwise('claim `client_id`', clientId)
  if (claims.actor !== actor.id) throw otherwise('claim `act.sub`', actor.id)
  if (member(payload, 'tenant') !== tenant) throw otherwise('claim `tenant`', tenant)
  // Purposes are what rules allow by, and nobody has enrolled any.
  if (member(payload, 'authorization_details') !== undefined)
    throw otherwise('claim `authorization_details`', 'none')
  const wider = claims.grants.find((grant) => !scope.includes(grant))
  if (wider !== undefined) {
    throw new Refusal('CG_IDENTITY_GRANTS', {
      internal: `client ${shown(clientId)} is not enrolled for the grant ${shown(wider)}`,
    })
  }
  // The configuration knows actors too, and what the operator wrote there counts before what was said at the enrolment.
  return principalOf(claims, tenant, Object.hasOwn(actors, actor.id) ? actors : { [actor.id]: actor })
}

/** @throws always: the enrolment of this issuer's key never was, or is over */
export function refuseEnded(): never {
  throw new Refusal('CG_IDENTITY_ENROLMENT_ENDED', {
    internal: 'no enrolment stands for the key of this issuer: it never was, was revoked or has expired',
  })
}

/** What proofs of new keys are judged by. */
export interface NewKeyRules extends ProofRules {
  /** Claims a proof, durably. @returns whether it is its first use */
  readonly claim: (id: string, exp: number) => Promise<boolean>
}

/**
 * Takes the proof of a key that is to be enrolled.
 * @throws Refusal CG_IDENTITY_PROOF, CG_IDENTITY_NONCE
 */
export async function proveNewKey(
  proof: Proof | undefined,
  now: number,
  rules: NewKeyRules,
): Promise<ProvenKey> {
  if (proof === undefined)
    throw new Refusal('CG_IDENTITY_PROOF', { internal: 'the request has no DPoP proof, or more than one' })
  const proven = checkProofOfKey(proof, now / 1_000, rules)
  if (await rules.claim(proven.id, proven.exp)) return proven
  throw new Refusal('CG_IDENTITY_PROOF', { internal: `DPoP proof ${proven.id} was used before` })
}

function otherwise(what: string, expected: string): Refusal {
  return new Refusal('CG_IDENTITY_ENROLMENT', {
    internal: `${what} says something else than was enrolled (expected ${shown(expected)})`,
  })
}
