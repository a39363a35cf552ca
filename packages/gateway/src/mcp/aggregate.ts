import { serverOfWireName, wireNames } from './naming.ts'

/**
 * Wire names of the aggregated `/mcp` and what they mean, for one state of the catalogue.
 * Built whole and swapped whole, so a lookup never sees half a change.
 */
export class AggregatedNames {
  readonly #byServer: ReadonlyMap<string, ReadonlyMap<string, string>>

  /** @param names tool names by server id, served and withheld ones: a withheld tool must be refused by its own reason */
  constructor(names: Iterable<readonly [server: string, tools: Iterable<string>]>) {
    const byServer = new Map<string, ReadonlyMap<string, string>>()
    for (const [server, tools] of names) {
      byServer.set(server, new Map([...wireNames(server, tools)].map(([tool, wire]) => [wire, tool])))
    }
    this.#byServer = byServer
  }

  /** The server and bare tool behind a wire name, undefined when there is none. */
  resolve(wire: string): { server: string; tool: string } | undefined {
    const server = serverOfWireName(wire)
    if (server === undefined) return undefined
    const tool = this.#byServer.get(server)?.get(wire)
    return tool === undefined ? undefined : { server, tool }
  }
}
