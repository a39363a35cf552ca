// Brings node_modules to what the lock file says. Plain JavaScript: it must run under Node 20.
import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
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

/** The first locked package that is absent or of another version, undefined when all are there. */
function firstMissing(withDev) {
  const lock = readJson(join(root, 'package-lock.json'))
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (!path.includes('node_modules/') || entry.link) continue
    if (!fits(entry) || entry.peer) continue
    if (!withDev && (entry.dev || entry.devOptional)) continue
    if (entry.optional && !path.endsWith(`node-${process.platform}-${process.arch}`)) continue
    const manifest = join(root, path, 'package.json')
    if (!existsSync(manifest) || readJson(manifest).version !== entry.version) return path
  }
  return existsSync(join(root, 'node_modules', 'callgate')) ? undefined : 'node_modules/callgate'
}

/**
 * Installs what is missing, and only then. Runtime packages alone unless `dev`.
 * @returns the path of the Node binary that the project brings.
 */
export function install({ dev }) {
  const modules = join(root, 'node_modules')
  // A checkout that tests keep their tools: \`npm ci --omit=dev\` would take them away from under a running test.
  const withDev = dev || existsSync(join(modules, 'typescript'))
  const missing = firstMissing(withDev)
  if (missing !== undefined) {
    if (existsSync(modules) && lstatSync(modules).isSymbolicLink()) {
      console.error(
        'callgate: `node_modules` is a link, and `npm ci` would empty the folder behind it\n' +
          'fix: remove the link and run the command again',
      )
      process.exit(1)
    }
    console.error(`callgate: installing ${withDev ? 'all' : 'runtime'} packages (missing: ${missing})`)
    const npm = spawnSync(
      'npm',
      [
        'ci',
        '--ignore-scripts',
        '--no-audit',
        '--no-fund',
        '--loglevel=error',
        ...(withDev ? [] : ['--omit=dev']),
      ],
      { cwd: root, stdio: ['ignore', 2, 2] },
    )
    if (npm.error || npm.status !== 0) {
      console.error(
        `callgate: \`npm ci\` failed (${npm.error?.message ?? `exit ${npm.status}`})\n` +
          'fix: check that npm reaches its registry, then run the command again',
      )
      process.exit(1)
    }
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
