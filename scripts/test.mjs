// `npm test`: sets up what is missing and runs everything that CI runs. Plain JavaScript: it must run under Node 20.
// Arguments are names of tests to run alone: `npm test -- packages/gateway/src/mcp`.
import { spawnSync } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'
import { bringPrograms } from './debian.mjs'
import { install, root } from './install.mjs'

const node = install({ dev: true })
// A token in software and the tool that reads it: tests that lack them are skipped, and say so.
const { lacking, fix } = bringPrograms({ 'softhsm2-util': 'softhsm2', 'pkcs11-tool': 'opensc' })
if (lacking.length > 0) console.error(`callgate: some tests need ${lacking.join(', ')}\nfix: ${fix}`)
// Apart, for not every system has a package of this name: a browser for the page of approvals.
bringPrograms({ 'chromium-headless-shell': 'chromium-headless-shell' })
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
