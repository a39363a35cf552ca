import type { GatewayConfig, ServerConfig } from '../config/declaration.ts'
import { isLoopbackHost } from '../net/range.ts'
import { isSecretValue } from '../text/secret-name.ts'
import { GATE_ENTRY } from './host-profiles.ts'
import type { ManagedGate } from './hosts-gate.ts'
import { shownUrl, shownWord } from './install-server.ts'
import { CommandFailed } from './output.ts'

/** One entry of a list, as Claude Code and VS Code both have it: exactly one of the three. */
export type Matcher =
  | { readonly serverName: string }
  /** `*` stands for anything. */
  | { readonly serverUrl: string }
  /** Program and arguments, all of them, in order. */
  | { readonly serverCommand: readonly string[] }

/** What a host may use, and what it may not whatever else is said. */
export interface ServerLists {
  readonly allowed: readonly Matcher[]
  readonly denied: readonly Matcher[]
  /** What could not be said in them, one sentence each. */
  readonly notes: readonly string[]
}

/**
 * The lists of one host: the gate alone is allowed, and each server behind it is denied by name, and by address or command.
 * A name proves nothing (any server may take any name), so the gate is allowed by what it is and never by name.
 * @throws CommandFailed for a server that is the gate itself
 */
export function serverLists(
  servers: GatewayConfig['servers'],
  gate: Pick<ManagedGate, 'origin' | 'url' | 'line'>,
  host: string,
): ServerLists {
  const line = gate.line(host)
  const denied: Matcher[] = []
  const notes: string[] = []
  for (const [id, server] of Object.entries(servers).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (id === GATE_ENTRY)
      notes.push(`server \`${id}\` has the name under which hosts know the gate: it is not denied by name`)
    else denied.push({ serverName: id })
    const found = server.transport === 'http' ? deniedUrls(id, server, gate) : deniedCommand(id, server, line)
    denied.push(...found.denied)
    notes.push(...found.notes)
  }
  return {
    allowed: [
      { serverUrl: gate.url },
      { serverUrl: `${gate.url}/*` },
      ...(line === undefined ? [] : [{ serverCommand: line }]),
    ],
    denied: [...new Map(denied.map((entry) => [JSON.stringify(entry), entry])).values()],
    notes,
  }
}

type Found = Pick<ServerLists, 'denied' | 'notes'>

/** Everything at the origin of a server: another path or query of it is the same server, and a secret in them stays out. */
function deniedUrls(
  id: string,
  { url }: Extract<ServerConfig, { transport: 'http' }>,
  { origin: gateOrigin }: Pick<ManagedGate, 'origin'>,
): Found {
  const { origin, pathname, search } = new URL(url)
  if (!spellings(gateOrigin).includes(origin))
    return { denied: spellings(origin).map((each) => ({ serverUrl: `${each}/*` })), notes: [] }
  if (pathname === '/mcp' || pathname.startsWith('/mcp/'))
    throw new CommandFailed(`\`servers.${id}.url\` is an address of the gate itself`, {
      fix: 'correct it, or `listener.publicUrl`: hosts cannot be kept from the one and sent to the other',
    })
  // Everything below the root is the gate as well, and a `*` in a path would match more than that path.
  if (pathname === '/' || search !== '' || url.includes('*') || shownUrl(url) !== url)
    return {
      denied: [],
      notes: [
        `server \`${id}\` shares its origin with the gate and cannot be denied by its address, which is the whole origin, has a query or a \`*\`, or may hold a secret: it is kept out by the list of what is allowed alone`,
      ],
    }
  const bare = `${origin}${pathname.replace(/\/$/, '')}`
  return { denied: ['', '/*', '?*'].map((end) => ({ serverUrl: `${bare}${end}` })), notes: [] }
}

/** An origin, and the other names that loopback has. */
function spellings(origin: string): string[] {
  const { protocol, hostname, port } = new URL(origin)
  if (!isLoopbackHost(hostname.replace(/^\[|\]$/g, ''))) return [origin]
  const names = new Set([hostname, 'localhost', '127.0.0.1', '[::1]'])
  return [...names].map((name) => `${protocol}//${name}${port === '' ? '' : `:${port}`}`)
}

/** Hosts compare a command line whole, so one that holds a secret cannot be denied without telling it. */
function deniedCommand(
  id: string,
  { command }: Extract<ServerConfig, { transport: 'stdio' }>,
  line: readonly string[] | undefined,
): Found {
  if (JSON.stringify(command) === JSON.stringify(line))
    throw new CommandFailed(`\`servers.${id}.command\` is the line by which hosts enter the gate`, {
      fix: 'take the server away: the gate cannot stand behind itself',
    })
  if (command.some((word, i) => mayBeSecret(word, command[i - 1])))
    return {
      denied: [],
      notes: [
        `the command of server \`${id}\` may hold a secret, which every user could read here: it is kept out by the list of what is allowed alone`,
      ],
    }
  return { denied: [{ serverCommand: command }], notes: [] }
}

/** Rather too often than too seldom; a path is long and of many signs by nature, so its parts are looked at one by one. */
function mayBeSecret(word: string, before: string | undefined): boolean {
  const isPath = /^(?:[.~]{0,2}[\\/]|[A-Za-z]:[\\/])/.test(word)
  return shownWord(word, before) !== word || (isPath ? word.split(/[\\/]/) : [word]).some(isSecretValue)
}
