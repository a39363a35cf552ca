// Brings node_modules to what the lock file says. Plain JavaScript: it must run under Node 20.
import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'))

/** Whether a locked package can be installed on this platform. */
function fits(entry) {
  return (
    allowed(entry.os, process.platform) && allowed(entry.cpu, process.arch) && !entry.libc?.includes('musl')
  )
}

/** npm's lists: `linux` allows it, `!win32` allows all but it. */
function allowed(oneOrMore, value) {
  const list = oneOrMore === undefined ? [] : [oneOrMore].flat()
  if (list.length === 0) return true
  if (list.includes(`!${value}`)) return false
  return list.includes(value) || list.every((item) => item.startsWith('!'))
}

/** The first wanted package of a folder's lock file that is absent or of another version, undefined when all are there. */
function firstMissing(folder, wanted) {
  const { packages } = readJson(join(folder, 'package-lock.json'))
  return Object.entries(packages).find(([path, entry]) => {
    if (!path.includes('node_modules/') || entry.link || !wanted(path, entry)) return false
    const manifest = join(folder, path, 'package.json')
    return !existsSync(manifest) || readJson(manifest).version !== entry.version
  })?.[0]
}

/** Runs `npm ci` in a folder, with its own output on stderr. Ends the process when that cannot be done, and says why. */
function npmCi(folder, name, options, env) {
  const modules = join(folder, 'node_modules')
  if (lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink()) {
    console.error(
      `${name}: \`${relative(root, modules)}\` is a link, and \`npm ci\` would empty the folder behind it\n` +
        'fix: remove the link and run the command again',
    )
    process.exit(1)
  }
  const ci = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const npm = spawnSync('npm', [...ci, ...options], { cwd: folder, stdio: ['ignore', 2, 2], env })
  if (npm.error || npm.status !== 0) {
    console.error(
      `${name}: \`npm ci\` in \`${relative(root, folder) || '.'}\` failed (${npm.error?.message ?? `exit ${npm.status}`})\n` +
        'fix: check that npm reaches its registry, then run the command again',
    )
    process.exit(1)
  }
}

/**
 * Installs what is missing of a folder below test/ that has a lock file of its own, and only then.
 * @param size what it takes on the disk, for people
 * @param env the environment of npm
 */
export function installIn(name, size, env) {
  const folder = join(root, 'test', name)
  // npm knows which of the native packages this machine takes; what it left out is not missing.
  const native = `-${process.platform}-${process.arch}`
  const missing = firstMissing(folder, (path, entry) => !entry.optional || path.endsWith(native))
  if (missing === undefined) return
  console.error(`${name}: installing test/${name} (missing: ${missing}, ${size})`)
  npmCi(folder, name, [], env)
}

/**
 * Installs what is missing of the workspace, and only then. Runtime packages alone unless `dev`.
 * @returns the path of the Node binary that the project brings.
 */
export function install({ dev }) {
  const modules = join(root, 'node_modules')
  // A checkout that tests keep their tools: `npm ci --omit=dev` would take them away from under a running test.
  const withDev = dev || existsSync(join(modules, 'typescript'))
  const missing =
    firstMissing(root, (path, entry) => {
      if (!fits(entry) || entry.peer) return false
      if (!withDev && (entry.dev || entry.devOptional)) return false
      return !entry.optional || path.endsWith(`node-${process.platform}-${process.arch}`)
    }) ?? (existsSync(join(modules, 'callgate')) ? undefined : 'node_modules/callgate')
  if (missing !== undefined) {
    console.error(`callgate: installing ${withDev ? 'all' : 'runtime'} packages (missing: ${missing})`)
    npmCi(root, 'callgate', withDev ? [] : ['--omit=dev'], process.env)
  }
  const node = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node')
  if (existsSync(node)) return node
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  console.error(
    `callgate: no Node for ${process.platform}-${process.arch} comes with the project and this one is ${process.versions.node}\n` +
      'fix: install Node 24 or newer and run the command again',
  )
  process.exit(1)
}
