import { hash, randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { type JsonObject, member } from '../call/json.ts'
import { type GatewayConfig, declaration } from '../config/declaration.ts'
import { renewedToken } from './connect.ts'
import { stateFolder } from './locate.ts'
import { CommandFailed } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import { policyArguments } from './policy-files.ts'
import type { World } from './world.ts'

export interface WrapOptions {
  readonly name?: string
  readonly policy: readonly string[]
  readonly read: readonly string[]
  readonly env: readonly string[]
  readonly ask: readonly string[]
  readonly client?: string
  readonly state?: string
}

/** Life of the tokens, in seconds; nobody but this process ever holds one. */
const TOKEN_LIFE_S = 600
/** Milliseconds until a call ends that the host still waits for: the host has a patience of its own. */
const CALL_MS = 600_000
/** Milliseconds that the first list waits for the server: a runner such as `npx` may have to fetch it first. */
const LIST_MS = 60_000

/**
 * `callgate wrap`: the gate as a stdio server, in one process with one server behind it and one host before it. There is no
 * port and no configuration; the pipe that the host holds is what lets it in, so the tokens of the development issuer, which
 * this process mints for itself, prove no more than that and are enough.
 */
export async function wrap(world: World, command: readonly string[], options: WrapOptions): Promise<number> {
  const wrapped = wrappedName(command, process.cwd(), options.name)
  const state = join(stateFolder(world.env, options.state), 'wrap', wrapped.folder)
  const config = configOf(world, command, wrapped.name, state, options)
  const started = Promise.withResolvers<boolean>()
  const ended = new AbortController()
  const gate = await world.encloseGate(config, (event, detail) => {
    if (!SAID.has(event)) return
    say(sentence(event, detail))
    // A server that never came is what the host must see at once: with nothing behind it, this one ends too.
    if (event === 'server.unavailable' && member(detail, 'reason') === 'unavailable') started.resolve(false)
  })
  const stop = (): void => {
    ended.abort()
    started.resolve(true)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop)

  // What the server offers is part of the first answer.
  void gate.settled.then(() => started.resolve(true))
  const came = await started.promise
  if (came) {
    say(`${wrapped.name}: ${enforcement(options)}`)
    say(`${wrapped.name}: records in ${gate.evidence}; \`CALLGATE_STATE=${state} callgate tail\` shows them`)
    const issuer = await world.openDevIssuer(config.state)
    const path = `/mcp/${wrapped.name}`
    const user = userName()
    const credential = renewedToken(world, issuer, {
      audience: gate.url + path,
      subject: user,
      clientId: options.client ?? user,
      scope: '',
      lifetimeS: TOKEN_LIFE_S,
      sid: randomUUID(),
    })
    await world.relay({ url: gate.url + path, credential, dial: gate.dial, signal: ended.signal })
  }
  await gate.close()
  return came ? 0 : 1
}

/** What the gate says of itself that the person who wrapped a server should see. */
const SAID: ReadonlySet<string> = new Set([
  'server.available',
  'server.unavailable',
  'catalog.waiting',
  'catalog.withheld',
  'catalog.refused',
  'policy.refused',
  'policy.misfit',
])

function say(line: string): void {
  process.stderr.write(`callgate wrap: ${safeText(line)}\n`)
}

function sentence(event: string, detail: JsonObject): string {
  const values = Object.entries(detail).map(([name, value]) => `${name} ${JSON.stringify(value)}`)
  return [event, ...values].join(', ')
}

function enforcement({ policy }: WrapOptions): string {
  return policy.length === 0
    ? 'no --policy, so every call is allowed and recorded'
    : `calls are judged by ${policy.join(', ')}; what no rule allows is denied`
}

/** The local user; a container may give its user no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`
  }
}

const SERVER_ID = /^[a-z][a-z0-9-]{0,15}$/
/** Programs that run another one: the server's own name stands behind them. */
const RUNNERS = new Set(['node', 'npx', 'bun', 'bunx', 'deno', 'python', 'python3', 'uv', 'uvx', 'pipx'])
/** Parts of a path that every server has. */
const PLACES = new Set(['index', 'main', 'server', 'cli', 'dist', 'build', 'lib', 'src', 'bin', 'out'])

/**
 * Id of the server and the folder of its state. Two commands, or one in two places, never share a folder unless a name says
 * that they are the same server: what was approved of one says nothing of the other.
 * @throws CommandFailed for a name that is no server id
 */
export function wrappedName(
  command: readonly string[],
  cwd: string,
  given: string | undefined,
): { readonly name: string; readonly folder: string } {
  if (given !== undefined) {
    if (SERVER_ID.test(given)) return { name: given, folder: given }
    throw new CommandFailed(
      `--name is \`${given}\` (expected at most 16 lower-case letters, digits and \`-\`, the first a letter)`,
      { exitCode: 2 },
    )
  }
  const [program = ''] = command
  const runs = RUNNERS.has(basename(program))
    ? // An address may hold a password, and the name of a server stands everywhere.
      command.slice(1).find((word) => !word.startsWith('-') && !/:\/\/|:.*@/.test(word))
    : program
  const parts = (runs ?? '')
    .toLowerCase()
    .split(/[\\/]/)
    .map((part) => part.replace(/(?<=.)@.*$|\.[a-z]+$/, ''))
  const telling = parts.findLast((part) => part !== '' && !PLACES.has(part)) ?? ''
  const name = telling
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^(mcp-)?server-|^[^a-z]+/, '')
    .slice(0, 16)
    .replace(/-$/, '')
  const id = SERVER_ID.test(name) ? name : 'wrapped'
  return { name: id, folder: `${id}-${hash('sha256', JSON.stringify([cwd, command]), 'hex').slice(0, 8)}` }
}

/**
 * The whole configuration, made from the command line.
 * @throws CommandFailed for a value that the configuration does not take
 */
function configOf(
  world: World,
  command: readonly string[],
  name: string,
  state: string,
  options: WrapOptions,
): GatewayConfig {
  const parsed = declaration.safeParse({
    identity: { issuers: [{ issuer: 'urn:callgate:dev-issuer', dev: true }], replay: 'session' },
    servers: {
      [name]: {
        command,
        cwd: process.cwd(),
        env: environment(world, options.env),
        // The person who typed the command has approved what it starts; every change after that is withheld.
        approve: 'first-use',
        timeoutMs: CALL_MS,
        listTimeoutMs: LIST_MS,
        tools: Object.fromEntries(options.read.map((glob) => [glob, { class: 'read' }])),
        clientCapabilities: options.ask,
      },
    },
    policy: { files: options.policy.length > 0 ? options.policy : [observing(name, state)] },
  })
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `\`${path.join('.')}\`: ${message}`)
    throw new CommandFailed(problems.join('\n'), { exitCode: 2 })
  }
  const { identity, policy, ...rest } = parsed.data
  const jwks = join(state, 'keys', 'dev-issuer.jwks.json')
  return {
    ...rest,
    identity: { ...identity, issuers: identity.issuers.map((issuer) => ({ ...issuer, jwks })) },
    policy: { files: policyArguments(policy.files, (file) => resolve(file)) },
    state,
    folder: process.cwd(),
  }
}

/** Variables of this process that the server may see. @throws CommandFailed for one that is not set */
function environment(world: World, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.map((name) => {
      const value = world.env[name]
      if (value === undefined)
        throw new CommandFailed(`--env names \`${name.split('=')[0]}\`, which is not set here`, {
          fix: name.includes('=')
            ? 'give the name alone; the value is set in the entry of the host'
            : 'set it in the entry of the host, or leave it out',
          exitCode: 2,
        })
      return [name, value]
    }),
  )
}

/** The policy of a server that is only watched. @returns its file */
function observing(name: string, state: string): string {
  const file = join(state, 'observe.yaml')
  mkdirSync(state, { recursive: true, mode: 0o700 })
  writeFileSync(
    file,
    `# Written by \`callgate wrap\` without --policy: every call is allowed and recorded.
- rule: wrap-observed
  when: { server: ${name} }
  decision: allow
  why: no policy was given; enforce one with --policy
`,
    { mode: 0o600 },
  )
  return file
}
