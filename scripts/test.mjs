// `npm test`: sets up what is missing and runs everything that CI runs. Plain JavaScript: it must run under Node 20.
// Arguments are names of tests to run alone: `npm test -- packages/gateway/src/mcp`.
import { spawnSync } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'
import { install, root } from './install.mjs'

const node = install({ dev: true })
const env = {
  ...process.env,
  PATH: `${dirname(node)}${delimiter}${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH}`,
}
const { status } = spawnSync(node, [join(root, 'scripts', 'run-tests.ts'), ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  env,
})
process.exit(status ?? 1)
