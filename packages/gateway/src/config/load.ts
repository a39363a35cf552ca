import { readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { check } from './check.ts'
import type { DeclaredConfig, GatewayConfig, IssuerConfig } from './declaration.ts'
import { declaration } from './declaration.ts'
import { isUrl } from './forms.ts'
import { problemsOf } from './messages.ts'
import type { Problem } from './problem.ts'
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
  const port = portOf(options.env)
  if (typeof port === 'object') problems.push(port)
  if (problems.length > 0 || typeof port === 'object') return { problems: inOrder(problems) }
  return { config: resolved(parsed.data, path, port, options) }
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
        : { ...server, roots }
  }
  return {
    ...rest,
    listener: { ...rest.listener, port: port ?? rest.listener.port, ...inFolder(rest.listener, folder) },
    identity: { ...identity, issuers },
    servers,
    policy: { files: rest.policy.files.map((policy) => resolve(folder, policy)) },
    state,
  }
}

/** The files of TLS, from the folder of the configuration. */
function inFolder(
  { tls }: DeclaredConfig['listener'],
  folder: string,
): Pick<GatewayConfig['listener'], 'tls'> {
  if (tls === undefined) return {}
  const { key, cert, clientCa, crl } = tls
  return {
    tls: {
      ...tls,
      key: resolve(folder, key),
      cert: resolve(folder, cert),
      ...(clientCa === undefined ? {} : { clientCa: resolve(folder, clientCa) }),
      ...(crl === undefined ? {} : { crl: resolve(folder, crl) }),
    },
  }
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
