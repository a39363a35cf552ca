import { lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { judgeHost } from '../../net/address.ts'
import { addressOf, isWithin } from '../../net/range.ts'

/**
 * Whether a server may be reached at an address: public ones, and private ones that lie in its own `network`.
 * Link-local and metadata addresses never, whatever `network` says (ARCHITECTURE.md row 8).
 */
export function mayConnect(address: string, network: readonly string[]): boolean {
  const { isLinkLocal, isPrivate } = judgeHost(address)
  if (isLinkLocal) return false
  const parsed = addressOf(address)
  return !isPrivate || (parsed !== undefined && isWithin(parsed, network))
}

/**
 * Name resolution for one server's sockets: each connection goes to an address that was judged when it was resolved, so
 * a name that changes its mind (DNS rebinding) leads nowhere. One forbidden address among several refuses all of them.
 * Sockets to IP literals never ask: whoever makes them judges the literal first.
 */
export function guardedLookup(
  server: string,
  network: readonly string[],
  resolve: typeof lookup = lookup,
): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      const refused =
        error === null ? addresses.find(({ address }) => !mayConnect(address, network)) : undefined
      const [first] = addresses ?? []
      if (error !== null) return callback(error, [])
      if (refused !== undefined || first === undefined) {
        const what =
          refused === undefined
            ? 'to no address'
            : `to \`${refused.address}\`, which is not in \`servers.${server}.network\``
        return callback(new Error(`\`${hostname}\` resolves ${what}`), [])
      }
      return options.all === true ? callback(null, addresses) : callback(null, first.address, first.family)
    })
  }
}
