import { CommandFailed, print, printJson } from './output.ts'
import { configPath, readRunFile, requireConfig, stateFolder } from './locate.ts'
import type { World } from './world.ts'

export interface TokenMintOptions {
  readonly config?: string
  readonly server?: string
  readonly subject: string
  readonly client: string
  readonly scope: string
  readonly lifetime: string
  readonly once?: boolean
  readonly sid?: string
  readonly json?: boolean
}

/** `callgate token mint`: a token of the development issuer for the gate that runs here. */
export async function tokenMint(world: World, options: TokenMintOptions): Promise<void> {
  const config = requireConfig(world.env, configPath(world.env, options.config))
  if (!config.identity.issuers.some((issuer) => issuer.dev)) {
    throw new CommandFailed('the configuration has no development issuer', {
      fix: 'get a token from one of `identity.issuers`, or add an issuer with `dev: true`',
    })
  }
  const lifetimeS = Number(options.lifetime)
  if (!Number.isInteger(lifetimeS) || lifetimeS < 1 || lifetimeS > 3_600) {
    throw new CommandFailed(`--lifetime is \`${options.lifetime}\` (expected seconds from 1 to 3600)`, {
      exitCode: 2,
    })
  }
  const issuer = await world.openDevIssuer(config.state)
  const minted = issuer.mint({
    audience: audienceOf(world, config.listener, options.server),
    subject: options.subject,
    clientId: options.client,
    scope: options.scope,
    lifetimeS,
    ...(options.once === true ? { once: true } : {}),
    ...(options.sid === undefined ? {} : { sid: options.sid }),
  })
  if (options.json === true) printJson({ token: minted.token, expires_at: minted.expiresAt })
  else print(minted.token)
}

/** The audience of an endpoint: under the public URL when one is configured, else where the gate listens. */
export function audienceOf(
  world: World,
  listener: { readonly publicUrl?: string; readonly host: string; readonly port: number },
  server: string | undefined,
): string {
  const run = readRunFile(stateFolder(world.env))
  const base = listener.publicUrl ?? run?.url ?? `http://${listener.host}:${listener.port}`
  return `${base}/mcp${server === undefined ? '' : `/${server}`}`
}
