import { randomUUID } from 'node:crypto'
import { CommandFailed } from './output.ts'
import { readRunFile, requireConfig, stateFolder } from './locate.ts'
import type { DevMint, World } from './world.ts'

export interface ConnectOptions {
  readonly state?: string
  readonly server?: string
  readonly client: string
  readonly subject: string
  readonly scope: string
  readonly tokenLife: string
}

/**
 * `callgate connect`: the stdio line for a host. It mints a token for this process (its session), renews it by itself
 * and relays every message to the gate.
 */
export async function connect(world: World, options: ConnectOptions): Promise<void> {
  const state = stateFolder(world.env, options.state)
  const lifetimeS = Number(options.tokenLife)
  if (!Number.isInteger(lifetimeS) || lifetimeS < 5 || lifetimeS > 600) {
    throw new CommandFailed(`--token-life is \`${options.tokenLife}\` (expected seconds from 5 to 600)`, {
      exitCode: 2,
    })
  }
  const run = readRunFile(state)
  if (run === undefined) {
    throw new CommandFailed(`no gate has run on \`${state}\``, {
      fix: 'start it with `npm start`, or name its folder with --state',
    })
  }
  const config = requireConfig({ ...world.env, CALLGATE_STATE: state }, run.config)
  const issuer = await world.openDevIssuer(config.state)
  const path = `/mcp${options.server === undefined ? '' : `/${options.server}`}`
  const tokenFor = renewedToken(world, issuer, {
    audience: (config.listener.publicUrl ?? run.url) + path,
    subject: options.subject,
    clientId: options.client,
    scope: options.scope,
    lifetimeS,
    sid: randomUUID(),
  })
  await world.relay({ url: run.url + path, tokenFor })
}

/** A token that is renewed at half of its life: the other half is left for clocks that differ and calls that wait. */
export function renewedToken(
  world: Pick<World, 'now'>,
  issuer: DevMint,
  options: Parameters<DevMint['mint']>[0],
): () => string {
  let token = ''
  let renewAt = 0
  return () => {
    if (world.now() >= renewAt) {
      token = issuer.mint(options).token
      renewAt = world.now() + options.lifetimeS * 500
    }
    return token
  }
}
