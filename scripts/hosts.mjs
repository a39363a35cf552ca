// `npm run hosts`: real hosts through the gate, with a mock model. Plain JavaScript: it must run under Node 20.
//   --minutes N   one Claude Code session for N minutes with the default token life (proof); default: seconds with short tokens
//   --install     only bring test/hosts to what its lock file says
import { spawnSync } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'
import { install, installIn, root } from './install.mjs'

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

installIn('hosts', 'about 600 MB', env)
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
