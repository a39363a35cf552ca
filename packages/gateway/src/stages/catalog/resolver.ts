import type { IdentifiedCall, Target } from '../../call/call.ts'
import { AggregatedNames } from '../../mcp/aggregate.ts'
import type { Catalog } from '../../ports/catalog.ts'

/** Says what a host's name means: bare on `/mcp/<server>`, `server__tool` on `/mcp`, where only tools are served. */
export function createResolver(catalog: Catalog) {
  let names = new AggregatedNames([])
  return {
    /** Rebuilds the names; called after every change of the catalogue. */
    rebuild(): void {
      names = new AggregatedNames(
        catalog
          .servers()
          .map((server) => [server.id, [...server.tools.keys(), ...server.withheld.keys()]] as const),
      )
    },

    /** What a call is aimed at, undefined when its name means nothing on its endpoint. */
    resolve(call: IdentifiedCall): Target | undefined {
      const { server } = call.caller.endpoint
      if (call.method === 'tools/call') {
        if (server !== undefined) return { server, kind: 'tool', name: call.requested }
        const found = names.resolve(call.requested)
        return found === undefined ? undefined : { server: found.server, kind: 'tool', name: found.tool }
      }
      if (server === undefined) return undefined
      return { server, kind: call.method === 'resources/read' ? 'resource' : 'prompt', name: call.requested }
    },
  }
}
