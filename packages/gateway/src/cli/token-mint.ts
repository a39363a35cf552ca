import { X509Certificate, hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { DETAIL_TYPE } from '../call/authorization.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { configPath, readRunFile, requireConfig, stateFolder } from './locate.ts'
import type { DevMint, World } from './world.ts'

export interface TokenMintOptions {
  readonly config?: string
  readonly server?: string
  readonly subject: string
  readonly client: string
  readonly scope: string
  readonly lifetime: string
  readonly once?: boolean
  readonly sid?: string
  readonly jkt?: string
  readonly certificate?: string
  readonly details?: string
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
    ...bound(options),
    ...(options.details === undefined ? {} : { details: detailsOf(options.details) }),
  })
  if (options.json === true) printJson({ token: minted.token, expires_at: minted.expiresAt })
  else print(minted.token)
}

/** What the token is bound to. @throws CommandFailed */
function bound({ jkt, certificate }: TokenMintOptions): Pick<Parameters<DevMint['mint']>[0], 'confirmation'> {
  if (jkt !== undefined && certificate !== undefined)
    throw new CommandFailed('--jkt and --certificate bind a token to two things; give one', { exitCode: 2 })
  if (jkt !== undefined) {
    if (/^[A-Za-z0-9_-]{43}$/.test(jkt)) return { confirmation: { jkt } }
    throw new CommandFailed('--jkt is no thumbprint (expected 43 letters of base64url, RFC 7638)', {
      exitCode: 2,
    })
  }
  if (certificate === undefined) return {}
  try {
    const { raw } = new X509Certificate(readFileSync(certificate))
    return { confirmation: { 'x5t#S256': hash('sha256', raw, 'base64url') } }
  } catch (cause) {
    throw new CommandFailed(`${certificate}: cannot be read as a certificate`, {
      fix: 'name a PEM file with the client certificate first',
      cause,
    })
  }
}

/** Authorization details as they are given: the gate judges them. @throws CommandFailed */
function detailsOf(text: string): readonly object[] {
  const fix = `give a JSON list such as [{"type":"${DETAIL_TYPE}","locations":["crm"],"actions":["tools/call:crm.read"]}]`
  let details: unknown
  try {
    details = JSON.parse(text)
  } catch (cause) {
    throw new CommandFailed('--details is not JSON', { fix, exitCode: 2, cause })
  }
  if (Array.isArray(details) && details.every((one) => typeof one === 'object' && one !== null))
    return details
  throw new CommandFailed('--details is no list of objects', { fix, exitCode: 2 })
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
