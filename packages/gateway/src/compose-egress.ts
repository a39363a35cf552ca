import { createDnsResolver } from './adapters/dns/resolver.ts'
import type { Classified } from './config/classify.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { enforcedEarly } from './config/rollout.ts'
import { egressRules } from './config/egress-rules.ts'
import type { EgressOptions, TargetEgress } from './stages/egress/egress.ts'

/** What row 8 goes by: the operator's rules by server, and the DNS. */
export function openEgress(
  config: GatewayConfig,
  classifiers: ReadonlyMap<string, (tool: string) => Classified>,
): EgressOptions {
  const { resolve, resolvers } = config.egress
  const rules = new Map<string, TargetEgress>(
    Object.keys(config.servers).map((server) => [server, egressRules(config, server)]),
  )
  const fallback = egressRules(config, undefined)
  const early = enforcedEarly(config.rollout, { control: 'egress' })
  return {
    rulesFor: ({ server, kind, name }, principal) => {
      if (kind === 'tool' && classifiers.get(server)?.(name).urls === 'content') return undefined
      const found = rules.get(server) ?? fallback
      return found.mode === 'observe' && early?.(principal, server) === true
        ? { ...found, mode: 'enforce' }
        : found
    },
    resolver: resolve ? createDnsResolver(resolvers === undefined ? {} : { servers: resolvers }) : undefined,
  }
}
