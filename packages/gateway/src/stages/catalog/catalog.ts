import type { IdentifiedCall, ResolvedCall, Target } from '../../call/call.ts'
import type { ReasonCode } from '../../call/reason-code.ts'
import { Refusal } from '../../call/refusal.ts'
import type { Stage } from '../../call/stage.ts'
import type { Catalog, CatalogServer, ToolState } from '../../ports/catalog.ts'

/** Tells what the host's name means on an endpoint; undefined when it means nothing there. */
export type Resolve = (call: IdentifiedCall) => Target | undefined

const WITHHELD: Record<ToolState, ReasonCode> = {
  pending: 'CG_CATALOG_NOT_APPROVED',
  drifted: 'CG_CATALOG_DRIFTED',
  refused: 'CG_CATALOG_REFUSED',
}

/** Row 2: finds the server, the pinned tool and the operator's class of it. Unknown means refused (playbook Play 7, inventory). */
export function createCatalogStage(catalog: Catalog, resolve: Resolve): Stage<IdentifiedCall, ResolvedCall> {
  return {
    name: 'catalog',
    budgetMs: 50,
    run(call) {
      const target = resolve(call)
      const server = target === undefined ? undefined : catalog.server(target.server)
      if (target === undefined || server === undefined) {
        throw new Refusal(target === undefined ? 'CG_CATALOG_UNKNOWN_TOOL' : 'CG_CATALOG_UNKNOWN_SERVER', {
          internal: `no such ${call.method === 'tools/call' ? 'tool' : 'target'} on endpoint \`${call.caller.endpoint.server ?? '/mcp'}\``,
        })
      }
      if (target.kind === 'tool') return resolveTool(call, target, server)
      // The protocol's own reads: what they return is data of the server, so they count as its read class.
      return { ...call, target, class: 'read', labels: [], digest: undefined, schema: undefined }
    },
  }
}

function resolveTool(call: IdentifiedCall, target: Target, server: CatalogServer): ResolvedCall {
  const tool = server.tools.get(target.name)
  if (tool !== undefined) {
    return {
      ...call,
      target,
      class: tool.class,
      labels: tool.labels,
      digest: tool.digest,
      schema: tool.schema,
    }
  }
  const withheld = server.withheld.get(target.name)
  if (withheld !== undefined) throw new Refusal(WITHHELD[withheld.state], { internal: withheld.why, target })
  if (server.tools.size === 0 && server.state !== 'ready') {
    throw new Refusal('CG_CATALOG_NOT_READY', {
      internal: `server \`${server.id}\` has not listed its tools yet`,
    })
  }
  throw new Refusal('CG_CATALOG_UNKNOWN_TOOL', { internal: `server \`${server.id}\` has no such tool` })
}
