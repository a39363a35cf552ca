// `npm run conformance`: the official MCP conformance suite through the gate. Plain JavaScript: it must run under Node 20.
//   --install   only bring test/conformance to what its lock file says; every other argument goes to test/conformance/run.ts
import { spawnSync } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'
import { install, installIn, root } from './install.mjs'

const argv = process.argv.slice(2)
const onlyInstall = argv.length === 1 && argv[0] === '--install'
// Tests call `--install` while others run: it must not touch the packages of the workspace, not even to mend them.
const node = onlyInstall ? process.execPath : install({ dev: false })
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` }

installIn('conformance', 'about 50 MB', env)
if (onlyInstall) process.exit(0)

const { status } = spawnSync(node, [join(root, 'test', 'conformance', 'run.ts'), ...argv], {
  cwd: root,
  stdio: 'inherit',
  env,
})
process.exit(status ?? 1)
