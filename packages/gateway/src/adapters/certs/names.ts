import { isIP } from 'node:net'
import type { LeafContents } from './x509.ts'

/** Longest life of a leaf, in days. Source: playbook Play 2 ("cert rotation ≤ 90 days"). */
export const MAX_LEAF_DAYS = 90

/** What `issue` is asked for. */
export interface LeafRequest extends Pick<LeafContents, 'name' | 'kind' | 'dns' | 'ips' | 'uris'> {
  /** Life in days, from 1 to 90. */
  readonly days: number
}

const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/
const HOST = /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
/** SPIFFE ID section 2: trust domain in lower case; segments of letters, digits, dots, hyphens and underscores. */
const SPIFFE = /^spiffe:\/\/[a-z0-9._-]{1,255}(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)+$/

/** @throws Error for a name that is none: it becomes a file name */
export function checkName(name: string): void {
  if (NAME.test(name)) return
  throw new Error(`name \`${name}\` is not allowed (expected up to 64 of a-z, 0-9 and \`-\`, no \`-\` first)`)
}

/** @throws Error for what no certificate should say, naming the value and what is expected */
export function checkRequest({ name, kind, dns, ips, uris, days }: LeafRequest): void {
  checkName(name)
  if (!Number.isInteger(days) || days < 1 || days > MAX_LEAF_DAYS) {
    throw new Error(`life is \`${days}\` days (expected an integer from 1 to ${MAX_LEAF_DAYS})`)
  }
  for (const host of dns) {
    // An actor is one name: a wildcard would be any of them.
    if (HOST.test(host) && host.length <= 253 && isIP(host) === 0 && (kind === 'server' || host[0] !== '*')) {
      continue
    }
    throw new Error(`DNS name \`${host}\` is not allowed in a ${kind} certificate (expected a host name)`)
  }
  for (const ip of ips) {
    if (isIP(ip) === 0) throw new Error(`address \`${ip}\` is none (expected IPv4 or IPv6)`)
  }
  for (const uri of uris) {
    if (!SPIFFE.test(uri) || uri.length > 2_048) {
      throw new Error(`URI \`${uri}\` is no SPIFFE id (expected \`spiffe://trust.domain/path\`)`)
    }
  }
  // X.509-SVID section 2: a certificate with two SPIFFE ids must be refused.
  if (uris.length > 1) throw new Error('a certificate names one workload; give one URI')
  const misplaced = kind === 'server' ? uris : ips
  if (misplaced.length > 0) {
    throw new Error(`\`${misplaced[0]}\` does not belong in a ${kind} certificate; ${WHERE[kind]}`)
  }
  if (dns.length + ips.length + uris.length === 0) {
    throw new Error(`\`${name}\` would name nobody; ${WHERE[kind]}`)
  }
}

const WHERE = {
  server: 'a server is known by DNS names and addresses (`--dns`, `--ip`)',
  client: 'a client is known by a SPIFFE id and DNS names (`--uri`, `--dns`)',
} as const
