import { Resolver as DnsResolver } from 'node:dns/promises'
import { type Resolver, ResolverUnavailable } from '../../ports/resolver.ts'

export interface ResolverOptions {
  /** DNS servers to ask, such as `192.0.2.53` or `127.0.0.1:5353`. Default: those of the system. */
  readonly servers?: readonly string[]
  /** Milliseconds for one try; there are two. Default 700: together they fit the stage's budget of 2 s. */
  readonly tryMs?: number
}

/** Names that are asked about at a time; more are refused, because a flood of them must not queue up in memory. */
const MAX_ASKED = 256

/** Answers that say for certain that a name has no such address. */
const NOTHING = new Set(['ENOTFOUND', 'ENODATA'])

/**
 * Asks the DNS itself. Not getaddrinfo: that would take a thread of the pool for as long as a name server is silent, and the log
 * of record writes in that pool; and /etc/hosts of this machine is not what the server behind the gate will see.
 */
export function createDnsResolver({ servers, tryMs = 700 }: ResolverOptions = {}): Resolver {
  const dns = new DnsResolver({ timeout: tryMs, tries: 2 })
  if (servers !== undefined) dns.setServers([...servers])
  const asked = new Map<string, Promise<readonly string[]>>()

  const ask = async (name: string): Promise<readonly string[]> => {
    const answers = await Promise.all([
      dns.resolve4(name).catch(noneOr(name)),
      dns.resolve6(name).catch(noneOr(name)),
    ])
    return answers.flat()
  }

  return {
    async resolve(name, signal) {
      signal.throwIfAborted()
      let answer = asked.get(name)
      if (answer === undefined) {
        if (asked.size >= MAX_ASKED) throw new ResolverUnavailable(`${MAX_ASKED} names wait for the DNS`)
        answer = ask(name).finally(() => asked.delete(name))
        asked.set(name, answer)
      }
      return answer
    },
  }
}

/** No answer for one of the two families is one; everything else is not. */
function noneOr(name: string) {
  return (error: unknown): readonly string[] => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    if (NOTHING.has(code)) return []
    throw new ResolverUnavailable(
      `the DNS did not answer for a name of ${name.length} characters (${code})`,
      {
        cause: error,
      },
    )
  }
}
