import { existsSync } from 'node:fs'
import { posix, resolve, win32 } from 'node:path'
import { GATE_ENTRY, profileOf, type HostId, type HostProfile, type Platform } from './host-profiles.ts'
import {
  samePath,
  type HostDocument,
  type NewEntry,
  type PlaceChange,
  type ServerPlace,
} from './install-document.ts'
import { readText, type FileText } from './install-files.ts'
import {
  asFailure,
  checkGateText,
  gateText,
  planPolicy,
  sameServer,
  stateOf,
  type GateFile,
} from './install-gate.ts'
import { readJsonDocument } from './install-json-document.ts'
import { gateLine, serverId, translateEntry, type GateServer } from './install-server.ts'
import { readYamlDocument } from './install-yaml-document.ts'
import { CommandFailed } from './output.ts'

/** What `install` knows of the machine it runs on. */
export interface Machine {
  readonly platform: Platform
  readonly home: string
  /** %APPDATA%; elsewhere it is not asked for. */
  readonly appData: string
  /** Folder whose project files count. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** A file with the text that it will have. */
export interface FileChange {
  readonly file: FileText
  readonly text: string
  /** Permission bits that it will have. */
  readonly mode: number
}

/** What becomes of one configuration of a host. */
export interface HostFilePlan {
  readonly host: HostId
  readonly path: string
  /** Servers that go behind the gate, with their ids there and settings that the gate has no word for. */
  readonly moved: readonly {
    readonly name: string
    readonly id: string
    readonly behind: readonly string[]
  }[]
  readonly stays: readonly { readonly name: string; readonly why: string }[]
  /** Undefined: it goes through the gate already. */
  readonly change: FileChange | undefined
}

/** Everything that `install` would write. Nothing is written by planning. */
export interface InstallPlan {
  readonly files: readonly HostFilePlan[]
  readonly gate: FileChange | undefined
  readonly policies: readonly FileChange[]
  /** Ids of servers that are new to the gate. */
  readonly fresh: readonly string[]
  readonly state: string
}

/** Files of a host on this machine, with the places of people and of projects filled in. */
export function filesOf(profile: HostProfile, machine: Machine): { user: string[]; project: string[] } {
  const moved = profile.homeVariable === undefined ? undefined : machine.env[profile.homeVariable]
  const { normalize } = machine.platform === 'win32' ? win32 : posix
  const fill = (template: string): string =>
    normalize(
      template
        .replace('{home}', () => moved || machine.home)
        .replace('{appData}', () => machine.appData)
        .replace('{project}', () => machine.cwd),
    )
  return { user: profile.files.user[machine.platform].map(fill), project: profile.files.project.map(fill) }
}

/** Whether a host has a configuration here. */
export function isHere(id: HostId, machine: Machine): boolean {
  const { user, project } = filesOf(profileOf(id), machine)
  return [...user, ...project].some((path) => existsSync(path))
}

/** Reads a host's configuration. @throws CommandFailed with line and column of the first fault */
export function readDocument(profile: HostProfile, file: FileText): HostDocument {
  const text = textOf(profile, file)
  try {
    return profile.format === 'json'
      ? readJsonDocument(text, profile.places)
      : readYamlDocument(text, profile.places[0]?.[0] ?? '')
  } catch (error) {
    throw asFailure(error, { path: file.path, text })
  }
}

/** The text to begin with: editors leave empty files that hosts take for nothing. */
export function textOf(profile: HostProfile, file: FileText): string {
  return file.text.trim() === '' ? profile.blank : file.text
}

/**
 * Plans what `install` does to hosts and gate.
 * @param only one file in place of those of the profile
 * @throws CommandFailed when a file cannot be used; then nothing at all is to be written
 */
export function planInstall(
  machine: Machine,
  gate: GateFile,
  hosts: readonly HostId[],
  options: {
    readonly observe: boolean
    readonly only?: string
    readonly launcher: string
    readonly node: string
  },
): InstallPlan {
  const state = stateOf(gate, machine.env)
  const servers = new Servers(gate)
  const ownUrls = ownUrlsOf(gate)
  const files: HostFilePlan[] = []
  const policies: (FileChange & { readonly relative: string; readonly listed: boolean })[] = []
  for (const host of hosts) {
    const profile = profileOf(host)
    const entry = {
      ...(profile.entry.stdio === undefined ? {} : { type: profile.entry.stdio }),
      command: options.node,
      args: [options.launcher, 'connect', '--state', state, '--client', host],
    }
    const own = targets(profile, machine, options.only).map(({ path, folder, entered }) =>
      planFile(host, path, { folder, entry: entered ? entry : undefined, servers, ownUrls }),
    )
    files.push(...own)
    const ids = new Set(own.flatMap(({ moved }) => moved.map(({ id }) => id)))
    if (ids.size === 0 && (gate.config !== undefined || policies.length > 0)) continue
    const fresh = [...ids].filter((id) => servers.fresh.has(id))
    const known = [...ids].filter((id) => !servers.fresh.has(id))
    const policy = planPolicy(gate, { host, fresh, known, observe: options.observe })
    policies.push({ ...policy, mode: policy.file.mode })
  }
  const listing = policies.filter(({ listed }) => !listed).map(({ relative }) => relative)
  const fresh = Object.fromEntries(servers.fresh)
  const text = gateText(gate, fresh, listing, options.observe)
  checkGateText(gate, text, machine.env)
  // What was private with the host stays private with the gate.
  const mode = files.reduce(
    (bits, { change }) => bits & ((change?.file.mode ?? 0o777) | 0o600),
    gate.file.mode,
  )
  return {
    files,
    gate:
      gate.file.bytes !== undefined && text === gate.file.text ? undefined : { file: gate.file, text, mode },
    policies: policies.filter(({ file }) => file.bytes === undefined),
    fresh: Object.keys(fresh),
    state,
  }
}

/** The files to change, with the folder that their servers run in and whether the gate is entered there. */
function targets(
  profile: HostProfile,
  machine: Machine,
  only: string | undefined,
): { path: string; folder: string; entered: boolean }[] {
  if (only !== undefined) return [{ path: resolve(machine.cwd, only), folder: machine.cwd, entered: true }]
  const { user, project } = filesOf(profile, machine)
  const there = user.filter((path) => existsSync(path))
  return [
    ...(there.length > 0 ? there : user.slice(0, 1)).map((path) => ({
      path,
      folder: machine.home,
      entered: true,
    })),
    // What belongs to a project is often shared by people: it gives its servers away and gets no path of this machine.
    ...project
      .filter((path) => existsSync(path))
      .map((path) => ({ path, folder: machine.cwd, entered: false })),
  ]
}

function planFile(
  host: HostId,
  path: string,
  context: {
    readonly folder: string
    readonly entry: object | undefined
    readonly servers: Servers
    readonly ownUrls: readonly string[]
  },
): HostFilePlan {
  const { servers, ownUrls } = context
  const profile = profileOf(host)
  const file = readText(path)
  const document = readDocument(profile, file)
  const moved: { name: string; id: string; behind: readonly string[] }[] = []
  const stays: { name: string; why: string }[] = []
  const changes: PlaceChange[] = []
  for (const [index, place] of document.places.entries()) {
    const remove = new Set<string>()
    // Servers of one folder alone run in that folder.
    const folder = place.path.length === 3 ? (place.path[1] ?? context.folder) : context.folder
    for (const { name, value } of place.entries) {
      const found = translateEntry(value, profile.entry, { folder, ownUrls })
      if ('stays' in found) stays.push({ name, why: found.stays })
      if (!('server' in found)) continue
      moved.push({ name, id: servers.add(name, found.server), behind: found.behind })
      remove.add(name)
    }
    const write = index === 0 ? entered(place, context.entry, remove, path) : []
    if (write.length > 0 && place.entries.some(({ name }) => name === GATE_ENTRY)) remove.add(GATE_ENTRY)
    if (remove.size > 0 || write.length > 0) changes.push({ path: place.path, remove, write })
  }
  if (changes.length === 0) return { host, path, moved, stays, change: undefined }
  const text = document.rewrite(changes)
  proveRewrite(profile, file, document, text, changes)
  return { host, path, moved, stays, change: { file, text, mode: file.mode } }
}

/** The entry of the gate, unless it is there as it should be. */
function entered(
  place: ServerPlace,
  entry: object | undefined,
  remove: ReadonlySet<string>,
  path: string,
): NewEntry[] {
  const there = place.entries.find(({ name }) => name === GATE_ENTRY)
  if (entry === undefined) return []
  if (there === undefined || remove.has(GATE_ENTRY)) return [{ name: GATE_ENTRY, value: entry }]
  if (gateLine(there.value) !== 'connect')
    throw new CommandFailed(
      `${path}: has a server \`${GATE_ENTRY}\` that is not the gate and cannot be moved`,
      {
        fix: 'give it another name; nothing was changed',
      },
    )
  return isSameEntry(there.value, entry) ? [] : [{ name: GATE_ENTRY, value: entry }]
}

/** Whether an entry says all that ours says; what else a person wrote into it may stay. */
function isSameEntry(there: unknown, entry: object): boolean {
  if (typeof there !== 'object' || there === null) return false
  const members = new Map<string, unknown>(Object.entries(there))
  return Object.entries(entry).every(
    ([key, value]) => JSON.stringify(members.get(key)) === JSON.stringify(value),
  )
}

/** INVARIANT: what is not ours to change is the same text before and after, and what is ours is as planned. */
export function proveRewrite(
  profile: HostProfile,
  file: FileText,
  before: HostDocument,
  text: string,
  changes: readonly PlaceChange[],
): void {
  const after = readDocument(profile, { ...file, text })
  const holds = before.places.every(({ path, entries }) => {
    const change = changes.find((each) => samePath(each.path, path))
    const now = after.places.find((each) => samePath(each.path, path))?.entries ?? []
    const kept = entries.filter(({ name }) => change?.remove.has(name) !== true)
    const written = change?.write ?? []
    return (
      now.length === kept.length + written.length &&
      kept.every(({ name, text: was }) =>
        now.some((each) => each.name === name && each.text.trim() === was.trim()),
      ) &&
      written.every(({ name }) => now.some((each) => each.name === name))
    )
  })
  if (!holds)
    throw new CommandFailed(`${file.path}: cannot be edited without touching other settings`, {
      fix: 'set its servers one a line; nothing was changed',
    })
}

/** Servers of the gate while hosts give theirs: two hosts with the same server share one. */
class Servers {
  readonly fresh = new Map<string, GateServer>()
  readonly #gate: GateFile

  constructor(gate: GateFile) {
    this.#gate = gate
  }

  /** Id of a server, which is added when the gate does not have it yet. */
  add(name: string, server: GateServer): string {
    const known = sameServer(this.#gate.config, server)
    if (known !== undefined) return known
    const text = JSON.stringify(server)
    const again = [...this.fresh].find(([, other]) => JSON.stringify(other) === text)?.[0]
    if (again !== undefined) return again
    const taken = new Set([...Object.keys(this.#gate.config?.servers ?? {}), ...this.fresh.keys()])
    const id = serverId(name, taken)
    this.fresh.set(id, server)
    return id
  }
}

/** Origins under which hosts reach this gate. */
function ownUrlsOf({ config }: GateFile): string[] {
  const { host = '127.0.0.1', port = 8420, publicUrl } = config?.listener ?? {}
  const names = new Set([host.includes(':') ? `[${host}]` : host, '127.0.0.1', 'localhost'])
  return [
    ...[...names].map((name) => `http://${name}:${port}`),
    ...(publicUrl === undefined ? [] : [publicUrl]),
  ]
}
