import { posix, win32 } from 'node:path'
import type { GatewayConfig } from '../config/declaration.ts'
import { isServerUrl } from '../config/forms.ts'
import { isLoopbackHost } from '../net/range.ts'
import { connectFault } from './install-gate.ts'
import { CommandFailed } from './output.ts'
import { safeText } from '../text/safe-text.ts'

/** How a managed host enters the gate: by the stdio line `callgate connect`, or by the URL of the gate. */
export type Way = 'connect' | 'http'

/** What the administrator says of the machines that the files are for. */
export interface ManagedMachines {
  readonly via: Way
  /** Program and first arguments of `callgate` there; undefined: nobody said. */
  readonly program: readonly string[] | undefined
  /** The same for the machine of the gate. */
  readonly here: readonly string[]
  /** File of the gate's authorities there, in PEM. */
  readonly ca: string | undefined
}

/** The gate as managed hosts reach it. */
export interface ManagedGate {
  readonly origin: string
  /** Endpoint of all servers together. */
  readonly url: string
  /** The stdio line of a host, program and arguments; undefined: no host is to start it. */
  readonly line: (host: string) => readonly string[] | undefined
  readonly via: Way
  /** What somebody should know, one sentence each. */
  readonly notes: readonly string[]
}

/**
 * How managed hosts reach the gate of a configuration.
 * @param path of the configuration, as messages name it
 * @throws CommandFailed when they cannot, in the way that was chosen
 */
export function managedGate(config: GatewayConfig, path: string, machines: ManagedMachines): ManagedGate {
  const origin = originOf(config, path)
  const url = `${origin}/mcp`
  const isHere = isLoopbackHost(new URL(origin).hostname.replace(/^\[|\]$/g, ''))
  const { via, ca } = machines
  if (ca !== undefined && isHere)
    throw new CommandFailed('--ca is for a gate elsewhere; this one listens on loopback', { exitCode: 2 })
  const fault = isHere ? connectFault(config) : elsewhereFault(config, machines)
  if (via === 'connect' && fault !== undefined)
    throw new CommandFailed(`${path}: ${fault.what}`, { fix: `${fault.fix}, or export with \`--via http\`` })
  const program = machines.program ?? (isHere ? machines.here : undefined)
  const line = (host: string): readonly string[] | undefined => {
    if (program === undefined || fault !== undefined) return undefined
    return isHere
      ? [...program, 'connect', '--state', config.state, '--client', host]
      : [...program, 'connect', url, ...(ca === undefined ? [] : ['--ca', ca])]
  }
  for (const word of line('') ?? []) checkWord(word)
  return { origin, url, line, via, notes: via === 'http' ? loginNotes(config) : [] }
}

function originOf({ listener }: GatewayConfig, path: string): string {
  const { publicUrl, host, port } = listener
  if (publicUrl !== undefined) return publicUrl
  if (port === 0)
    throw new CommandFailed(
      `${path}: \`listener.port\` is \`0\`, so that the address of the gate changes with each start`,
      { fix: 'set a port, or `listener.publicUrl`' },
    )
  return new URL(`http://${host.includes(':') ? `[${host}]` : host}:${port}`).origin
}

/** Why `callgate connect URL` on another machine cannot call the gate, or cannot be named. */
function elsewhereFault(
  { identity }: GatewayConfig,
  { program }: ManagedMachines,
): { readonly what: string; readonly fix: string } | undefined {
  if (!identity.enrolment)
    return {
      what: '`identity.enrolment` is `false`, so that `callgate connect` on another machine has no key to call with',
      fix: 'set it to `true`',
    }
  if (program === undefined)
    return {
      what: 'the gate is elsewhere, and nobody said where the managed machines have `callgate`',
      fix: 'name its absolute path there with --program',
    }
  return undefined
}

/** What keeps a host from logging in by the URL alone. */
function loginNotes({ identity }: GatewayConfig): string[] {
  const notes: string[] = []
  if (identity.replay !== 'session')
    notes.push(
      `\`identity.replay\` is \`${identity.replay}\`: a host that sends one bearer token with many calls is refused; such hosts need \`session\``,
    )
  if (identity.messageSignatures === 'required')
    notes.push('`identity.messageSignatures` is `required`: no known host signs its requests')
  if (identity.issuers.every(({ dev }) => dev))
    notes.push('no issuer of people is configured in `identity.issuers`, so that no host can log in')
  return notes
}

/** An absolute path of a program on managed machines, of whatever system. @throws CommandFailed */
export function programPath(text: string): string {
  if (posix.isAbsolute(text) || win32.isAbsolute(text)) return text
  throw new CommandFailed(
    `--program is \`${safeText(text)}\` (expected an absolute path): a user could put another program of that name first in PATH`,
    { fix: 'name the file that only an administrator can write', exitCode: 2 },
  )
}

/** The URL of a registry. @throws CommandFailed */
export function registryUrl(text: string): string {
  if (isServerUrl(text)) return text
  throw new CommandFailed(
    `--registry is \`${safeText(text)}\` (expected an https URL without user and password)`,
    {
      exitCode: 2,
    },
  )
}

/** Hosts fill in `${...}`; for Cursor `*` is a wildcard, and it knows no quotes: such a word would not mean itself. */
function checkWord(word: string): void {
  if (!word.includes('${') && !word.includes('*') && !/[\p{Cc}\p{Cf}]/u.test(word)) return
  throw new CommandFailed(
    `\`${safeText(word)}\` would stand in the line of the gate, and hosts read \`\${\`, \`*\` and control characters in it as something else`,
    { fix: 'use a path without them (`state` in the configuration, --program, --ca)' },
  )
}
