import { endOfDay } from './config/check.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { createIdentity, type IdentityDeps, type IdentityOptions } from './stages/identity/identity.ts'

/** Opens what tells who calls, as the configuration says. @param heard what is to happen when a token turns out to be used twice */
export function openIdentity(
  { identity }: GatewayConfig,
  deps: IdentityDeps,
  heard: Pick<IdentityOptions, 'onReplayed' | 'onRevoked'>,
) {
  return createIdentity(deps, {
    ...heard,
    issuers: identity.issuers.map(({ issuer, tenantClaim, claims, exception }) => ({
      issuer,
      ...(tenantClaim === undefined ? {} : { tenantClaim }),
      ...(claims === undefined ? {} : { claims }),
      ...(exception === undefined ? {} : { exception: { ...exception, until: endOfDay(exception.until) } }),
    })),
    algorithms: identity.algorithms,
    actors: identity.actors,
    replay: identity.replay,
    messageSignatures: identity.messageSignatures,
    certificates: identity.certificates,
    clients: identity.clients,
    purposes: identity.purposes,
    clockSkewS: identity.clockSkewS,
    maxTokenLifeS: identity.maxTokenLifeS,
    missesPerS: identity.missesPerPeer.perSecond,
    missBurst: identity.missesPerPeer.burst,
  })
}
