import type { JsonObject } from '../call/json.ts'
import { wireNames } from '../mcp/naming.ts'
import type { CatalogServer } from '../ports/catalog.ts'
import type { Gate, Known } from '../pipeline/gate.ts'

/**
 * The tools that an endpoint shows: bare definitions of one server, or those of all under their wire names. A tool
 * without a wire name of its own is left out, as calls to it are refused.
 */
export function createToolList(gate: Pick<Gate, 'tools' | 'server'>) {
  // Snapshots of the catalogue are swapped whole, so what was made from one holds as long as it does.
  const known = new WeakMap<CatalogServer, ReadonlyMap<string, string>>()

  function namesOf(id: string): ReadonlyMap<string, string> | undefined {
    const server = gate.server(id)
    if (server === undefined) return undefined
    let names = known.get(server)
    if (names === undefined) {
      // Withheld tools keep their names: they must be refused by their own reason.
      names = wireNames(id, [...server.tools.keys(), ...server.withheld.keys()])
      known.set(server, names)
    }
    return names
  }

  return (caller: Known, server: string | undefined): JsonObject[] =>
    gate.tools(caller, server).flatMap((tool) => {
      if (server !== undefined) return [tool.definition]
      const name = namesOf(tool.server)?.get(tool.name)
      return name === undefined ? [] : [{ ...tool.definition, name }]
    })
}
