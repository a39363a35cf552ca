import { basename } from 'node:path'

/** Where a server is got from. */
export type Origin = { readonly url: string } | { readonly command: readonly string[] }

/** Programs that fetch a package by name and run it, by the registry of that name; then words that stand before the package. */
const RUNNERS: Readonly<Record<string, readonly [registry: string, ...words: string[]]>> = {
  npx: ['npm'],
  pnpx: ['npm'],
  bunx: ['npm'],
  npm: ['npm', 'exec', 'x'],
  pnpm: ['npm', 'dlx'],
  yarn: ['npm', 'dlx'],
  uvx: ['pypi'],
  uv: ['pypi', 'tool', 'run'],
  pipx: ['pypi', 'run'],
  docker: ['oci', 'run', 'container'],
  podman: ['oci', 'run', 'container'],
}
/** Options whose next word is the package itself. */
const NAMES_PACKAGE = /^(?:-p|--package|--from|--spec)$/
/** Options of runners that take a word of their own. */
const TAKES_WORD =
  /^(?:-c|--call|-w|--workspace|--with|--python|--index-url|--pip-args|-[evulhm]|--(?:env|env-file|volume|mount|name|network|user|workdir|entrypoint|label|hostname|memory|cpus|platform|publish|add-host|cap-add|cap-drop|security-opt|tmpfs|ulimit|pull|gpus|ipc|pid|restart|log-driver|log-opt|dns))$/

/**
 * Who publishes a server, as far as its configuration tells: the host of its URL, the package or image that a runner fetches
 * without its version, and `local` for a program of this machine. What a person approved of one publisher says nothing of
 * another (MITRE ATLAS T0109, rug pull).
 */
export function publisherOf(origin: Origin): string {
  if ('url' in origin) return URL.canParse(origin.url) ? new URL(origin.url).hostname : origin.url
  const [program = '', ...args] = origin.command
  const name = basename(program)
    .toLowerCase()
    .replace(/\.(?:exe|cmd)$/, '')
  const [registry, ...words] = Object.hasOwn(RUNNERS, name) ? (RUNNERS[name] ?? []) : []
  const spec = registry === undefined ? undefined : packageIn(args, words)
  return registry === undefined || spec === undefined ? 'local' : `${registry}:${unversioned(spec, registry)}`
}

/** The first word that names what is fetched. */
function packageIn(args: readonly string[], words: readonly string[]): string | undefined {
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? ''
    const [option = '', joined] = word.split(/=(.*)/s)
    if (NAMES_PACKAGE.test(option)) return joined ?? args[i + 1]
    if (word.startsWith('-')) {
      if (TAKES_WORD.test(word)) i++
    } else if (!words.includes(word)) return word
  }
  return undefined
}

/** A path or URL stays as it is: it has no version to lose. */
function unversioned(spec: string, registry: string): string {
  if (URL.canParse(spec) && spec.includes('//')) {
    // User, password and query may be secrets.
    const { host, pathname } = new URL(spec)
    return host + pathname
  }
  if (/^[./~]/.test(spec)) return spec
  if (registry === 'oci') return spec.replace(/@sha256:.*$/, '').replace(/:[^/]*$/, '')
  if (registry === 'npm') return spec.replace(/(?<=.)@.*$/, '')
  return spec.replace(/[[=<>!~@].*$/, '').toLowerCase()
}
