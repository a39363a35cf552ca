import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Json, type JsonObject, isJsonObject, stringMember } from '../call/json.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import type { Waiting } from '../ports/pin-store.ts'
import { scanText } from '../text/scan.ts'
import { configPath, requireConfig } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import type { World } from './world.ts'

export interface ScanServersOptions {
  readonly config?: string
  readonly json?: boolean
}

/** What makes a definition suspicious; personal data in it is told and is no fault. */
const SUSPICIOUS = /^(?:injection|hidden_text|secret\..*)$/

/** Something found in a definition: its place as a JSON pointer and UTF-16 offsets in the text there. */
interface Found {
  readonly class: string
  readonly pointer: string
  readonly start: number
  readonly end: number
  readonly score: number
}

/**
 * `callgate scan servers`: starts the configured servers as the gate would, in a state folder that is thrown away, and scans the
 * definitions that they list now. Nothing is approved, and no tool is called.
 * @returns exit code: 0 nothing suspicious, 1 something, 2 a server that could not be asked
 */
export async function scanServers(
  world: World,
  names: readonly string[],
  { config: path, json }: ScanServersOptions,
): Promise<number> {
  const config = requireConfig(world.env, configPath(world.env, path))
  const unknown = names.find((name) => config.servers[name] === undefined)
  if (unknown !== undefined)
    throw new CommandFailed(`no server \`${safeText(unknown)}\` in the configuration`, {
      fix: `name some of ${Object.keys(config.servers).join(', ')}, or none for all`,
      exitCode: 2,
    })
  const chosen = names.length === 0 ? Object.keys(config.servers) : names
  const state = mkdtempSync(join(tmpdir(), 'callgate-scan-'))
  const away = new Map<string, string>()
  try {
    const gate = await world.encloseGate(listing(config, chosen, state), (event, detail) => {
      const server = stringMember(detail, 'server')
      if (event === 'server.unavailable' && server !== undefined)
        away.set(server, stringMember(detail, 'why') ?? 'it did not answer')
      if (event === 'server.available' && server !== undefined) away.delete(server)
    })
    await gate.settled
    await gate.close()
    const pins = await world.pins(join(state, 'pins.json'))
    let tools = 0
    let suspicious = 0
    for (const server of chosen) {
      const why = away.get(server)
      if (why !== undefined) {
        if (json === true) printJson({ server, unavailable: why })
        else print(`${server}: could not be asked: ${safeText(why)}`)
      }
      for (const [tool, waits] of Object.entries(pins[server]?.waiting ?? {})) {
        tools++
        const findings = findingsIn(waits)
        const flagged = findings.some(({ class: name }) => SUSPICIOUS.test(name))
        if (flagged) suspicious++
        const score = Math.max(0, ...findings.map((found) => found.score))
        if (json === true) printJson({ server, tool, digest: waits.digest, flagged, score, findings })
        else for (const found of findings) print(`${server}.${safeText(tool)}: ${sentence(found)}`)
      }
    }
    if (json !== true)
      print(`${tools} tools of ${chosen.length - away.size} servers, ${suspicious} suspicious`)
    return away.size > 0 ? 2 : suspicious > 0 ? 1 : 0
  } finally {
    rmSync(state, { recursive: true, force: true })
  }
}

const sentence = ({ class: name, pointer, start, end, score }: Found): string =>
  name === 'injection'
    ? `reads like instructions to the model (score ${score.toFixed(2)})`
    : `${name} at ${safeText(pointer)} (signs ${start} to ${end}, score ${score.toFixed(2)})`

/** The same servers, of which nothing is approved, behind a gate that nobody else can reach. */
function listing(config: GatewayConfig, chosen: readonly string[], state: string): GatewayConfig {
  const policy = join(state, 'policy.yaml')
  writeFileSync(policy, '- rule: nothing-is-called\n  when: { tool: "*" }\n  decision: deny\n')
  const { signingKey: _, ...evidence } = config.evidence
  return {
    ...config,
    state,
    evidence,
    assertion: {},
    identity: {
      ...config.identity,
      enrolment: false,
      issuers: [
        {
          issuer: 'urn:callgate:dev-issuer',
          dev: true,
          jwks: join(state, 'keys', 'dev-issuer.jwks.json'),
          claims: undefined,
        },
      ],
    },
    policy: { files: [policy] },
    servers: Object.fromEntries(
      Object.entries(config.servers)
        .filter(([id]) => chosen.includes(id))
        .map(([id, server]) => [id, { ...server, approve: 'manual' as const }]),
    ),
  }
}

function findingsIn({ definition, risk }: Waiting): Found[] {
  const whole: Found[] =
    risk === undefined ? [] : [{ class: 'injection', pointer: '', start: 0, end: 0, score: risk }]
  return [...whole, ...within(definition, '')]
}

function within(value: Json, pointer: string): Found[] {
  if (typeof value === 'string') return scanText(value).map((found) => ({ ...found, pointer }))
  if (Array.isArray(value)) return value.flatMap((item, i) => within(item, `${pointer}/${i}`))
  if (!isJsonObject(value)) return []
  return entries(value).flatMap(([name, item]) => [
    ...scanText(name).map((found) => ({ ...found, pointer })),
    ...within(item, `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`),
  ])
}

const entries = (value: JsonObject): [string, Json][] => Object.entries(value)
