import type { EgressRules } from '../net/egress.ts'
import type { GatewayConfig } from './declaration.ts'

/**
 * The egress rules for the tools of a server.
 * @param server undefined: those of servers that say nothing themselves
 */
export function egressRules(
  { egress, servers }: Pick<GatewayConfig, 'egress' | 'servers'>,
  server: string | undefined,
): EgressRules & { readonly mode: 'observe' | 'enforce' } {
  const own = server === undefined ? undefined : servers[server]?.egress
  return {
    mode: own?.mode ?? egress.mode,
    schemes: own?.schemes ?? egress.schemes,
    ports: own?.ports ?? egress.ports,
    allow: own?.allow ?? egress.allow,
    deny: [...egress.deny, ...(own?.deny ?? [])],
  }
}
