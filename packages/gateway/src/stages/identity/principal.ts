import { hash } from 'node:crypto'
import type { Actor, Principal } from '../../call/call.ts'
import type { Confirmation, TokenClaims } from './claims.ts'

/** Operator's registry of actors: id to type. Who is not in it is an agent, the type that policy trusts least. */
export type ActorRegistry = Readonly<Record<string, { readonly type: Actor['type'] }>>

/**
 * Who calls, by the verified claims alone (ARCHITECTURE.md section 3): actor = `act.sub`, else `client_id`, else `sub`.
 * INVARIANT: nothing of the request but the token enters here; no header changes who is authenticated (section 5, rule 1).
 */
export function principalOf(claims: TokenClaims, tenant: string, actors: ActorRegistry): Principal {
  const id = claims.actor ?? claims.clientId ?? claims.sub
  const type = (Object.hasOwn(actors, id) ? actors[id]?.type : undefined) ?? 'agent'
  return {
    actor: { id, type },
    subject: claims.sub,
    tenant,
    clientId: claims.clientId ?? claims.authorizedParty ?? '',
    grants: claims.grants,
    details: claims.details,
    token: { iss: claims.iss, jtiHash: jtiHash(claims), exp: claims.exp, iat: claims.iat },
  }
}

/** Tenant, actor, subject and client id as a JSON array: no value can move the border between two of them. */
export function tupleOf({ token, tenant, actor, subject, clientId }: Principal): string {
  return JSON.stringify([token.iss, tenant, actor.id, subject, clientId])
}

/**
 * What a token's claim is bound to, of claims only, so that it is the same after a restart and on any node: the key that the
 * token is bound to, else the session key.
 */
export function bindingOf(tuple: string, sid: string | undefined, confirmation?: Confirmation): string {
  if (confirmation === undefined) return short(JSON.stringify([tuple, sid ?? null]))
  const { keyThumbprint, certificateThumbprint } = confirmation
  return short(JSON.stringify(['cnf', keyThumbprint ?? null, certificateThumbprint ?? null]))
}

/** Name of a token in records and in the replay store: issuer and jti hashed together, 128 bits in hex. Never the jti. */
export function jtiHash({ iss, jti }: Pick<TokenClaims, 'iss' | 'jti'>): string {
  return short(JSON.stringify([iss, jti]))
}

function short(text: string): string {
  return hash('sha256', text, 'hex').slice(0, 32)
}
