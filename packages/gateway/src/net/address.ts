import ipaddr from 'ipaddr.js'

/** What a host is on the network, as far as its text tells; no name is resolved here (that is egress's row). */
export interface HostJudgement {
  /** 169.254.0.0/16, fe80::/10, an embedding of them, or a cloud metadata service by address or name. */
  readonly isLinkLocal: boolean
  /** Anything that is not a globally reachable unicast address or a public-looking name; every link-local host too. */
  readonly isPrivate: boolean
  readonly isAddress: boolean
}

const GLOBAL_NAME: HostJudgement = { isLinkLocal: false, isPrivate: false, isAddress: false }
const PRIVATE_NAME: HostJudgement = { isLinkLocal: false, isPrivate: true, isAddress: false }
const METADATA_NAME: HostJudgement = { isLinkLocal: true, isPrivate: true, isAddress: false }
const GLOBAL: HostJudgement = { isLinkLocal: false, isPrivate: false, isAddress: true }
const PRIVATE: HostJudgement = { isLinkLocal: false, isPrivate: true, isAddress: true }
const LINK_LOCAL: HostJudgement = { isLinkLocal: true, isPrivate: true, isAddress: true }

/**
 * Metadata services outside the link-local ranges. They hand out instance credentials just as 169.254.169.254 does,
 * so they count as link-local: AWS (IPv6), Alibaba, Azure's wire server (a public address), Oracle, Google (IPv6).
 */
const METADATA_ADDRESSES = new Set([
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd20:ce::254',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
])

/** Names that clouds resolve to their metadata service inside an instance. */
const METADATA_NAMES = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'metadata.tencentyun.com',
  'metadata.azure.internal',
  'metadata.platformequinix.com',
  'instance-data',
  'instance-data.ec2.internal',
])

/** Suffixes that never belong to the public DNS tree: RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`, customary ones. */
const PRIVATE_SUFFIXES = [
  'localhost',
  'localdomain',
  'local',
  'internal',
  'home.arpa',
  'intranet',
  'private',
  'corp',
  'home',
  'lan',
]

/** 2000::/3 is all that IANA gave out as global unicast; 3fff::/20 in it is documentation (RFC 9637). */
const V6_GLOBAL: [ipaddr.IPv6, number] = ipaddr.IPv6.parseCIDR('2000::/3')
const V6_DOCUMENTATION: [ipaddr.IPv6, number] = ipaddr.IPv6.parseCIDR('3fff::/20')
/** IPv4-compatible, deprecated by RFC 4291, still read as IPv4 by some stacks. */
const V4_COMPATIBLE: [ipaddr.IPv6, number] = ipaddr.IPv6.parseCIDR('::/96')
/** RFC 6052: a translator behind it reaches the IPv4 address in the last 32 bits. */
const NAT64: [ipaddr.IPv6, number] = ipaddr.IPv6.parseCIDR('64:ff9b::/96')
const NAT64_LOCAL: [ipaddr.IPv6, number] = ipaddr.IPv6.parseCIDR('64:ff9b:1::/48')

const DOTTED = /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/

/**
 * Judges a host of a URL by its text alone.
 * @param host name or address as `normalizeHost` gives it: lower case, no brackets, no trailing dot
 */
export function judgeHost(host: string): HostJudgement {
  // A cheap look first: ipaddr.js answers for a name by throwing, which costs more than all the rest.
  if (DOTTED.test(host) && ipaddr.IPv4.isValidFourPartDecimal(host)) return judgeV4(ipaddr.IPv4.parse(host))
  if (host.includes(':')) {
    // An address with a zone names an interface of this machine; an unreadable one is not trusted either.
    return ipaddr.IPv6.isValid(host) ? judgeV6(ipaddr.IPv6.parse(host)) : PRIVATE
  }
  return judgeName(host)
}

/**
 * The host of a URL in one form, whatever the scheme: IPv4 in any base or length becomes dotted decimal, full-width
 * digits become digits, percent signs are decoded, brackets and trailing dots go. WHATWG URL does this for http alone.
 * @returns undefined when no URL parser would accept the host
 */
export function normalizeHost(host: string): string | undefined {
  if (host === '') return ''
  const parsed = URL.parse(`http://${host}/`)
  if (parsed === null || parsed.username !== '' || parsed.pathname !== '/' || parsed.search !== '')
    return undefined
  return stripHost(parsed.hostname)
}

/** Brackets and trailing dots off; the root label makes no other host of a name. */
export function stripHost(hostname: string): string {
  const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  return bare.endsWith('.') ? bare.replace(/\.{1,8}$/, '') : bare
}

function judgeV4(address: ipaddr.IPv4): HostJudgement {
  if (METADATA_ADDRESSES.has(address.toString())) return LINK_LOCAL
  const range = address.range()
  if (range === 'linkLocal') return LINK_LOCAL
  return range === 'unicast' ? GLOBAL : PRIVATE
}

function judgeV6(address: ipaddr.IPv6): HostJudgement {
  if (METADATA_ADDRESSES.has(address.toRFC5952String())) return LINK_LOCAL
  if (address.range() === 'linkLocal') return LINK_LOCAL
  const embedded = embeddedV4(address)
  if (embedded.some((inner) => judgeV4(inner).isLinkLocal)) return LINK_LOCAL
  if (address.match(NAT64)) return embedded.every((inner) => !judgeV4(inner).isPrivate) ? GLOBAL : PRIVATE
  const global = address.match(V6_GLOBAL) && !address.match(V6_DOCUMENTATION) && address.range() === 'unicast'
  return global ? GLOBAL : PRIVATE
}

/** The IPv4 addresses that a transition mechanism would find in an IPv6 address. */
function embeddedV4(address: ipaddr.IPv6): ipaddr.IPv4[] {
  const bytes = address.toByteArray()
  const at = (start: number): ipaddr.IPv4 => new ipaddr.IPv4(bytes.slice(start, start + 4))
  switch (address.range()) {
    case 'ipv4Mapped':
    case 'rfc6145':
      return [at(12)]
    case '6to4':
      return [at(2)]
    case 'teredo':
      // Server in the clear, client inverted (RFC 4380).
      return [at(4), new ipaddr.IPv4(bytes.slice(12, 16).map((byte) => byte ^ 0xff))]
    default:
      return address.match(NAT64) || address.match(NAT64_LOCAL) || address.match(V4_COMPATIBLE)
        ? [at(12)]
        : []
  }
}

function judgeName(name: string): HostJudgement {
  if (METADATA_NAMES.has(name)) return METADATA_NAME
  // A single label is resolved through search domains: it names a neighbour, never the public internet.
  if (!name.includes('.')) return PRIVATE_NAME
  for (const suffix of PRIVATE_SUFFIXES) if (name.endsWith(`.${suffix}`)) return PRIVATE_NAME
  return GLOBAL_NAME
}
