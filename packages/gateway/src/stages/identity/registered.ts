import type { Principal } from '../../call/call.ts'
import { Refusal } from '../../call/refusal.ts'
import { shown } from './shown.ts'

/** What the operator has registered of clients and purposes. */
export interface Registered {
  /** Grants that the tokens of a client may hold, by its id; default: whatever its issuer gives it. */
  readonly clients?: Readonly<Record<string, { readonly grants: readonly string[] }>>
  /** Purposes that a token may be for; default none. */
  readonly purposes?: readonly string[]
}

/**
 * Holds a token to what the operator registered: an issuer that gives more must not widen it (RFC 9396 section 6.1).
 * @throws Refusal CG_IDENTITY_GRANTS, CG_IDENTITY_CLAIM for a purpose that is not one of the operator's
 */
export function checkRegistered(
  { clientId, grants, details = [] }: Principal,
  { clients = {}, purposes = [] }: Registered,
): void {
  const registered = Object.hasOwn(clients, clientId) ? clients[clientId]?.grants : undefined
  const wider = registered && grants.find((grant) => !registered.includes(grant))
  if (wider !== undefined) {
    throw new Refusal('CG_IDENTITY_GRANTS', {
      internal: `client ${shown(clientId)} is not registered for the grant ${shown(wider)}`,
    })
  }
  for (const { purpose } of details) {
    if (purpose === undefined || purposes.includes(purpose)) continue
    throw new Refusal('CG_IDENTITY_CLAIM', {
      internal: `purpose ${shown(purpose)} is none of \`identity.purposes\``,
    })
  }
}
