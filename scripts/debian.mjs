// Brings programs from Debian packages where it can. Plain JavaScript: it must run under Node 20.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** PATH with the folders of programs for administrators, which are not on every one. */
export const path = `${process.env.PATH}${delimiter}/usr/sbin${delimiter}/sbin`

/**
 * Installs what is missing by apt-get, as root only.
 * @param packages Debian packages by the program that is needed of them
 * @param services whether one of them starts a service by itself; where systemd runs, a person decides that
 * @returns programs that are missing all the same, and how to bring them
 */
export function bringPrograms(packages, { services = false } = {}) {
  const missing = () =>
    Object.keys(packages).filter(
      (name) => !path.split(delimiter).some((folder) => existsSync(join(folder, name))),
    )
  let lacking = missing()
  const may = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
  if (lacking.length > 0 && may && !(services && existsSync('/run/systemd/system'))) {
    console.error(`callgate: installing ${lacking.join(', ')} by apt-get`)
    const options = {
      stdio: ['ignore', 'ignore', 2],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }
    spawnSync('apt-get', ['update', '-q'], options)
    const names = lacking.map((name) => packages[name])
    spawnSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...names], options)
    lacking = missing()
  }
  const fix = `install them, on Debian with \`apt-get install ${lacking.map((name) => packages[name]).join(' ')}\``
  return { lacking, fix }
}
