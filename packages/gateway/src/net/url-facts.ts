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

/**
 * Schemes by which programs open connections or files, as URL libraries, curl, Java, PHP and drivers of databases know them. Every
 * other one is a name of somebody's own, such as `note://today` of an MCP server: it is judged only where it names an address.
 */
const REACHING: ReadonlySet<string> = new Set(
  (
    'http https ws wss ftp ftps sftp tftp scp ssh telnet gopher dict ldap ldaps smb smbs cifs nfs afp dav davs webdav webdavs imap ' +
    'imaps pop3 pop3s smtp smtps rtsp rtsps rtmp rtmps rtmpt sip sips mqtt mqtts amqp amqps stomp nats redis rediss memcached mongodb ' +
    'mongodb+srv postgres postgresql mysql mariadb mssql sqlserver oracle cassandra couchbase neo4j bolt clickhouse jdbc odbc git ' +
    'git+ssh git+https git+http svn svn+ssh hg rsync docker tcp udp unix unixgram vnc rdp xmpp irc ircs ipp ipps grpc grpcs thrift ' +
    'file netdoc jar phar expect php zip ogg glob data view-source blob filesystem'
  ).split(' '),
)

/** Whether a scheme is one that programs reach something by. */
export function isReaching(scheme: string): boolean {
  return scheme === '' || REACHING.has(scheme)
}

/** Hosts of a platform that gives names to strangers (github.io) are domains of their own; the host is parsed already. */
export const DOMAIN_OPTIONS = {
  allowPrivateDomains: true,
  extractHostname: false,
  validateHostname: false,
  detectIp: false,
}

/**
 * Facts of one URL as a WHATWG parser reads it, and of every other host that another reader could find in it:
 * `http://a.example\@127.0.0.1/` is a.example to a browser and 127.0.0.1 to RFC 3986; `http://0127.0.0.1/` is 87.0.0.1 to who
 * reads a leading zero as octal and 127.0.0.1 to who does not. All are judged.
 * @param raw absolute URL with a scheme, as written in the arguments
 * @returns an empty list when no parser accepts it: the caller must not treat that as harmless
 */
export function judgeUrl(raw: string): readonly UrlFacts[] {
  const url = URL.parse(raw)
  if (url === null) return []
  const hostname = normalizeHost(url.hostname) ?? stripHost(url.hostname)
  const first = factsOf(url.href, url.protocol.slice(0, -1), url.port, hostname)
  const others = new Set([rfc3986Host(raw), decimalHost(raw)])
  others.delete(undefined)
  others.delete(hostname)
  if (others.size === 0) return [first]
  return [first, ...[...others].map((other) => factsOf(url.href, first.scheme, '', other ?? ''))]
}

/**
 * Facts of an argument that names only a host, with or without a port and path, in every reading.
 * @returns an empty list when it cannot be a host
 */
export function judgeBareHost(raw: string): readonly UrlFacts[] {
  // An IPv6 address without brackets is what a member named `host` usually holds.
  const bracketed = raw.includes('::') || raw.split(':').length > 3 ? `[${raw}]` : raw
  const url =
    URL.parse(`http://${bracketed}`) ??
    URL.parse(`http://${raw}`) ??
    // A port that no parser reads does not make the host before it harmless.
    URL.parse(`http://${raw.slice(0, Math.max(raw.indexOf(':'), 0))}`)
  if (url === null) return []
  const href = url.href.slice('http:'.length)
  const other = decimalHost(raw)
  return [stripHost(url.hostname), ...(other === undefined ? [] : [other])].map((host, i) =>
    factsOf(href, '', i === 0 ? url.port : '', host),
  )
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

/** Host by RFC 3986 section 3.2, between `//` and the next `/`, `?` or `#`, where WHATWG sees another slash in a backslash. */
function rfc3986Host(raw: string): string | undefined {
  const start = raw.indexOf('//')
  if (start === -1 || !raw.includes('\\')) return undefined
  const host = hostOf(/^[^/?#]{0,512}/.exec(raw.slice(start + 2))?.[0] ?? '')
  return host.includes('\\') ? undefined : normalizeHost(host)
}

/** Dotted address with leading zeros, read as decimal (inet_pton of some systems; CVE-2021-29921, CVE-2021-28918). */
function decimalHost(raw: string): string | undefined {
  if (!/0\d/.test(raw)) return undefined
  const [authority = ''] = raw
    .replace(/^[a-z][a-z0-9+.-]{0,31}:(?=[/\\\d])/i, '')
    .replace(/^[/\\]+/, '')
    .split(/[/\\?#]/, 1)
  const host = hostOf(authority)
  if (!/^\d{1,8}(?:\.\d{1,8}){3}$/.test(host) || !/(?:^|\.)0\d/.test(host)) return undefined
  const parts = host.split('.').map(Number)
  return parts.every((part) => part < 256) ? parts.join('.') : undefined
}

/** An authority without user and port. */
function hostOf(authority: string): string {
  return authority.slice(authority.lastIndexOf('@') + 1).replace(/:\d{0,5}$/, '')
}
