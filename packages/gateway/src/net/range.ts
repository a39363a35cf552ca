import ipaddr from 'ipaddr.js'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** Ranges that an operator may call his own. Sources: RFC 1918, RFC 6598, RFC 4193, loopback. */
const OWN_RANGES = [
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '::1/128',
  'fc00::/7',
].map((range) => ipaddr.parseCIDR(range))

/** An IP literal as URLs and configuration write it; brackets are taken off, IPv4 inside IPv6 is taken out. */
export function addressOf(host: string): Address | undefined {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  // Only the canonical four-part form: `127.1` and `0x7f.1` are ways around checks, not ways to write an address.
  if (!ipaddr.IPv4.isValidFourPartDecimal(bare) && !ipaddr.IPv6.isValid(bare)) return undefined
  return ipaddr.process(bare)
}

/** Whether a host name or literal can only mean this machine. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || addressOf(host)?.range() === 'loopback'
}

/** Whether a text is a range in CIDR form without host bits: `10.0.0.5/8` would hide which range is meant. */
export function isCidr(text: string): boolean {
  const range = parseRange(text)
  if (range === undefined) return false
  const [address, bits] = range
  const network =
    address.kind() === 'ipv4'
      ? ipaddr.IPv4.networkAddressFromCIDR(text)
      : ipaddr.IPv6.networkAddressFromCIDR(text)
  return network.toNormalizedString() === address.toNormalizedString() && bits >= 0
}

/** Whether a whole range lies within one of the private ranges or loopback. */
export function isPrivateRange(text: string): boolean {
  const range = parseRange(text)
  if (range === undefined) return false
  const [address, bits] = range
  return OWN_RANGES.some(
    ([own, ownBits]) => own.kind() === address.kind() && bits >= ownBits && matches(address, own, ownBits),
  )
}

/** Whether an address lies in one of the ranges. */
export function isWithin(address: Address, ranges: readonly string[]): boolean {
  return ranges.some((text) => {
    const range = parseRange(text)
    return range !== undefined && range[0].kind() === address.kind() && matches(address, range[0], range[1])
  })
}

function parseRange(text: string): [Address, number] | undefined {
  if (!ipaddr.isValidCIDR(text)) return undefined
  const [address, bits] = ipaddr.parseCIDR(text)
  return addressOf(text.slice(0, text.lastIndexOf('/'))) === undefined ? undefined : [address, bits]
}

function matches(address: Address, network: Address, bits: number): boolean {
  if (address instanceof ipaddr.IPv4 && network instanceof ipaddr.IPv4) return address.match(network, bits)
  if (address instanceof ipaddr.IPv6 && network instanceof ipaddr.IPv6) return address.match(network, bits)
  return false
}
