// `npm run conformance`: the official MCP conformance suite through the gate. Plain JavaScript: it must run under Node 20.
//   --install   only bring test/conformance to what its lock file says; every other argument goes to test/conformance/run.ts
import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'
import { install, root } from './install.mjs'

const argv = process.argv.slice(2)
const onlyInstall = argv.length === 1 && argv[0] === '--install'
// Tests call `--install` while others run: it must not touch the packages of the workspace, not even to mend them.
const node = onlyInstall ? process.execPath : install({ dev: false })
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` }
const folder = join(root, 'test', 'conformance')

/** The first package that is absent or of another version than the lock file says. */
function missingPackage() {
  const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'))
  return Object.entries(lock.packages).find(([path, entry]) => {
    if (path === '' || entry.optional || entry.peer) return false
    const manifest = join(folder, path, 'package.json')
    return !existsSync(manifest) || JSON.parse(readFileSync(manifest, 'utf8')).version !== entry.version
  })?.[0]
}

const missing = missingPackage()
if (missing !== undefined) {
  // `npm ci` empties the folder that a link points to, whoever else lives from it.
  if (lstatSync(join(folder, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink()) {
    console.error(
      'conformance: test/conformance/node_modules is a link, and `npm ci` would empty what it points to\nfix: remove the link',
    )
    process.exit(1)
  }
  console.error(`conformance: installing the suite (missing: ${missing}, about 50 MB)`)
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: folder,
    stdio: ['ignore', 2, 2],
    env,
  })
  if (npm.error || npm.status !== 0) {
    console.error(
      `conformance: \`npm ci\` in test/conformance failed (${npm.error?.message ?? `exit ${npm.status}`})\n` +
        'fix: check that npm reaches its registry, then run the command again',
    )
    process.exit(1)
  }
}
if (onlyInstall) process.exit(0)

const { status } = spawnSync(node, [join(folder, 'run.ts'), ...argv], { cwd: root, stdio: 'inherit', env })
process.exit(status ?? 1)
