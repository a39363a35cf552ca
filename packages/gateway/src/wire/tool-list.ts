import type { Json, JsonObject } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import { wireNames } from '../mcp/naming.ts'
import type { CatalogServer, PinnedTool } from '../ports/catalog.ts'
import type { Gate, Known, ToolPlace } from '../pipeline/gate.ts'

/** Tools on one page, and bytes of their definitions: some hosts never ask for a second page, and get these. */
const MAX_PAGE_TOOLS = 1_000
const MAX_PAGE_BYTES = 1_048_576
/** Longest cursor, in characters: it holds a server id and the name of a tool. */
const MAX_CURSOR = 256
/** Member of `_meta` that names servers whose tools may be missing (2025-11-25 basic, `_meta`: a prefix of our own). */
const UNAVAILABLE = 'dev.callgate/unavailable'

type Tools = Pick<Gate, 'tools' | 'ownTools' | 'server' | 'toolsFound' | 'unavailable'>

/**
 * Pages of the tools that an endpoint shows: bare definitions of one server, or those of all under their wire names. A tool
 * without a wire name of its own is left out, as calls to it are refused. The first list after the start waits for servers of
 * which nothing is known, each at most `servers.X.listTimeoutMs`; the first page names those that cannot be asked.
 */
export function createToolList(gate: Tools) {
  // Snapshots of the catalogue are swapped whole, so what was made from one holds as long as it does.
  const known = new WeakMap<CatalogServer, ReadonlyMap<string, string>>()
  const ownNames = new Set(gate.ownTools.map(({ name }) => name))
  const sizes = new WeakMap<JsonObject, number>()

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

  function sizeOf(definition: JsonObject): number {
    let size = sizes.get(definition)
    if (size === undefined) sizes.set(definition, (size = Buffer.byteLength(JSON.stringify(definition))))
    return size
  }

  function shown(tool: PinnedTool, server: string | undefined): JsonObject | undefined {
    // A server's tool of that name cannot be called: the gate's own is.
    if (server !== undefined) return ownNames.has(tool.name) ? undefined : tool.definition
    const name = namesOf(tool.server)?.get(tool.name)
    return name === undefined ? undefined : { ...tool.definition, name }
  }

  /** @throws Refusal CG_WIRE_PARAMS for a cursor that no page gave */
  return async (caller: Known, server: string | undefined, cursor?: Json): Promise<JsonObject> => {
    const after = cursor === undefined ? undefined : placeOf(cursor, server)
    await gate.toolsFound(caller, server)
    const tools: JsonObject[] = after === undefined ? [...gate.ownTools] : []
    let bytes = 0
    let last: PinnedTool | undefined
    let nextCursor: string | undefined
    for (const tool of gate.tools(caller, server, after)) {
      const definition = shown(tool, server)
      if (definition === undefined) continue
      bytes += sizeOf(tool.definition)
      if (last !== undefined && (tools.length >= MAX_PAGE_TOOLS || bytes > MAX_PAGE_BYTES)) {
        nextCursor = cursorAt(last)
        break
      }
      tools.push(definition)
      last = tool
    }
    const away = after === undefined ? gate.unavailable(caller, server) : []
    return {
      tools,
      ...(nextCursor === undefined ? {} : { nextCursor }),
      ...(away.length === 0 ? {} : { _meta: { [UNAVAILABLE]: away } }),
    }
  }
}

/**
 * The last tool that the host was shown. It needs no seal: whoever makes one up goes through the tools that he may see from
 * another place on, and every place reads alike, so that it tells nothing of what is there.
 */
function cursorAt({ server, name }: ToolPlace): string {
  return Buffer.from(JSON.stringify([server, name])).toString('base64url')
}

function placeOf(cursor: Json, server: string | undefined): ToolPlace {
  const place = typeof cursor === 'string' && cursor.length <= MAX_CURSOR ? parsed(cursor) : undefined
  if (place === undefined || cursorAt(place) !== cursor || (server !== undefined && server !== place.server))
    throw new Refusal('CG_WIRE_PARAMS', { publicText: '`cursor` is not one that this endpoint gave' })
  return place
}

function parsed(cursor: string): ToolPlace | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (!Array.isArray(value)) return undefined
    const [server, name]: unknown[] = value
    return typeof server === 'string' && typeof name === 'string' ? { server, name } : undefined
  } catch {
    return undefined
  }
}
