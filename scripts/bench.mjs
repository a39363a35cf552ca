// `npm run bench`: what a call costs in CPU beside a bare pass-through and nginx. Plain JavaScript: it must run under Node 20.
// Arguments go to bench/run.ts: --rounds 5, --seconds 4, --connections 32, --era legacy|modern, --json, --profile FOLDER.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { install, root } from './install.mjs'

/** Debian packages by the program that is needed of them. */
const PACKAGES = { wrk: 'wrk', nginx: 'nginx-light', taskset: 'util-linux' }

// nginx stands in a folder that is not on every PATH.
const path = `${process.env.PATH}${delimiter}/usr/sbin${delimiter}/sbin`
const missing = () =>
  Object.keys(PACKAGES).filter(
    (name) => !path.split(delimiter).some((folder) => existsSync(join(folder, name))),
  )

let lacking = missing()
// Where systemd runs, Debian starts an nginx of its own on port 80 behind our back: there a person decides.
if (
  lacking.length > 0 &&
  process.getuid?.() === 0 &&
  existsSync('/usr/bin/apt-get') &&
  !existsSync('/run/systemd/system')
) {
  console.error(`callgate: installing ${lacking.join(', ')} by apt-get`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const packages = lacking.map((name) => PACKAGES[name])
  spawnSync('apt-get', ['update', '-q'], { stdio: ['ignore', 'ignore', 2], env })
  spawnSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], {
    stdio: ['ignore', 'ignore', 2],
    env,
  })
  lacking = missing()
}
if (lacking.length > 0) {
  console.error(
    `callgate: the bench needs ${lacking.join(', ')}\n` +
      `fix: install them, on Debian with \`apt-get install ${lacking.map((name) => PACKAGES[name]).join(' ')}\``,
  )
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
