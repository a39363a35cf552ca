import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { fileURLToPath } from 'node:url'
import { hostIds, osGaps, profileOf, type HostId, type Platform } from './host-profiles.ts'
import { dropBackup, keepBackup, replaceFile } from './install-files.ts'
import { readGate } from './install-gate.ts'
import { filesOf, isHere, planInstall, type InstallPlan, type Machine } from './install-plan.ts'
import { gateChanges, hostDiff, planLines, type ShownChange } from './install-show.ts'
import { planUndo, undo, type UndoPlan } from './install-undo.ts'
import { configPath } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import type { World } from './world.ts'

export interface InstallOptions {
  readonly host?: string
  readonly all?: boolean
  readonly observe?: boolean
  readonly undo?: boolean
  readonly config?: string
  readonly gate?: string
  readonly yes?: boolean
  readonly dryRun?: boolean
  readonly json?: boolean
}

/**
 * `callgate install`: the servers of a host go behind the gate, and one line of the gate takes their place. The diff is
 * shown before anything is written; a backup of every host file lies beside it for `--undo`.
 */
export async function install(
  world: World,
  options: InstallOptions,
  machine: Machine = thisMachine(world.env),
): Promise<void> {
  const hosts = chosen(options, machine)
  if (options.undo === true) return uninstall(hosts, options, machine)
  const gate = readGate(gatePath(world.env, options.gate), world.env)
  const plan = planInstall(machine, gate, hosts, {
    observe: options.observe === true,
    node: process.execPath,
    launcher: fileURLToPath(new URL('../../bin/callgate.mjs', import.meta.url)),
    ...(options.config === undefined ? {} : { only: options.config }),
  })
  const changes = [
    ...plan.files.flatMap(({ host, change }) =>
      change === undefined ? [] : [hostDiff(profileOf(host), change)],
    ),
    ...gateChanges(plan),
  ]
  if (options.json !== true) for (const line of planLines(plan)) print(line)
  const agreed = await agree(changes, options)
  const backups = agreed ? writePlan(plan, world.now()) : []
  const missing = gapsOf(hosts, machine.platform)
  const next = agreed && changes.length > 0 ? nextSteps(plan, gate.path, options.observe === true) : []
  if (options.json === true) {
    return printJson({
      written: agreed && changes.length > 0,
      files: plan.files.map(({ host, path, moved, stays, change }) => ({
        host,
        path,
        moved,
        stays,
        changes: change !== undefined,
      })),
      gate: { config: gate.path, state: plan.state, servers: plan.fresh },
      changes,
      backups,
      missing,
      next,
    })
  }
  for (const backup of backups) print(`backup: ${safeText(backup)}`)
  print('what this does not protect:')
  for (const gap of missing) print(`  - ${gap}`)
  if (next.length > 0) print('next:')
  for (const step of next) print(`  ${safeText(step)}`)
}

/** The hosts that are meant. @throws CommandFailed when none is named or found */
function chosen(options: InstallOptions, machine: Machine): HostId[] {
  const { host, all, config } = options
  const known = hostIds.find((id) => id === host)
  if (host !== undefined && known === undefined)
    throw new CommandFailed(`--host is \`${host}\` (expected ${hostIds.join(', ')})`, { exitCode: 2 })
  if ((known === undefined) === (all !== true))
    throw new CommandFailed('expected exactly one of --host HOST and --all', { exitCode: 2 })
  if (known !== undefined) return [known]
  if (config !== undefined)
    throw new CommandFailed('--config names the file of one host; say which with --host', { exitCode: 2 })
  const here = hostIds.filter((id) => isHere(id, machine))
  if (here.length === 0)
    throw new CommandFailed('no configuration of a known host was found', { fix: 'name a host with --host' })
  return here
}

/** callgate.yaml to enter servers in: the one named, which may not be there yet, or the one that other commands find. */
function gatePath(env: World['env'], given: string | undefined): string {
  if (given !== undefined) return resolve(given)
  try {
    return configPath(env, undefined)
  } catch (cause) {
    throw new CommandFailed('no callgate.yaml found', {
      fix: 'name one with --gate FILE; it is made when it is not there',
      cause,
    })
  }
}

/** Shows the changes and asks. @returns whether to write */
async function agree(changes: readonly ShownChange[], options: InstallOptions): Promise<boolean> {
  if (options.json !== true)
    for (const { file, diff } of changes) {
      print(`--- ${safeText(file)}`)
      for (const line of diff) print(line)
    }
  if (options.dryRun === true) return false
  if (options.yes === true || changes.length === 0) return true
  if (options.json === true || !process.stdin.isTTY)
    throw new CommandFailed('nothing was changed: there is nobody to ask', {
      fix: 'say --yes to write what was shown, or --dry-run to see it alone',
    })
  const asker = createInterface({ input: process.stdin, output: process.stdout })
  const answer = await asker.question('write this? [y/N] ')
  asker.close()
  if (/^y(es)?$/i.test(answer.trim())) return true
  throw new CommandFailed('nothing was changed')
}

/** Writes the gate before the hosts: no host may ever be pointed at servers that no gate has. @returns paths of backups */
export function writePlan(plan: InstallPlan, now: number): string[] {
  for (const { file, text, mode } of plan.policies) replaceFile(file, text, mode)
  if (plan.gate !== undefined) replaceFile(plan.gate.file, plan.gate.text, plan.gate.mode)
  return plan.files.flatMap(({ change }) => {
    if (change === undefined) return []
    const backup = keepBackup(change.file, change.text, now)
    try {
      replaceFile(change.file, change.text, change.mode)
    } catch (error) {
      // A backup of what was not changed would be restored over what came after.
      dropBackup(backup)
      throw error
    }
    return [backup.path]
  })
}

async function uninstall(hosts: readonly HostId[], options: InstallOptions, machine: Machine): Promise<void> {
  const plans = hosts.flatMap((host) => {
    const { user, project } = filesOf(profileOf(host), machine)
    const paths =
      options.config === undefined ? [...user, ...project] : [resolve(machine.cwd, options.config)]
    return paths.flatMap((path): UndoPlan[] => {
      const plan = planUndo(host, path)
      return plan === undefined ? [] : [plan]
    })
  })
  if (plans.length === 0)
    throw new CommandFailed('there is nothing to undo: no backup lies beside a configuration of this host', {
      fix: 'name the file with --config if it lies elsewhere',
    })
  const changes = plans.map(({ host, file, text }) => hostDiff(profileOf(host), { file, text: text ?? '' }))
  const agreed = await agree(changes, options)
  if (agreed) for (const plan of plans) undo(plan)
  const files = plans.map(({ host, file, exact, text }) => ({
    host,
    path: file.path,
    exact,
    removed: text === undefined,
  }))
  if (options.json === true) return printJson({ written: agreed, files, changes })
  if (!agreed) return
  for (const { path, exact, removed } of files)
    print(
      `${safeText(path)}: ${removed ? 'removed, as before there was none' : exact ? 'restored byte for byte' : 'was changed since; its servers are back and the rest is as it was found'}`,
    )
  print('callgate.yaml and its policies keep what was entered: take out there what no other host needs')
}

function thisMachine(env: World['env']): Machine {
  const { platform } = process
  const home = homedir()
  return {
    // Other systems of the Unix family keep configuration where Linux does.
    platform: platform === 'darwin' || platform === 'win32' ? platform : 'linux',
    home,
    appData: env['APPDATA'] ?? join(home, 'AppData', 'Roaming'),
    cwd: process.cwd(),
    env,
  }
}

function gapsOf(hosts: readonly HostId[], platform: Platform): string[] {
  return [
    ...osGaps[platform],
    ...hosts.map((host) => {
      const { title, elsewhere } = profileOf(host)
      return `${title} also starts servers from: ${elsewhere.join('; ')}`
    }),
  ]
}

/** What is left to do by hand, in order. */
function nextSteps(plan: InstallPlan, gate: string, observe: boolean): string[] {
  const titles = [...new Set(plan.files.map(({ host }) => profileOf(host).title))]
  return [
    `callgate start --config ${gate} (a gate that runs takes new servers when it is started again)`,
    ...(observe
      ? []
      : plan.fresh.map(
          (id) =>
            `CALLGATE_STATE=${plan.state} callgate servers approve ${id} (once it has listed its tools; see them with \`callgate servers\`)`,
        )),
    `restart ${titles.join(', ')}`,
  ]
}
