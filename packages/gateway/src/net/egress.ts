import { getDomain, getPublicSuffix } from 'tldts'
import { judgeHost } from './address.ts'
import { addressOf } from './range.ts'
import { DOMAIN_OPTIONS, type UrlFacts } from './url-facts.ts'

/** Where tools may reach. Private, link-local and metadata addresses are outside of it whatever the rules say. */
export interface EgressRules {
  /** Schemes without colon, lower case. */
  readonly schemes: readonly string[]
  /** Ports; empty: any. */
  readonly ports: readonly number[]
  /** Names with everything below them, and addresses; empty: all that is public. */
  readonly allow: readonly string[]
  /** The same; wins over `allow`. */
  readonly deny: readonly string[]
}

/**
 * Why a URL is no place for a tool to reach. The first four hold whatever an operator configures; the others are his rules.
 * `unreadable`: no parser accepts it, or two of them would read it differently and one cannot be told.
 */
export type EgressReason =
  | 'metadata'
  | 'private'
  | 'no_host'
  | 'unreadable'
  | 'too_many'
  | 'scheme'
  | 'port'
  | 'denied'
  | 'not_allowed'
  | 'unresolved'

/** Reasons that no mode and no list softens (ARCHITECTURE.md section 3, Observe). */
const FIXED: ReadonlySet<EgressReason> = new Set(['metadata', 'private', 'no_host', 'unreadable', 'too_many'])

/** Whether a reason holds in observe mode too. */
export function alwaysEnforced(reason: EgressReason): boolean {
  return FIXED.has(reason)
}

/**
 * Judges one URL by its text.
 * @param identifier it may be a name of somebody's own and no place (FoundUrls.identifiers): it is judged where it names an address
 * @returns undefined when nothing speaks against it; its name may still resolve to a private address
 */
export function judgeEgress(url: UrlFacts, rules: EgressRules, identifier = false): EgressReason | undefined {
  const isName = identifier && !rules.schemes.includes(url.scheme)
  if (url.hostname === '') return isName ? undefined : 'no_host'
  if (url.is_link_local) return 'metadata'
  if (url.is_private && !(isName && isPlainName(url.hostname))) return 'private'
  if (isName) return undefined
  // A host without scheme is what a tool will put one before.
  if (url.scheme !== '' && !rules.schemes.includes(url.scheme)) return 'scheme'
  if (url.port !== null && rules.ports.length > 0 && !rules.ports.includes(url.port)) return 'port'
  if (rules.deny.some((entry) => covers(entry, url.hostname))) return 'denied'
  if (rules.allow.length > 0 && !rules.allow.some((entry) => covers(entry, url.hostname)))
    return 'not_allowed'
  return undefined
}

/** A name that stands for no machine of everybody's, as `localhost` does. */
function isPlainName(hostname: string): boolean {
  return !judgeHost(hostname).isAddress && !/(?:^|\.)localhost$/.test(hostname)
}

/** Judges what a name resolved to: one address that is not public speaks against all of them. */
export function judgeAddresses(addresses: readonly string[]): EgressReason | undefined {
  if (addresses.length === 0) return 'unresolved'
  const judged = addresses.map((address) => judgeHost(address))
  if (judged.some(({ isLinkLocal }) => isLinkLocal)) return 'metadata'
  return judged.some(({ isPrivate, isAddress }) => isPrivate || !isAddress) ? 'private' : undefined
}

/**
 * Whether a text can stand in a list: a name with a registrable domain in it, lower case as DNS writes it, or an address. A public
 * suffix such as `co.uk` or `github.io` would let in everybody who registers below it; a private place is refused by no list.
 */
export function isEgressEntry(text: string): boolean {
  if (judgeHost(text).isPrivate) return false
  if (addressOf(text) !== undefined) return true
  if (!/^(?!-)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,8}$/.test(text)) return false
  return getDomain(text, DOMAIN_OPTIONS) !== null && getPublicSuffix(text, DOMAIN_OPTIONS) !== text
}

function covers(entry: string, hostname: string): boolean {
  if (hostname === entry || hostname.endsWith(`.${entry}`)) return true
  const address = addressOf(entry)
  return address !== undefined && address.toString() === addressOf(hostname)?.toString()
}
