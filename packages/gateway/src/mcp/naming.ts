import { createHash } from 'node:crypto'

/** Longest tool name that the gate shows on `/mcp`: with a host's own prefix it stays under 60 (PROTOCOL.md section 5). */
export const MAX_WIRE_NAME = 46

const SEPARATOR = '__'

/**
 * Name of a server's tool or prompt on the aggregated endpoint: `server__name` in `[A-Za-z0-9_-]`, at most 46 characters.
 * A name that must be changed or cut ends in `_` and 8 hex digits of the SHA-256 of the whole name, so it is stable and unique.
 */
export function wireName(server: string, name: string): string {
  const plain = `${server}${SEPARATOR}${name}`
  const clean = plain.replace(/[^A-Za-z0-9_-]/g, '_')
  if (clean === plain && plain.length <= MAX_WIRE_NAME) return plain
  const tag = `_${createHash('sha256').update(plain).digest('hex').slice(0, 8)}`
  return clean.slice(0, MAX_WIRE_NAME - tag.length) + tag
}

/**
 * Wire names of one server's tools, by tool. A name that two of them would share is given to neither: a server chooses its
 * tools' names and can make two tags meet, and then the host would see one tool and call another.
 */
export function wireNames(server: string, tools: Iterable<string>): ReadonlyMap<string, string> {
  const owners = new Map<string, string | undefined>()
  for (const tool of new Set(tools)) {
    const wire = wireName(server, tool)
    owners.set(wire, owners.has(wire) ? undefined : tool)
  }
  return new Map([...owners].flatMap(([wire, tool]) => (tool === undefined ? [] : [[tool, wire] as const])))
}

/** The server that a wire name belongs to: ids hold no underscore, so the first separator ends it. */
export function serverOfWireName(wire: string): string | undefined {
  const end = wire.indexOf(SEPARATOR)
  return end > 0 ? wire.slice(0, end) : undefined
}

const UI = 'ui://'
const SERVER_URI = /^([a-z][a-z0-9-]{0,15})\+(.+)$/s
const SERVER_UI = /^ui:\/\/([a-z][a-z0-9-]{0,15})\/(.+)$/s

/** URI (or URI template) of a server's resource on the aggregated endpoint: `server+uri`, for pages `ui://server/...`. */
export function wireUri(server: string, uri: string): string {
  return uri.startsWith(UI) ? `${UI}${server}/${uri.slice(UI.length)}` : `${server}+${uri}`
}

/** The server and its own URI behind a wire URI, undefined when it names no server. */
export function serverOfWireUri(wire: string): { readonly server: string; readonly uri: string } | undefined {
  const ui = SERVER_UI.exec(wire)
  if (ui?.[1] !== undefined && ui[2] !== undefined) return { server: ui[1], uri: UI + ui[2] }
  const plain = SERVER_URI.exec(wire)
  if (plain?.[1] === undefined || plain[2] === undefined) return undefined
  return { server: plain[1], uri: plain[2] }
}
