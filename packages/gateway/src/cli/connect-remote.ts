import { hash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isLoopbackHost } from '../net/range.ts'
import type { GateCredential } from '../ports/gate-credential.ts'
import { CommandFailed } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import type { World } from './world.ts'

/** What `callgate connect URL` needs of adapters/gate; main hands it in. */
export interface RemoteGates {
  /** @returns undefined where nothing was enrolled. @throws Error when others may read the key */
  readonly read: (folder: string) => Promise<KeptFacts | undefined>
  /** Redeems a code for a new key and keeps both. @returns the code of the refusal, or undefined when it is enrolled */
  readonly enrol: (options: {
    readonly folder: string
    readonly gate: string
    readonly code: string
    readonly ca: string | undefined
  }) => Promise<string | undefined>
  /** Makes what the key in a folder shows with each request. */
  readonly credential: (options: {
    readonly folder: string
    readonly audience: string
    readonly sid: string
    readonly lifetimeS: number
    readonly onEnded: () => void
  }) => Promise<GateCredential>
}

/** What may be shown of an enrolment that is kept here. */
export interface KeptFacts {
  readonly codeHash: string
  readonly actor: string
}

export interface ConnectRemoteOptions {
  readonly code?: string
  readonly ca?: string
  readonly lifetimeS: number
}

/** How long another `connect` with the same code, started at the same time, may take to keep what it redeemed. */
const OTHER_MS = 3_000
const LOOK_MS = 100

/**
 * `callgate connect URL`: relays to a gate elsewhere. The key that it was enrolled with lies in the user's state folder and
 * signs every token and request; a code is needed once.
 */
export async function connectRemote(
  world: Pick<World, 'env' | 'relay' | 'remote'>,
  given: string,
  options: ConnectRemoteOptions,
): Promise<void> {
  const { gate, endpoint } = endpointOf(given)
  const ca = options.ca === undefined ? undefined : readAuthorities(options.ca)
  const folder = folderOf(world.env, gate)
  await enrolOnce(world, gate, folder, options.code ?? world.env['CALLGATE_CODE'], ca)
  const ended = new AbortController()
  const credential = await world.remote.credential({
    folder,
    audience: endpoint,
    sid: randomUUID(),
    lifetimeS: options.lifetimeS,
    onEnded: () => {
      process.stderr.write(`callgate connect: ${ENDED.replace('GATE', gate)}\n`)
      process.exitCode = 1
      ended.abort()
    },
  })
  await world.relay({
    url: endpoint,
    credential,
    closing: ended.signal,
    ...(ca === undefined ? {} : { ca }),
  })
}

const ENDED =
  'the enrolment of this machine at GATE was revoked or has expired; ask the operator for a new code and run `callgate connect` with --code once'

/** @throws CommandFailed when nothing is enrolled and no code was given, or the gate refuses the code */
async function enrolOnce(
  { remote }: Pick<World, 'remote'>,
  gate: string,
  folder: string,
  code: string | undefined,
  ca: string | undefined,
): Promise<void> {
  const kept = await read(remote, folder)
  if (code === undefined || code === '') {
    if (kept !== undefined) return
    throw new CommandFailed(`this machine is not enrolled at \`${gate}\``, {
      fix: 'let the operator run `callgate enrol`, then run this once with --code CODE',
    })
  }
  const codeHash = hash('sha256', code, 'hex')
  // A host keeps its command line: a code that was redeemed before is no reason to fail.
  if (kept?.codeHash === codeHash) return
  let refused: string | undefined
  try {
    refused = await remote.enrol({ folder, gate, code, ca })
  } catch (cause) {
    throw new CommandFailed(
      `\`${gate}\` could not be asked to enrol this machine: ${safeText(cause instanceof Error ? cause.message : String(cause))}`,
      { fix: 'check the URL; for a private authority name its certificate with --ca FILE', cause },
    )
  }
  if (refused === undefined) {
    process.stderr.write(`callgate connect: enrolled at ${gate}; the key is kept in ${folder}\n`)
    return
  }
  if (refused === 'CG_ENROL_CODE' && (await redeemedBeside(remote, folder, codeHash))) return
  throw new CommandFailed(`\`${gate}\` did not enrol this machine (${refused})`, { fix: fixOf(refused) })
}

/** Hosts start more than one `connect` at once: the one that lost finds what the other kept. */
async function redeemedBeside(remote: RemoteGates, folder: string, codeHash: string): Promise<boolean> {
  for (let waited = 0; waited < OTHER_MS; waited += LOOK_MS) {
    if ((await read(remote, folder))?.codeHash === codeHash) return true
    await sleep(LOOK_MS)
  }
  return false
}

function fixOf(refused: string): string {
  if (refused === 'CG_ENROL_CODE')
    return 'the code is wrong, was used, has expired or was revoked; ask the operator for a new one'
  if (refused === 'CG_WIRE_PATH')
    return 'nobody can be enrolled there: the gate must have `identity.enrolment: true`'
  if (refused === 'CG_IDENTITY_PROOF')
    return 'connect by the name that the gate has for itself (`listener.publicUrl`), and compare the clocks'
  return 'try again in a minute; docs/errors.md of the gate explains the code'
}

async function read(remote: RemoteGates, folder: string): Promise<KeptFacts | undefined> {
  try {
    return await remote.read(folder)
  } catch (cause) {
    throw new CommandFailed(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

/** @throws CommandFailed for what is no endpoint of a gate, or plain HTTP off this machine */
export function endpointOf(given: string): { readonly gate: string; readonly endpoint: string } {
  const url = URL.parse(given)
  // User, password and query may be secrets, and what is no URL may be one.
  const shown =
    url === null ? 'the endpoint' : `\`${url.host === '' ? url.protocol : url.origin + url.pathname}\``
  const wrong = (why: string): CommandFailed =>
    new CommandFailed(`${shown} ${why}`, {
      fix: 'give the URL of an endpoint, such as https://gate.example/mcp or https://gate.example/mcp/SERVER',
      exitCode: 2,
    })
  if (url === null) throw wrong('is no URL')
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopbackHost(url.hostname)))
    throw wrong('is not https; plain HTTP stays on this machine')
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw wrong('holds more than an endpoint')
  const path = url.pathname.replace(/\/$/, '')
  if (!/^\/mcp(\/[a-z][a-z0-9-]{0,15})?$/.test(path)) throw wrong('names no endpoint')
  return { gate: url.origin, endpoint: url.origin + path }
}

export function readAuthorities(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new CommandFailed(
      `--ca \`${file}\` cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause, exitCode: 2 },
    )
  }
}

/** One folder a gate, in the user's state folder (XDG base directories). */
export function folderOf(env: World['env'], gate: string): string {
  const given = env['XDG_STATE_HOME']
  // What is not absolute is to be ignored, says that standard.
  const base = given?.startsWith('/') === true ? given : join(env['HOME'] || homedir(), '.local', 'state')
  const { hostname, port } = new URL(gate)
  const name = `${hostname}${port === '' ? '' : `-${port}`}`.replace(/[^a-z0-9.-]/g, '_').slice(0, 100)
  return join(base, 'callgate', 'gates', `${name}-${hash('sha256', gate, 'hex').slice(0, 8)}`)
}
