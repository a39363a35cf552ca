/** Names to addresses, as the DNS has them (ARCHITECTURE.md row 8). */
export interface Resolver {
  /**
   * All IPv4 and IPv6 addresses of a name; none: it does not exist, or has no address.
   * @throws ResolverUnavailable when it cannot be told: the caller must refuse. The signal's reason when that was aborted
   */
  resolve(name: string, signal: AbortSignal): Promise<readonly string[]>
}

/** Nobody answered for a name, or what was answered cannot be trusted. */
export class ResolverUnavailable extends Error {
  override readonly name = 'ResolverUnavailable'
}
