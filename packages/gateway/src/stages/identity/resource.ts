/**
 * Canonical form of a resource URI for comparison: scheme and host in lower case, no trailing slash; the rest verbatim,
 * because a path that is unescaped or resolved here could mean another endpoint elsewhere. Source: PROTOCOL.md 1.2.
 * @returns undefined when it is no absolute URI or has a fragment (RFC 8707 s2)
 */
export function canonicalResource(uri: string): string | undefined {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#\s]+)([^#\s]*)$/.exec(uri)
  if (match === null) return undefined
  const [, origin = '', path = ''] = match
  return origin.toLowerCase() + path.replace(/\/+$/, '')
}

/**
 * The audiences that open an endpoint, canonical: its own URI; for `/mcp/<server>` also the aggregate that it is part of.
 * A token for one server never opens the aggregate or another server.
 */
export function acceptedAudiences(resource: string, server: string | undefined): readonly string[] {
  const own = canonicalResource(resource)
  if (own === undefined) throw new TypeError(`endpoint resource \`${resource}\` is not an absolute URI`)
  const suffix = `/${server ?? ''}`
  return server !== undefined && own.endsWith(suffix) ? [own, own.slice(0, -suffix.length)] : [own]
}
