import { pathToFileURL } from 'node:url'
import type { UpstreamOptions } from './adapters/upstream/index.ts'
import type { JsonObject } from './call/json.ts'
import type { ServerTls } from './compose-tls.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { declaredUpstream, declaresTasks } from './mcp/bridge-capabilities.ts'

type Entry = GatewayConfig['servers'][string]

/** Servers as the adapter takes them: roots as file URIs, and no roots at all where the operator named none. */
export function upstreamServers(config: GatewayConfig, tls: ServerTls): UpstreamOptions['servers'] {
  return Object.fromEntries(
    Object.entries(config.servers).map(([id, server]) => {
      const { roots: _folders, clientCapabilities: _granted, assertCaller: _told, ...rest } = server
      const roots = rootsOf(config, id)
      const asked = roots === undefined ? {} : { roots }
      if (rest.transport === 'stdio') return [id, { ...rest, ...asked }]
      const { tls: files, credentials: _shown, ...own } = rest
      return [id, files === undefined ? { ...own, ...asked } : { ...own, ...asked, tls: () => tls.of(id) }]
    }),
  )
}

/** The operator's roots of a server, as file URIs; undefined: it is told of none. */
export function rootsOf({ servers }: GatewayConfig, server: string): readonly string[] | undefined {
  const roots = servers[server]?.roots ?? []
  return roots.length === 0 ? undefined : roots.map((root) => pathToFileURL(root).href)
}

/**
 * Client capabilities that a server is told, of those that a host declared. One that all sessions share is told of nothing: it
 * could not tell whom it asks. Both sides declare an extension, and no legacy server is taken to offer one, so no connection of
 * theirs differs by it.
 * @param entry undefined: the configuration does not know the server any more
 * @param offers capabilities that the server declares
 */
export function declaredTo(entry: Entry | undefined, offers: JsonObject, host: JsonObject): JsonObject {
  if (entry === undefined || ('shared' in entry && entry.shared === true)) return {}
  const { clientCapabilities: granted } = entry
  return declaredUpstream(
    host,
    declaresTasks(offers) ? granted : granted.filter((capability) => capability !== 'tasks'),
  )
}
