import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { loadConfig } from '../config/load.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import { formatProblem } from '../config/problem.ts'
import type { HostId } from './host-profiles.ts'
import { profileOf } from './host-profiles.ts'
import { Unusable } from './install-document.ts'
import { placeOf } from './install-edit.ts'
import { readText, type FileText } from './install-files.ts'
import type { GateServer } from './install-server.ts'
import { addItems, addMembers, block } from './install-yaml.ts'
import { CommandFailed } from './output.ts'

/** Names that reading tools usually have. Everything else is `write`, which the written policy does not allow. */
const READING = ['read_*', 'get_*', 'list_*', 'search_*']

/** callgate.yaml before the change. */
export interface GateFile {
  /** As it was named: what it says is relative to the folder of this path, wherever a link leads. */
  readonly path: string
  readonly file: FileText
  /** Undefined: it is yet to be made. */
  readonly config: GatewayConfig | undefined
}

type Env = Readonly<Record<string, string | undefined>>

/**
 * Reads callgate.yaml, which may not be there.
 * @throws CommandFailed when it is not sound, or when hosts cannot reach its gate by `callgate connect`
 */
export function readGate(path: string, env: Env): GateFile {
  const file = readText(path)
  if (file.bytes === undefined) return { path, file, config: undefined }
  const { config, problems } = loadConfig(path, { env })
  if (config === undefined) throw new CommandFailed(problems.map(formatProblem).join('\n'))
  const fault = connectFault(config)
  if (fault !== undefined)
    throw new CommandFailed(`${path}: ${fault.what}`, {
      fix: `${fault.fix}, or give \`install\` a gate of your own with --gate`,
    })
  return { path, file, config }
}

/** Why `callgate connect` on the machine of a gate cannot call it; undefined: it can. */
export function connectFault({
  identity,
}: GatewayConfig): { readonly what: string; readonly fix: string } | undefined {
  if (!identity.issuers.some(({ dev }) => dev))
    return {
      what: 'this gate has no development issuer, whose tokens `callgate connect` mints',
      fix: 'let hosts enter by the URL of the gate, and so log in with your issuer',
    }
  if (identity.replay !== 'session')
    return {
      what: `\`identity.replay\` is \`${identity.replay}\`; \`callgate connect\` uses a token for more than one call`,
      fix: 'set it to `session`',
    }
  return undefined
}

/** Id of a server of the gate that is the same as a given one. */
export function sameServer(config: GatewayConfig | undefined, server: GateServer): string | undefined {
  return Object.entries(config?.servers ?? {}).find(([, known]) =>
    'url' in server
      ? known.transport === 'http' && known.url === server.url
      : known.transport === 'stdio' &&
        known.cwd === server.cwd &&
        JSON.stringify(known.command) === JSON.stringify(server.command) &&
        JSON.stringify(Object.entries(known.env).sort()) ===
          JSON.stringify(Object.entries(server.env ?? {}).sort()),
  )?.[0]
}

/** The text of callgate.yaml with more servers and policy files. @param observe approve tools at first sight */
export function gateText(
  { file, config }: GateFile,
  servers: Readonly<Record<string, GateServer>>,
  policyFiles: readonly string[],
  observe: boolean,
): string {
  const members = Object.fromEntries(
    Object.entries(servers).map(([id, server]) => [
      id,
      {
        ...server,
        approve: observe ? 'first-use' : 'manual',
        tools: Object.fromEntries(READING.map((glob) => [glob, { class: 'read' }])),
      },
    ]),
  )
  if (config === undefined) return newGate(members, policyFiles)
  try {
    return addItems(addMembers(file.text, 'servers', members), ['policy', 'files'], policyFiles)
  } catch (error) {
    throw asFailure(error, file)
  }
}

function newGate(servers: object, policyFiles: readonly string[]): string {
  return `# Written by \`callgate install\`: a gate for the hosts of one person on this machine.
# Its tokens come from the development issuer, which \`callgate start --strict\` refuses.
identity:
  issuers:
    - issuer: urn:callgate:dev-issuer
      dev: true
  # \`callgate connect\` renews one token for each session of a host.
  replay: session

# A tool is \`write\` unless its name is listed here; the classes are for you to judge.
${Object.keys(servers).length === 0 ? 'servers: {}' : `servers:\n${block(servers, 2).trimEnd()}`}

policy:
  files:
${policyFiles
  .map((file) => `    - ${file}\n`)
  .join('')
  .trimEnd()}

state: state
`
}

/** Makes sure that a text is a sound callgate.yaml before anything is written. @throws CommandFailed */
export function checkGateText({ path }: GateFile, text: string, env: Env): void {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-'))
  try {
    const trial = join(folder, basename(path))
    writeFileSync(trial, text, { mode: 0o600 })
    const { problems } = loadConfig(trial, { env })
    if (problems === undefined) return
    throw new CommandFailed(
      `${path}: would not be sound with what the host brings\n${problems.map(formatProblem).join('\n')}`,
      { fix: 'mend that server in the host, or take it out of it; nothing was changed' },
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** State folder of a gate: of a new one `state` beside its callgate.yaml, unless CALLGATE_STATE names another. */
export function stateOf({ path, config }: GateFile, env: Env): string {
  if (config !== undefined) return config.state
  return env['CALLGATE_STATE'] ? resolve(env['CALLGATE_STATE']) : join(dirname(path), 'state')
}

/** What a host's policy file is about. */
export interface PolicyScope {
  readonly host: HostId
  /** Servers that are new to the gate. */
  readonly fresh: readonly string[]
  /** Servers that the gate had before; their own rules go on, and reading is added for this host. */
  readonly known: readonly string[]
  readonly observe: boolean
}

/** The policy file of one host. @param name of the file without ending: its rules begin with it */
export function policyText({ host, fresh, known, observe }: PolicyScope, name: string): string {
  const { title } = profileOf(host)
  const reading = observe ? known : [...fresh, ...known]
  const rules: object[] = []
  if (reading.length > 0)
    rules.push({
      rule: `${name}-reads`,
      when: { server: reading, actor: host, class: 'read' },
      decision: 'allow',
      why: `${title} may read; allow more by rules of your own`,
    })
  if (observe && fresh.length > 0)
    rules.push(
      {
        rule: `${name}-observed`,
        when: { server: fresh, actor: host },
        decision: 'allow',
        why: `${title} goes on as before while its calls are watched`,
      },
      {
        rule: `${name}-would-deny`,
        when: { server: fresh, actor: host, class: ['write', 'destructive', 'egress', 'memory', 'poll'] },
        decision: 'deny',
        mode: 'observe',
        why: 'what reading does not need',
      },
    )
  const head = observe
    ? `# Written by \`callgate install --observe\` for ${title}. Its new servers do all that they did before, and every call is recorded.
# The last rule only watches: \`callgate explain ID\` names it where it would have denied. To enforce, remove its \`mode\`.
`
    : `# Written by \`callgate install\` for ${title}: it may read. What no rule allows is denied.
`
  return head + (rules.length === 0 ? '[]\n' : rules.map((rule) => block([rule], 0)).join('\n'))
}

/**
 * The policy file to write for a host, as \`policies/NAME.yaml\` beside callgate.yaml: the name of the host, or with a number
 * when another text has that name. Undefined `file`: the same text is there already.
 */
export function planPolicy(
  gate: GateFile,
  scope: PolicyScope,
): { readonly relative: string; readonly file: FileText; readonly text: string; readonly listed: boolean } {
  const folder = dirname(gate.path)
  for (let count = 1; ; count++) {
    const name = count === 1 ? scope.host : `${scope.host}-${count}`
    const relative = `policies/${name}.yaml`
    const file = readText(join(folder, 'policies', `${name}.yaml`))
    const text = policyText(scope, name)
    if (file.bytes === undefined || file.text === text)
      return {
        relative,
        file,
        text,
        listed: gate.config?.policy.files.includes(join(folder, relative)) ?? false,
      }
  }
}

/** A fault in a file as what the command says: with line and column. */
export function asFailure(error: unknown, file: { readonly path: string; readonly text: string }): unknown {
  if (!(error instanceof Unusable)) return error
  const { line, column } = placeOf(file.text, error.offset ?? 0)
  return new CommandFailed(`${file.path}:${line}:${column} ${error.message}`, {
    fix: 'mend the file; nothing was changed',
    cause: error,
  })
}
