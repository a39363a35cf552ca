// `npm run bench`: what a call costs in CPU beside a bare pass-through and nginx. Plain JavaScript: it must run under Node 20.
// Arguments go to bench/run.ts: --rounds 5, --seconds 4, --connections 32, --era legacy|modern, --json, --profile FOLDER.
import { spawnSync } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'
import { bringPrograms, path } from './debian.mjs'
import { install, root } from './install.mjs'

/** Debian packages by the program that is needed of them. */
const PACKAGES = { wrk: 'wrk', nginx: 'nginx-light', taskset: 'util-linux' }

// Debian starts an nginx of its own on port 80 behind our back.
const { lacking, fix } = bringPrograms(PACKAGES, { services: true })
if (lacking.length > 0) {
  console.error(`callgate: the bench needs ${lacking.join(', ')}\nfix: ${fix}`)
  process.exit(1)
}

const node = install({ dev: true })
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${path}` }
const { status } = spawnSync(node, [join(root, 'bench', 'run.ts'), ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  env,
})
process.exit(status ?? 1)
