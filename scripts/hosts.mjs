// `npm run hosts`: real hosts through the gate, with a mock model. Plain JavaScript: it must run under Node 20.
//   --minutes N   one Claude Code session for N minutes with the default token life (proof); default: seconds with short tokens
//   --install     only bring test/hosts to what its lock file says
import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'
import { install, root } from './install.mjs'

const argv = process.argv.slice(2)
const known =
  argv.length === 0 ||
  (argv.length === 1 && argv[0] === '--install') ||
  (argv.length === 2 && argv[0] === '--minutes')
const minutes = argv[0] === '--minutes' ? Number(argv[1]) : undefined
if (!known || (minutes !== undefined && !(minutes >= 1 && minutes <= 60))) {
  console.error('hosts: expected nothing, `--minutes` with a number from 1 to 60, or `--install`')
  process.exit(2)
}

// Tests call `--install` while others run: it must not touch the packages of the workspace, not even to mend them.
const node = argv[0] === '--install' ? process.execPath : install({ dev: false })
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` }
const folder = join(root, 'test', 'hosts')

/** The first host that is absent or of another version than the lock file says. */
function missingHost() {
  const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'))
  return Object.entries(lock.packages).find(([path, entry]) => {
    // npm knows which of the native packages this machine takes; what it left out is not missing.
    if (path === '' || (entry.optional && !path.endsWith(`-${process.platform}-${process.arch}`)))
      return false
    const manifest = join(folder, path, 'package.json')
    return !existsSync(manifest) || JSON.parse(readFileSync(manifest, 'utf8')).version !== entry.version
  })?.[0]
}

const missing = missingHost()
if (missing !== undefined) {
  // `npm ci` empties the folder that a link points to, whoever else lives from it.
  if (lstatSync(join(folder, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink()) {
    console.error(
      'hosts: test/hosts/node_modules is a link, and `npm ci` would empty what it points to\nfix: remove the link',
    )
    process.exit(1)
  }
  console.error(`hosts: installing (missing: ${missing}, about 600 MB)`)
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: folder,
    stdio: ['ignore', 2, 2],
    env,
  })
  if (npm.error || npm.status !== 0) {
    console.error(
      `hosts: \`npm ci\` in test/hosts failed (${npm.error?.message ?? `exit ${npm.status}`})\n` +
        'fix: check that npm reaches its registry, then run the command again',
    )
    process.exit(1)
  }
}
if (argv[0] === '--install') process.exit(0)

/** Where Linux allows it, a network that has loopback alone: then what a host sends elsewhere cannot leave at all. */
function isolated(command) {
  const script = 'ip link set lo up && exec "$@"'
  for (const flags of [['--net'], ['--map-root-user', '--net']]) {
    const wrapped = [...flags, 'sh', '-c', script, 'sh']
    if (spawnSync('unshare', [...wrapped, 'true']).status === 0) return ['unshare', ...wrapped, ...command]
  }
  console.error('hosts: no `unshare` and `ip` here; hosts are held on loopback by their proxy settings alone')
  return command
}

const [program, ...args] = isolated([
  node,
  '--test',
  '--test-reporter=spec',
  join(root, 'test', 'hosts.test.ts'),
])
const { status } = spawnSync(program, args, {
  cwd: root,
  stdio: 'inherit',
  env: minutes === undefined ? env : { ...env, CALLGATE_HOSTS_MINUTES: String(minutes) },
})
process.exit(status ?? 1)
