import { accessSync, constants, existsSync, readFileSync, readdirSync, statSync, statfsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CHECKPOINT, openCheckpoint, parseVerifierKey } from '@callgate/evidence'
import { endOfDay } from '../config/check.ts'
import { loadConfig } from '../config/load.ts'
import { formatProblem } from '../config/problem.ts'
import { isSecretName, isSecretValue } from '../text/secret-name.ts'
import { type Check, type Found, type Patient, orFine } from './doctor-finding.ts'
import { bundleFiles, bundleLine } from './policy-bundle.ts'
import { checkPolicyFiles, pinnedTools, ruleWarnings } from './policy.ts'

/** Room on the disk under which somebody should know, in bytes: some days of records of a busy gate. */
const LITTLE_ROOM = 256 * 1024 * 1024
/** Room under which refusals cannot be recorded for long, in bytes. */
const NO_ROOM = 4 * 1024 * 1024
const DAY_MS = 86_400_000
/** Days before its end at which an exception of an issuer is told. */
const EXCEPTION_DAYS = 14

/** Looks at this machine alone. */
export const LOCAL_CHECKS: readonly Check[] = [
  { group: 'runtime', look: runtime },
  { group: 'configuration', look: configuration },
  { group: 'policy', look: policy },
  { group: 'state', look: state },
  { group: 'evidence', look: evidence },
  { group: 'certificates', look: certificates },
  { group: 'environment', look: environment },
]

function runtime(): Found[] {
  const found: Found[] = []
  const major = Number(process.versions.node.split('.')[0])
  if (major < 24) {
    const fix = 'run `npm ci` in the project, which brings its own Node'
    found.push({
      id: 'runtime.node',
      verdict: 'wrong',
      text: `Node ${process.versions.node} is too old (24 or newer)`,
      fix,
    })
  }
  if (makesCode()) {
    const fix = 'start the gate by its own command, `callgate`, which sets the flags of its process'
    found.push({ id: 'runtime.code', verdict: 'wrong', text: 'the process can make code from strings', fix })
  }
  return orFine('runtime', `Node ${process.versions.node}, no code from strings`, found)
}

/** Whether this process, which was started as the gate is, could turn a text into code. */
function makesCode(): boolean {
  try {
    // oxlint-disable-next-line no-new-func
    return typeof new Function('return 1') === 'function'
  } catch {
    return false
  }
}

function configuration({ world, path, config }: Patient): Found[] {
  const strict = loadConfig(path, { env: world.env, strict: true }).problems ?? []
  const found: Found[] = strict.map((problem) => ({
    id: 'configuration.strict',
    verdict: 'warn',
    text: formatProblem(problem),
  }))
  for (const { issuer, exception } of config.identity.issuers) {
    if (exception === undefined) continue
    const days = Math.floor((endOfDay(exception.until) - world.now()) / DAY_MS)
    if (days > EXCEPTION_DAYS) continue
    const fix = 'have the issuer mint tokens as docs/config.md says, or set another last day'
    const text =
      days < 0
        ? `the exception of issuer \`${issuer}\` is over since ${exception.until}: its tokens are refused`
        : `the exception of issuer \`${issuer}\` ends on ${exception.until}, in ${days} days`
    found.push({ id: 'configuration.exception', verdict: days < 0 ? 'wrong' : 'warn', text, fix })
  }
  const count = Object.keys(config.servers).length
  return orFine(
    'configuration',
    `${count} servers, ${config.identity.issuers.length} issuers; --strict takes it`,
    found,
  )
}

async function policy({ world, config }: Patient): Promise<Found[]> {
  const bundle = await bundleFiles(world, config)
  const { problems, warnings } = await checkPolicyFiles(
    config.policy.files,
    await pinnedTools(world, config),
    false,
    bundle,
  )
  const count = config.policy.files.length + bundle.length
  const found = orFine('policy', `${count} files load and fit the pinned tools`, [
    ...problems.map((problem) => ({
      id: 'policy.problem',
      verdict: 'wrong' as const,
      text: formatProblem(problem),
    })),
    ...[...warnings, ...(await ruleWarnings(config, bundle))].map((problem) => ({
      id: 'policy.warning',
      verdict: 'warn' as const,
      text: formatProblem(problem),
    })),
  ])
  return [...found, ...(await policyBundle({ world, config }))]
}

/** Which bundle is live, and whether it may still decide. */
async function policyBundle({ world, config }: Pick<Patient, 'world' | 'config'>): Promise<Found[]> {
  const live = await world.bundle(config)
  const text = bundleLine(live)
  if (live === undefined || text === undefined) return []
  if (live.problem !== undefined)
    return [
      { id: 'policy.bundle', verdict: 'warn', text, fix: 'start the gate: it takes the one that is offered' },
    ]
  if (live.standing === 'good') return [{ id: 'policy.bundle', verdict: 'ok', text }]
  const fix =
    live.standing === 'too-old'
      ? 'sign it again: `callgate policy bundle`'
      : 'let a gate run, and look in its log for policy.unconfirmed and policy.refused'
  return [{ id: 'policy.bundle', verdict: 'wrong', text, fix }]
}

function state({ state: folder }: Patient): Found[] {
  if (!existsSync(folder))
    return [{ id: 'state.absent', verdict: 'ok', text: 'none yet: the first start makes it' }]
  const found: Found[] = []
  const open = (path: string, bits: number, want: string): void => {
    const mode = statSync(path).mode & 0o777
    if ((mode & bits) === 0) return
    const text = `\`${path}\` has mode ${mode.toString(8)} (expected ${want})`
    found.push({ id: 'state.mode', verdict: 'wrong', text, fix: `chmod ${want} ${path}` })
  }
  open(folder, 0o077, '700')
  const keys = join(folder, 'keys')
  if (existsSync(keys)) {
    open(keys, 0o077, '700')
    // Public halves may be read by everybody; whatever else lies here is secret.
    for (const name of readdirSync(keys))
      if (!name.endsWith('.jwks.json')) open(join(keys, name), 0o077, '600')
  }
  const parent = statSync(dirname(folder))
  if ((parent.mode & 0o002) !== 0 && (parent.mode & 0o1000) === 0) {
    const fix = `chmod o-w ${dirname(folder)}`
    found.push({
      id: 'state.parent',
      verdict: 'wrong',
      text: `everybody may replace \`${folder}\`: \`${dirname(folder)}\` is writable for all`,
      fix,
    })
  }
  if (process.getuid !== undefined && statSync(folder).uid !== process.getuid()) {
    const fix = 'run the gate and its commands as the owner of its state folder'
    found.push({
      id: 'state.owner',
      verdict: 'warn',
      text: 'the state folder belongs to another user than this one',
      fix,
    })
  }
  try {
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch {
    found.push({
      id: 'state.writable',
      verdict: 'wrong',
      text: `\`${folder}\` cannot be written`,
      fix: 'let its owner write it',
    })
  }
  const { bavail, bsize } = statfsSync(folder)
  const room = bavail * bsize
  if (room < LITTLE_ROOM) {
    const text = `${Math.floor(room / 1024 / 1024)} MiB are left on its disk; a gate that cannot record refuses calls`
    found.push({
      id: 'state.room',
      verdict: room < NO_ROOM ? 'wrong' : 'warn',
      text,
      fix: 'free room, or move the state folder',
    })
  }
  return orFine('state', `modes are right, ${(room / 1024 ** 3).toFixed(1)} GiB left`, found)
}

function evidence({ state: folder }: Patient): Found[] {
  const logs = join(folder, 'evidence')
  if (!existsSync(logs)) return [{ id: 'evidence.absent', verdict: 'ok', text: 'no records yet' }]
  const found: Found[] = []
  let records = 0
  for (const node of readdirSync(logs)) {
    const log = join(logs, node)
    if (!existsSync(join(log, CHECKPOINT))) continue
    try {
      const key = parseVerifierKey(readFileSync(join(log, 'vkey'), 'utf8').trim())
      records += openCheckpoint(readFileSync(join(log, CHECKPOINT)), key).size
    } catch (error) {
      const text = `the checkpoint of \`${log}\` does not hold: ${error instanceof Error ? error.message : String(error)}`
      found.push({
        id: 'evidence.checkpoint',
        verdict: 'wrong',
        text,
        fix: `callgate evidence verify ${log}`,
      })
    }
  }
  return orFine(
    'evidence',
    `${records} records are signed; \`callgate evidence verify\` recomputes them all`,
    found,
  )
}

async function certificates({ world, config }: Patient): Promise<Found[]> {
  const files: [string, string][] = []
  const { tls } = config.listener
  if (tls !== undefined) {
    files.push(['listener.tls.cert', tls.cert])
    if (tls.clientCa !== undefined) files.push(['listener.tls.clientCa', tls.clientCa])
  }
  const page = config.approvals?.page?.listen.tls
  if (page !== undefined) files.push(['approvals.page.listen.tls.cert', page.cert])
  for (const [id, server] of Object.entries(config.servers)) {
    if (server.transport !== 'http' || server.tls === undefined) continue
    if (server.tls.cert !== undefined) files.push([`servers.${id}.tls.cert`, server.tls.cert])
    if (server.tls.ca !== undefined) files.push([`servers.${id}.tls.ca`, server.tls.ca])
  }
  const found: Found[] = []
  let least = Infinity
  for (const [use, path] of files) {
    try {
      for (const { name, daysLeft, flags } of await world.certificates.inspect(
        readFileSync(path, 'latin1'),
        path,
      )) {
        least = Math.min(least, daysLeft)
        for (const flag of flags) {
          const verdict = flag === 'expired' || flag === 'not yet valid' ? 'wrong' : 'warn'
          const text = `\`${use}\` (${name}): ${flag}, ${daysLeft} days left`
          found.push({
            id: 'certificates.life',
            verdict,
            text,
            fix: 'issue it anew; `callgate certs rotate` does for those of the local authority',
          })
        }
      }
    } catch (error) {
      const text = `\`${use}\`: ${error instanceof Error ? error.message : String(error)}`
      found.push({ id: 'certificates.unreadable', verdict: 'wrong', text, fix: `correct \`${use}\`` })
    }
  }
  if (tls?.crl !== undefined) found.push(...(await lists(world, tls.crl)))
  const fine =
    files.length === 0 ? 'none configured' : `${files.length} files, the first ends in ${least} days`
  return orFine('certificates', fine, found)
}

async function lists(world: Patient['world'], path: string): Promise<Found[]> {
  const fix = 'publish the next list; `callgate certs rotate` does for the local authority'
  try {
    const due = await world.certificates.nextUpdates(readFileSync(path, 'latin1'))
    return due
      .filter(({ nextUpdate }) => nextUpdate <= world.now())
      .map(({ issuer, nextUpdate }) => ({
        id: 'certificates.crl',
        verdict: 'wrong',
        text: `\`listener.tls.crl\` (${issuer}): the next list was due on ${new Date(nextUpdate).toISOString().slice(0, 10)}; no client certificate holds`,
        fix,
      }))
  } catch (error) {
    const text = `\`listener.tls.crl\`: ${error instanceof Error ? error.message : String(error)}`
    return [{ id: 'certificates.crl', verdict: 'wrong', text, fix }]
  }
}

/** Servers that get secrets in their environment: every program that they start sees them, and so does who reads the file. */
function environment({ config }: Patient): Found[] {
  const found: Found[] = []
  for (const [id, server] of Object.entries(config.servers)) {
    if (server.transport !== 'stdio') continue
    for (const [name, value] of Object.entries(server.env)) {
      if (value === '' || (!isSecretName(name) && !isSecretValue(value))) continue
      found.push({
        id: 'environment.secret',
        verdict: 'warn',
        text: `server \`${id}\` reads a secret from its environment: \`servers.${id}.env.${name}\``,
        fix: 'run it as an HTTP server and give it `credentials` by reference (docs/secrets.md), or have it read a file of mode 0600',
      })
    }
  }
  return orFine('environment', 'no server reads secrets from its environment', found)
}
