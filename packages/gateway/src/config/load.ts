import { readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { inspectCertificate } from '../net/certificate.ts'
import { check } from './check.ts'
import type { Finding } from './finding.ts'
import type { DeclaredConfig, GatewayConfig, IssuerConfig } from './declaration.ts'
import { declaration } from './declaration.ts'
import { isUrl } from './forms.ts'
import { problemsOf } from './messages.ts'
import { policyPaths } from './policy-packs.ts'
import { type ConfigPath, type Problem, formatPath } from './problem.ts'
import { configSchema } from './schema.ts'
import { MAX_BYTES, readSource } from './source.ts'

/** Most problems that are told at once. */
const MAX_PROBLEMS = 50

/** The configuration, or everything that is wrong with it. */
export type Loaded =
  | { readonly config: GatewayConfig; readonly problems?: undefined }
  | { readonly problems: readonly Problem[]; readonly config?: undefined }

/** What configuration depends on beside its file. */
export interface LoadOptions {
  /** CALLGATE_PORT and CALLGATE_STATE override the file; empty counts as unset. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Refuses development issuers, first-use approval and keys over plain HTTP. Default false. */
  readonly strict?: boolean
  /** Folder that CALLGATE_STATE and the default `state` are relative to. Default: the working directory. */
  readonly cwd?: string
}

/**
 * Loads callgate.yaml: strict YAML, the declaration, the checks between values, then absolute paths.
 * Paths in the file are relative to the folder of the file. Never throws for what an operator can write.
 */
export function loadConfig(path: string, options: LoadOptions): Loaded {
  const file = basename(path)
  const bytes = readBytes(path)
  if (typeof bytes === 'string')
    return { problems: [{ file: path, line: undefined, column: undefined, message: bytes }] }
  const source = readSource(bytes, file)
  if ('problems' in source) return { problems: inOrder(source.problems) }
  const parsed = declaration.safeParse(source.value ?? {})
  if (!parsed.success) return { problems: inOrder(problemsOf(parsed.error.issues, source, configSchema())) }
  const problems = check(parsed.data, options.strict ?? false).map(({ path: at, message }) =>
    source.problemAt(at, message),
  )
  if (options.strict === true) {
    for (const { path: at, message } of certificateFindings(parsed.data, dirname(resolve(path))))
      problems.push(source.problemAt(at, message))
  }
  const port = portOf(options.env)
  if (typeof port === 'object') problems.push(port)
  if (problems.length > 0 || typeof port === 'object') return { problems: inOrder(problems) }
  return { config: resolved(parsed.data, path, port, options) }
}

/** Longest life of a certificate under --strict, in days. Source: playbook Play 2 ("cert rotation <= 90 days"). */
const MAX_CERTIFICATE_DAYS = 90

/** Certificates of our own that live too long. Those that cannot be read are told when the gate starts. */
function certificateFindings({ listener, servers, approvals }: DeclaredConfig, folder: string): Finding[] {
  const own: [ConfigPath, string][] = []
  const page = approvals?.page?.listen.tls
  if (page !== undefined) own.push([['approvals', 'page', 'listen', 'tls', 'cert'], page.cert])
  if (listener.tls !== undefined) own.push([['listener', 'tls', 'cert'], listener.tls.cert])
  for (const [id, server] of Object.entries(servers)) {
    if (server.transport === 'http' && server.tls?.cert !== undefined)
      own.push([['servers', id, 'tls', 'cert'], server.tls.cert])
  }
  return own.flatMap(([at, file]) => {
    const days = lifetimeDays(resolve(folder, file))
    if (days === undefined || days <= MAX_CERTIFICATE_DAYS) return []
    const message = `lives ${days} days, which --strict refuses (at most ${MAX_CERTIFICATE_DAYS}); issue a shorter one, as \`callgate certs issue\` does`
    return [{ path: at, message: `\`${formatPath(at)}\` ${message}` }]
  })
}

function lifetimeDays(path: string): number | undefined {
  try {
    return inspectCertificate(readFileSync(path), Date.now()).lifetimeDays
  } catch {
    return undefined
  }
}

/** In the order of the file; a file that is no configuration at all should not fill the screen. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const sorted = problems.toSorted(
    (a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  )
  const last = sorted[MAX_PROBLEMS]
  if (last === undefined) return sorted
  return [
    ...sorted.slice(0, MAX_PROBLEMS),
    { ...last, message: `and ${sorted.length - MAX_PROBLEMS} more problems from here on` },
  ]
}

function readBytes(path: string): Uint8Array | string {
  try {
    const { size } = statSync(path)
    // Told before it is read: a path that leads to a disk image should not fill memory.
    if (size > MAX_BYTES) return `is larger than 1 MiB (${size} bytes); is it the configuration?`
    return readFileSync(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    return `cannot be read (${code}); name the configuration with --config`
  }
}

function portOf(env: LoadOptions['env']): number | undefined | Problem {
  const text = env['CALLGATE_PORT']
  if (text === undefined || text === '') return undefined
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  const message = `is \`${text.slice(0, 60)}\` (expected an integer from 0 to 65535)`
  return { file: 'CALLGATE_PORT', line: undefined, column: undefined, message }
}

function resolved(
  { state: declaredState, identity, ...rest }: DeclaredConfig,
  path: string,
  port: number | undefined,
  options: LoadOptions,
): GatewayConfig {
  const folder = dirname(resolve(path))
  const cwd = options.cwd ?? process.cwd()
  const envState = options.env['CALLGATE_STATE']
  let state = join(cwd, 'state')
  if (envState !== undefined && envState !== '') state = resolve(cwd, envState)
  else if (declaredState !== undefined) state = resolve(folder, declaredState)
  const { tls } = rest.listener
  const { approvals } = rest
  const issuers = identity.issuers.map(({ jwks, ...issuer }): IssuerConfig => {
    const keys = jwks ?? join(state, 'keys', 'dev-issuer.jwks.json')
    return { ...issuer, jwks: isUrl(keys) ? keys : resolve(folder, keys) }
  })
  const servers: GatewayConfig['servers'] = {}
  for (const [id, server] of Object.entries(rest.servers)) {
    const roots = server.roots.map((root) => resolve(folder, root))
    servers[id] =
      server.transport === 'stdio'
        ? { ...server, roots, cwd: resolve(folder, server.cwd), ...inState(server, state) }
        : { ...server, roots, ...(server.tls === undefined ? {} : { tls: serverFiles(server.tls, folder) }) }
  }
  return {
    ...rest,
    listener: {
      ...rest.listener,
      port: port ?? rest.listener.port,
      ...(tls === undefined ? {} : { tls: listenerFiles(tls, folder) }),
    },
    identity: { ...identity, issuers },
    servers,
    ...(approvals === undefined ? {} : { approvals: pageFiles(approvals, folder) }),
    policy: policyFrom(rest.policy, folder),
    state,
    folder,
  }
}

/** Files of policy, and of a bundle's keys, from the folder of the configuration. */
function policyFrom({ files, bundle }: DeclaredConfig['policy'], folder: string): GatewayConfig['policy'] {
  const from = (path: string) => resolve(folder, path)
  return {
    files: policyPaths(files, from),
    ...(bundle === undefined
      ? {}
      : {
          bundle: {
            ...bundle,
            keys: bundle.keys.map(from),
            ...(bundle.file === undefined ? {} : { file: from(bundle.file) }),
          },
        }),
  }
}

/** Files of the listener's TLS, from the folder of the configuration. */
function listenerFiles<T extends ListenerFiles>(tls: T, folder: string): T {
  const { key, cert, clientCa, crl } = tls
  return {
    ...tls,
    key: resolve(folder, key),
    cert: resolve(folder, cert),
    ...(clientCa === undefined ? {} : { clientCa: resolve(folder, clientCa) }),
    ...(crl === undefined ? {} : { crl: resolve(folder, crl) }),
  }
}

/** Files of the TLS of the page of approvals, from the folder of the configuration. */
function pageFiles(
  approvals: NonNullable<DeclaredConfig['approvals']>,
  folder: string,
): NonNullable<DeclaredConfig['approvals']> {
  const { page } = approvals
  if (page?.listen.tls === undefined) return approvals
  return {
    ...approvals,
    page: { ...page, listen: { ...page.listen, tls: listenerFiles(page.listen.tls, folder) } },
  }
}

interface ListenerFiles {
  readonly key: string
  readonly cert: string
  readonly clientCa?: string
  readonly crl?: string
}

/** Files of the TLS towards a server, from the folder of the configuration. */
function serverFiles({ ca, cert, key }: ServerFiles, folder: string): ServerFiles {
  return {
    ...(ca === undefined ? {} : { ca: resolve(folder, ca) }),
    ...(cert === undefined ? {} : { cert: resolve(folder, cert) }),
    ...(key === undefined ? {} : { key: resolve(folder, key) }),
  }
}

interface ServerFiles {
  ca?: string
  cert?: string
  key?: string
}

/** Puts the state folder where a command or an environment value says `{state}`. */
function inState(
  { command, env }: { readonly command: readonly string[]; readonly env: Readonly<Record<string, string>> },
  state: string,
): { command: string[]; env: Record<string, string> } {
  const put = (text: string): string => text.replaceAll('{state}', state)
  return {
    command: command.map(put),
    env: Object.fromEntries(Object.entries(env).map(([name, value]) => [name, put(value)])),
  }
}
