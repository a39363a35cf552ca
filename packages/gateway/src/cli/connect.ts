import { randomUUID } from 'node:crypto'
import type { GateCredential } from '../ports/gate-credential.ts'
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
  readonly code?: string
  readonly ca?: string
}

/** Who `connect` is for the gate of this machine, when nobody says otherwise. */
export const LOCAL = { client: 'connect', subject: 'you', scope: 'quickstart' } as const

/**
 * `callgate connect`: the stdio line for a host. It mints a token for this process (its session), renews it by itself
 * and relays every message to the gate.
 * @param url of an endpoint of a gate elsewhere; undefined: the gate that runs here
 */
export async function connect(world: World, url: string | undefined, options: ConnectOptions): Promise<void> {
  const lifetimeS = Number(options.tokenLife)
  if (!Number.isInteger(lifetimeS) || lifetimeS < 5 || lifetimeS > 600) {
    throw new CommandFailed(`--token-life is \`${options.tokenLife}\` (expected seconds from 5 to 600)`, {
      exitCode: 2,
    })
  }
  if (url !== undefined) {
    const { client, subject, scope, code, ca } = options
    const said = client !== LOCAL.client || subject !== LOCAL.subject || scope !== LOCAL.scope
    if (said || options.state !== undefined || options.server !== undefined) {
      throw new CommandFailed(
        '--state, --server, --client, --subject and --scope are for the gate that runs here',
        {
          fix: 'leave them out: the URL names gate and server, the enrolment says who calls',
          exitCode: 2,
        },
      )
    }
    const { connectRemote } = await import('./connect-remote.ts')
    const known = { ...(code === undefined ? {} : { code }), ...(ca === undefined ? {} : { ca }) }
    return connectRemote(world, url, { ...known, lifetimeS })
  }
  if (options.code !== undefined || options.ca !== undefined)
    throw new CommandFailed('--code and --ca go with the URL of a gate elsewhere', { exitCode: 2 })
  const state = stateFolder(world.env, options.state)
  const run = readRunFile(state)
  if (run === undefined) {
    throw new CommandFailed(`no gate has run on \`${state}\``, {
      fix: 'start it with `npm start`, or name its folder with --state',
    })
  }
  const config = requireConfig({ ...world.env, CALLGATE_STATE: state }, run.config)
  const issuer = await world.openDevIssuer(config.state)
  const path = `/mcp${options.server === undefined ? '' : `/${options.server}`}`
  const credential = renewedToken(world, issuer, {
    audience: (config.listener.publicUrl ?? run.url) + path,
    subject: options.subject,
    clientId: options.client,
    scope: options.scope,
    lifetimeS,
    sid: randomUUID(),
  })
  await world.relay({ url: run.url + path, credential })
}

/** A token that is renewed at half of its life: the other half is left for clocks that differ and calls that wait. */
export function renewedToken(
  world: Pick<World, 'now'>,
  issuer: DevMint,
  options: Parameters<DevMint['mint']>[0],
): GateCredential {
  let token = ''
  let renewAt = 0
  return {
    headersFor() {
      if (world.now() >= renewAt) {
        token = issuer.mint(options).token
        renewAt = world.now() + options.lifetimeS * 500
      }
      return { authorization: `Bearer ${token}` }
    },
  }
}
