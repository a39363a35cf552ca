import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { GatewayConfig } from '../config/declaration.ts'
import { differences, foreignMembers } from './hosts-check.ts'
import { type ManagedFile, type ManagedHost, fileText, managedFiles, managedHosts } from './hosts-files.ts'
import { type Way, managedGate, programPath, registryUrl } from './hosts-gate.ts'
import { serverLists } from './hosts-lists.ts'
import { type FileText, readText, replaceFile } from './install-files.ts'
import { configPath, requireConfig } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import type { World } from './world.ts'

export interface HostsExportOptions {
  readonly host?: string
  readonly via: string
  readonly program?: string
  readonly ca?: string
  readonly registry?: string
  readonly out?: string
  readonly check?: boolean
  readonly config?: string
  readonly json?: boolean
}

/** Permission bits of a new file: every user of a managed machine reads it. */
const READABLE = 0o644

/** A file, and where it lies in the folder of `--out`. */
interface Placed {
  readonly host: ManagedHost
  readonly path: string
  readonly file: ManagedFile
}

/**
 * `callgate hosts export`: the files by which an administrator lets hosts reach MCP servers through the gate alone. Prints
 * them, writes them into a folder that is named, or compares that folder with the configuration.
 * @returns exit code: 1 when `--check` found a difference, else 0
 */
export async function hostsExport(world: Pick<World, 'env'>, options: HostsExportOptions): Promise<number> {
  const hosts = chosen(options.host)
  if (options.check === true && options.out === undefined)
    throw new CommandFailed('--check compares the files of a folder', {
      fix: 'name the folder with --out',
      exitCode: 2,
    })
  const path = configPath(world.env, options.config)
  const { placed, notes } = exported(requireConfig(world.env, path), path, hosts, options)
  if (options.out === undefined) {
    show(placed, notes, options.json === true)
    return 0
  }
  const folder = resolve(options.out)
  if (options.check === true) return compare(placed, folder, options.json === true)
  write(placed, folder, notes, options.json === true)
  return 0
}

function exported(
  config: GatewayConfig,
  path: string,
  hosts: readonly ManagedHost[],
  options: HostsExportOptions,
): { placed: Placed[]; notes: string[] } {
  const registry = options.registry === undefined ? undefined : registryUrl(options.registry)
  const gate = managedGate(config, path, {
    via: wayOf(options.via),
    program: options.program === undefined ? undefined : [programPath(options.program)],
    here: [process.execPath, fileURLToPath(new URL('../../bin/callgate.mjs', import.meta.url))],
    ca: options.ca,
  })
  const notes = new Set(gate.notes)
  const placed = hosts.flatMap((host) => {
    const lists = serverLists(config.servers, gate, host)
    for (const note of lists.notes) notes.add(note)
    return managedFiles(host, { gate, lists, registry }).map((file) => ({
      host,
      // Of one host alone they lie where they are used, so that a folder of a managed machine can be checked.
      path: hosts.length === 1 ? file.name : join(host, file.name),
      file,
    }))
  })
  return { placed, notes: [...notes] }
}

function chosen(host: string | undefined): readonly ManagedHost[] {
  if (host === undefined) return managedHosts
  const known = managedHosts.find((id) => id === host)
  if (known !== undefined) return [known]
  throw new CommandFailed(
    `--host is \`${safeText(host)}\` (expected ${managedHosts.join(', ')}; no other known host documents such files)`,
    { exitCode: 2 },
  )
}

function wayOf(text: string): Way {
  if (text === 'connect' || text === 'http') return text
  throw new CommandFailed(`--via is \`${safeText(text)}\` (expected connect or http)`, { exitCode: 2 })
}

function show(placed: readonly Placed[], notes: readonly string[], json: boolean): void {
  if (json)
    return printJson({
      files: placed.map(({ host, path, file }) => ({ host, path, text: fileText(file) })),
      notes,
    })
  for (const { path, file } of placed) {
    print(`--- ${path}`)
    print(fileText(file).trimEnd())
  }
  for (const note of notes) print(`note: ${safeText(note)}`)
}

function compare(placed: readonly Placed[], folder: string, json: boolean): number {
  const found = placed.flatMap(({ path, file }) => {
    const { bytes, text } = readText(join(folder, path))
    return differences(file, bytes === undefined ? undefined : text).map((difference) => ({
      file: join(folder, path),
      difference,
    }))
  })
  if (json) printJson({ ok: found.length === 0, differences: found })
  else {
    for (const { file, difference } of found) print(safeText(`${file}: ${difference}`))
    print(
      found.length === 0
        ? `${placed.length} files match the configuration`
        : 'fix: export again with the same options, without --check',
    )
  }
  return found.length === 0 ? 0 : 1
}

/** Looks at all files before it writes one: nothing of somebody else is lost. */
function write(placed: readonly Placed[], folder: string, notes: readonly string[], json: boolean): void {
  const there = placed.map(({ path, file }) => ({ file, before: vacant(join(folder, path), file) }))
  for (const { file, before } of there)
    replaceFile(before, fileText(file), before.bytes === undefined ? READABLE : before.mode)
  const written = placed.map(({ path }) => join(folder, path))
  if (json) return printJson({ written, notes })
  for (const path of written) print(`wrote ${safeText(path)}`)
  for (const note of notes) print(`note: ${safeText(note)}`)
  print('where each file belongs: docs/managed-hosts.md')
}

/** A file that may be written. @throws CommandFailed when it holds what this command did not write */
function vacant(path: string, file: ManagedFile): FileText {
  const before = readText(path)
  const foreign = foreignMembers(file, before.text)
  if (foreign?.length === 0) return before
  throw new CommandFailed(
    foreign === undefined
      ? `${path}: is there, and is not an object of JSON; nothing was written`
      : `${path}: holds ${foreign.map((name) => `\`${safeText(name)}\``).join(', ')}, which this command did not write; nothing was written`,
    { fix: 'export into another folder, and bring the two together by hand' },
  )
}
