import type { IdentifiedCall, Target } from '../../call/call.ts'
import { AggregatedNames } from '../../mcp/aggregate.ts'
import { serverOfWireName, serverOfWireUri, wireName } from '../../mcp/naming.ts'
import type { Catalog } from '../../ports/catalog.ts'

/** Prompts whose wire names had to be changed or cut that are remembered; the oldest go first. */
const MAX_PROMPTS = 10_000

/** Says what a host's name means: bare on `/mcp/<server>`; on `/mcp` `server__tool`, `server__prompt` and `server+uri`. */
export function createResolver(catalog: Catalog) {
  let names = new AggregatedNames([])
  const prompts = new Map<string, { readonly server: string; readonly name: string }>()

  /** A prompt by its wire name: as it stands where that is the whole name, else as it was once listed. */
  function promptOf(wire: string): { readonly server: string; readonly name: string } | undefined {
    const server = serverOfWireName(wire)
    if (server === undefined || catalog.server(server) === undefined) return undefined
    const name = wire.slice(server.length + 2)
    return name !== '' && wireName(server, name) === wire ? { server, name } : prompts.get(wire)
  }

  return {
    promptOf,

    learnPrompts(server: string, listed: readonly string[]): void {
      for (const name of listed) {
        const wire = wireName(server, name)
        if (wire !== `${server}__${name}`) prompts.set(wire, { server, name })
      }
      for (const oldest of prompts.keys()) {
        if (prompts.size <= MAX_PROMPTS) return
        prompts.delete(oldest)
      }
    },

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
      if (server === undefined && call.method === 'prompts/get') {
        const found = promptOf(call.requested)
        return found === undefined ? undefined : { ...found, kind: 'prompt' }
      }
      if (server === undefined) {
        const found = serverOfWireUri(call.requested)
        return found === undefined ? undefined : { server: found.server, kind: 'resource', name: found.uri }
      }
      return { server, kind: call.method === 'resources/read' ? 'resource' : 'prompt', name: call.requested }
    },
  }
}
