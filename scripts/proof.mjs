// `npm run proof -- NN`: the long proofs of an issue, whose short forms run in `npm test`. Plain JavaScript: it must run under
// Node 20. Further arguments name proofs to run alone: `npm run proof -- 2 kills`.
import { spawnSync } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'
import { install, root } from './install.mjs'

const node = install({ dev: true })
const env = {
  ...process.env,
  PATH: `${dirname(node)}${delimiter}${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH}`,
}
const { status } = spawnSync(node, [join(root, 'scripts', 'run-proof.ts'), ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  env,
})
process.exit(status ?? 1)
