import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { parseReference } from '../ports/secret-reference.ts'
import type { OwnKeyPlace } from '../ports/signer.ts'
import { type Check, type Found, type Patient, orFine } from './doctor-finding.ts'
import { readRunFile } from './locate.ts'

/** Looks that connect, or run a program that a secret comes from. */
export const REMOTE_CHECKS: readonly Check[] = [
  { group: 'keys', look: keys },
  { group: 'secrets', look: secrets },
  { group: 'issuers', look: issuers },
  { group: 'servers', look: servers },
  { group: 'dns', look: dns },
  { group: 'gate', look: gate },
]

interface Placed {
  readonly at: string
  readonly text: string
  /** Algorithm that a key there signs by. */
  readonly alg: string | undefined
}

/** Every reference of the configuration, with the place where it stands. */
function references(value: unknown, at: string, alg?: string): Placed[] {
  if (typeof value === 'string')
    return /^(?:file|exec|env|pkcs11|vault|awssm|awskms):/.test(value) ? [{ at, text: value, alg }] : []
  if (typeof value !== 'object' || value === null) return []
  const own = 'alg' in value && typeof value.alg === 'string' ? value.alg : undefined
  return Object.entries(value).flatMap(([key, inner]) => references(inner, `${at}.${key}`, own))
}

/** Where each key of the gate is kept, and whether it signs there. */
async function keys({ world, config, state }: Patient): Promise<Found[]> {
  const look = async (id: string, what: string, place: OwnKeyPlace): Promise<Found> => {
    const { file, token, alg } = place
    const reference = token === undefined ? undefined : parseReference(token, { strict: false })
    const at = `\`${reference !== undefined && 'label' in reference ? reference.label : file}\``
    if (token === undefined && !existsSync(file))
      return { id, verdict: 'ok', text: `${what}: ${at}, not there yet; a gate that needs it makes it` }
    const problem = await world.examine.signer(config, place)
    if (problem === undefined)
      return { id, verdict: 'ok', text: `${what}: ${at} signs by ${token === undefined ? 'EdDSA' : alg}` }
    const fix =
      token === undefined
        ? 'restore the file from a backup, mode 600'
        : 'see docs/keys-in-an-hsm.md; a gate without this key does not start'
    return { id, verdict: 'wrong', text: `${what}: ${at} does not sign: ${problem}`, fix }
  }
  const inState = (name: string): string => join(state, 'keys', name)
  return Promise.all([
    look('keys.evidence', 'checkpoints of the log', {
      file: inState('evidence.key'),
      token: config.evidence.signingKey,
      alg: 'EdDSA',
    }),
    look('keys.assertion', 'assertions of callers', {
      file: inState('assertion.key'),
      token: config.assertion.key,
      alg: 'ES256',
    }),
  ])
}

async function secrets({ world, config }: Patient): Promise<Found[]> {
  const all = Object.entries(config.servers).flatMap(([id, server]) =>
    server.transport === 'http' ? references(server.credentials, `servers.${id}.credentials`) : [],
  )
  const problems = await Promise.all(all.map(({ text, alg }) => world.examine.secret(config, text, alg)))
  const found = all.flatMap(({ at, text }, i): Found[] => {
    const problem = problems[i]
    if (problem !== undefined)
      return [{ id: 'secrets.unreadable', verdict: 'wrong', text: `\`${at}\`: ${problem}` }]
    if (!text.startsWith('env:')) return []
    return [
      {
        id: 'secrets.environment',
        verdict: 'warn',
        text: `\`${at}\` comes from the gate's environment, which --strict refuses`,
        fix: 'keep it in a file of mode 0600, or where docs/secrets.md says',
      },
    ]
  })
  return orFine('secrets', all.length === 0 ? 'none configured' : `${all.length} can be read`, found)
}

async function issuers(patient: Patient): Promise<Found[]> {
  const { world, config } = patient
  const algorithms: readonly string[] = config.identity.algorithms
  const seen = await Promise.all(
    config.identity.issuers
      .filter(({ dev }) => !dev)
      .map(async ({ issuer, jwks }): Promise<Found[]> => {
        const fix = 'see whether `jwks` is right and the gate can reach it'
        const keys = await world.examine.keys(jwks)
        if (typeof keys === 'string')
          return [{ id: 'issuers.keys', verdict: 'wrong', text: `keys of \`${issuer}\`: ${keys}`, fix }]
        const usable = keys.algorithms.filter((each) => each.some((name) => algorithms.includes(name)))
        const skew = skewOf(patient, `issuer \`${issuer}\``, keys.date)
        if (usable.length > 0) return skew
        const text = `\`${issuer}\` has no key for ${algorithms.join(', ')}`
        return [
          ...skew,
          {
            id: 'issuers.keys',
            verdict: 'wrong',
            text,
            fix: 'set `identity.algorithms` to what it signs with',
          },
        ]
      }),
  )
  return orFine(
    'issuers',
    seen.length === 0 ? 'only the development issuer' : `${seen.length} have usable keys`,
    seen.flat(),
  )
}

async function servers(patient: Patient): Promise<Found[]> {
  const { world, config } = patient
  const entries = Object.entries(config.servers)
  const seen = await Promise.all(
    entries.map(async ([id, server]): Promise<Found[]> => {
      if (server.transport === 'stdio') {
        const [program = ''] = server.command
        if (isProgram(program, server.cwd, world.env['PATH'] ?? '')) return []
        const text = `program \`${program}\` of server \`${id}\` is not there, or cannot be run`
        return [
          {
            id: 'servers.program',
            verdict: 'wrong',
            text,
            fix: `install it, or correct \`servers.${id}.command\``,
          },
        ]
      }
      const met = await world.examine.server(id, server)
      if (typeof met === 'string')
        return [
          {
            id: 'servers.unreachable',
            verdict: 'wrong',
            text: `server \`${id}\`: ${met}`,
            fix: `see whether it runs, and \`servers.${id}.url\`, \`network\` and \`tls\``,
          },
        ]
      return skewOf(patient, `server \`${id}\``, met.date)
    }),
  )
  const text =
    entries.length === 0 ? 'none configured' : `${entries.length} can be reached or started; none was called`
  return orFine('servers', text, seen.flat())
}

/** A clock that is off makes good tokens expired, and expired ones good. */
function skewOf({ world, config }: Patient, who: string, date: Date | undefined): Found[] {
  if (date === undefined) return []
  const seconds = Math.round((date.getTime() - world.now()) / 1_000)
  // The header has whole seconds, and the answer took its time.
  if (Math.abs(seconds) <= Math.max(config.identity.clockSkewS, 2)) return []
  const text = `the clock of ${who} is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} this one`
  return [{ id: 'clock.skew', verdict: 'wrong', text, fix: 'set this machine by NTP' }]
}

function isProgram(program: string, cwd: string, path: string): boolean {
  const places = program.includes('/')
    ? [resolve(cwd, program)]
    : path.split(delimiter).map((folder) => join(folder, program))
  return places.some((place) => {
    try {
      accessSync(place, constants.X_OK)
      return statSync(place).isFile()
    } catch {
      return false
    }
  })
}

async function dns({ world, config }: Patient): Promise<Found[]> {
  if (!config.egress.resolve)
    return [
      {
        id: 'dns.off',
        verdict: 'ok',
        text: 'names in URLs are judged by their text (`egress.resolve: false`)',
      },
    ]
  const problem = await world.examine.resolver(config.egress.resolvers)
  return orFine(
    'dns',
    'answers',
    problem === undefined
      ? []
      : [
          {
            id: 'dns.silent',
            verdict: 'wrong',
            text: `no DNS server answers (${problem}): every call with a name in a URL is refused`,
            fix: 'set `egress.resolvers`, or `egress.resolve: false` where names cannot be resolved',
          },
        ],
  )
}

async function gate({ world, config, path, state }: Patient): Promise<Found[]> {
  const run = readRunFile(state)
  if (run === undefined || !isAlive(run.pid))
    return [{ id: 'gate.stopped', verdict: 'ok', text: 'none runs on this state folder' }]
  const found: Found[] = []
  if (run.config !== path) {
    const fix = 'restart it, or name its configuration with --config'
    found.push({
      id: 'gate.config',
      verdict: 'warn',
      text: `the one that runs was started with ${run.config}`,
      fix,
    })
  }
  const problem = await world.examine.health(run.url, config.listener.tls !== undefined)
  if (problem !== undefined) {
    const fix = 'see what `callgate tail` says, and restart it'
    found.push({
      id: 'gate.health',
      verdict: 'wrong',
      text: `it runs (pid ${run.pid}), but ${run.url}/healthz ${problem}`,
      fix,
    })
  }
  return orFine('gate', `runs on ${run.url} (pid ${run.pid}) and is healthy`, found)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
