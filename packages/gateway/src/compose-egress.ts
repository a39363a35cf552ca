import { createDnsResolver } from './adapters/dns/resolver.ts'
import type { Classified } from './config/classify.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { modeOf } from './config/rollout.ts'
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
  const modeFor = modeOf(config.rollout, 'egress')
  return {
    rulesFor: ({ server, kind, name }, principal) => {
      if (kind === 'tool' && classifiers.get(server)?.(name).urls === 'content') return undefined
      const found = rules.get(server) ?? fallback
      const mode = modeFor(found.mode, principal, server)
      return mode === found.mode ? found : { ...found, mode }
    },
    resolver: resolve ? createDnsResolver(resolvers === undefined ? {} : { servers: resolvers }) : undefined,
  }
}
