import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Host } from './host.ts'

/** Puts a folder over /etc for one program and what it starts: nobody else sees it, and nothing of /etc changes. */
const UNDER = 'mount -t overlay overlay -o "lowerdir=$0:/etc" /etc && exec "$@"'
const OWN_MOUNTS = ['--map-root-user', '--mount', '/bin/sh', '-c', UNDER]

/** Whether this machine lets a test have mounts of its own. @param folder an empty one */
export function hasOwnMounts(folder: string): boolean {
  return process.platform === 'linux' && spawnSync('unshare', [...OWN_MOUNTS, folder, 'true']).status === 0
}

/**
 * The host on a machine that an administrator manages.
 * @param folder a new one
 * @param files of the folder `place` below /etc, by name
 */
export function managed(
  host: Host,
  folder: string,
  place: string,
  files: Readonly<Record<string, string>>,
): Host {
  const etc = join(folder, 'etc')
  mkdirSync(join(etc, place), { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(etc, place, name), text)
  const program = join(folder, host.command)
  const words = [...OWN_MOUNTS, etc, host.program].map((word) => `'${word.replaceAll("'", `'\\''`)}'`)
  writeFileSync(program, `#!/bin/sh\nexec unshare ${words.join(' ')} "$@"\n`, { mode: 0o755 })
  return { ...host, program }
}
