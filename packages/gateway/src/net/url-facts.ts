import { getDomain } from 'tldts'
import { judgeHost, normalizeHost, stripHost } from './address.ts'

/** What conditions may ask about one URL (ARCHITECTURE.md section 3). */
export interface UrlFacts {
  /** As a WHATWG parser writes it. */
  readonly href: string
  /** Lower case, ASCII, addresses in canonical form without brackets; empty when the URL has no host. */
  readonly hostname: string
  /** Written or the scheme's own; null when there is neither. */
  readonly port: number | null
  /** Without the colon; empty when the argument named only a host. */
  readonly scheme: string
  /** Registrable domain by the public suffix list; null for addresses and names without one. */
  readonly domain: string | null
  readonly is_link_local: boolean
  readonly is_private: boolean
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, ws: 80, wss: 443, ftp: 21 }

/** Hosts of a platform that gives names to strangers (github.io) are domains of their own; the host is parsed already. */
const DOMAIN_OPTIONS = {
  allowPrivateDomains: true,
  extractHostname: false,
  validateHostname: false,
  detectIp: false,
}

/**
 * Facts of one URL as a WHATWG parser reads it, and of every other host that another reader could find in it:
 * `http://a.example\@127.0.0.1/` is a.example to a browser and 127.0.0.1 to RFC 3986. Both are judged.
 * @param raw absolute URL with a scheme, as written in the arguments
 * @returns an empty list when no parser accepts it: the caller must not treat that as harmless
 */
export function judgeUrl(raw: string): readonly UrlFacts[] {
  const url = URL.parse(raw)
  if (url === null) return []
  const hostname = normalizeHost(url.hostname) ?? stripHost(url.hostname)
  const first = factsOf(url.href, url.protocol.slice(0, -1), url.port, hostname)
  const other = rfc3986Host(raw)
  if (other === undefined || other === hostname) return [first]
  return [first, factsOf(url.href, first.scheme, '', other)]
}

/**
 * Facts of an argument that names only a host, with or without a port and path.
 * @returns undefined when it cannot be a host
 */
export function judgeBareHost(raw: string): UrlFacts | undefined {
  // An IPv6 address without brackets is what a member named `host` usually holds.
  const bracketed = raw.includes('::') || raw.split(':').length > 3 ? `[${raw}]` : raw
  const url =
    URL.parse(`http://${bracketed}`) ??
    URL.parse(`http://${raw}`) ??
    // A port that no parser reads does not make the host before it harmless.
    URL.parse(`http://${raw.slice(0, Math.max(raw.indexOf(':'), 0))}`)
  if (url === null) return undefined
  return factsOf(url.href.slice('http:'.length), '', url.port, stripHost(url.hostname))
}

function factsOf(href: string, scheme: string, port: string, hostname: string): UrlFacts {
  const judged = judgeHost(hostname)
  const known = Object.hasOwn(DEFAULT_PORTS, scheme) ? DEFAULT_PORTS[scheme] : undefined
  return {
    href,
    hostname,
    port: port === '' ? (known ?? null) : Number(port),
    scheme,
    domain: judged.isAddress || hostname === '' ? null : getDomain(hostname, DOMAIN_OPTIONS),
    // A URL without a host (file:///etc/passwd, data:) reaches this machine, not the network.
    is_link_local: judged.isLinkLocal,
    is_private: hostname === '' || judged.isPrivate,
  }
}

/** Host by RFC 3986 section 3.2: between `//` and the next `/`, `?` or `#`, after the last `@`. */
function rfc3986Host(raw: string): string | undefined {
  const start = raw.indexOf('//')
  if (start === -1 || !raw.includes('\\')) return undefined
  const authority = /^[^/?#]{0,512}/.exec(raw.slice(start + 2))?.[0] ?? ''
  const host = authority.slice(authority.lastIndexOf('@') + 1).replace(/:\d{0,5}$/, '')
  return host.includes('\\') ? undefined : normalizeHost(host)
}
