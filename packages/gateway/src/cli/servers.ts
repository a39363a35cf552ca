import { userInfo } from 'node:os'
import { join } from 'node:path'
import type { ServerPins, Waiting } from '../ports/pin-store.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import { stateFolder } from './locate.ts'
import type { World } from './world.ts'

/** Digits of a digest that are shown and asked for: with fewer a server could search for a second definition that has them. */
const SHOWN = 32

/** `callgate servers`: what is approved, and what waits with its diff. */
export async function serversList(world: World, options: { json?: boolean }): Promise<void> {
  const servers = await world.pins(join(stateFolder(world.env), 'pins.json'))
  if (options.json === true) return printJson(servers)
  if (Object.keys(servers).length === 0) return print('no server has listed its tools yet')
  for (const [id, { pins, waiting }] of Object.entries(servers)) {
    print(`${id}: ${Object.keys(pins).length} tools approved, ${Object.keys(waiting).length} waiting`)
    for (const [tool, waits] of byRisk(waiting)) {
      print(
        `  ${id}.${safeText(tool)} ${waits.digest.slice(0, SHOWN)} ${safeText(waits.why)}${waits.serving ? ' (the approved definition is served meanwhile)' : ''}`,
      )
      for (const line of diff(pins[tool]?.definition, waits)) print(`    ${line}`)
    }
  }
}

/** The most suspicious first: who looks at three of fifty must have seen the right ones. */
function byRisk(waiting: ServerPins['waiting']): [string, Waiting][] {
  return Object.entries(waiting).toSorted(([, a], [, b]) => (b.risk ?? 0) - (a.risk ?? 0))
}

/** Members that differ, before and after, each on one line; of a new tool all of them, since nobody approves what he has not seen. */
function diff(before: object | undefined, waits: Waiting): string[] {
  const old = new Map<string, unknown>(Object.entries(before ?? {}))
  const fresh = new Map<string, unknown>(Object.entries(waits.definition))
  const lines: string[] = []
  for (const key of new Set([...old.keys(), ...fresh.keys()])) {
    const was = JSON.stringify(old.get(key))
    const is = JSON.stringify(fresh.get(key))
    if (was === is) continue
    if (was !== undefined) lines.push(`- ${safeText(key)}: ${safeText(was)}`)
    if (is !== undefined) lines.push(`+ ${safeText(key)}: ${safeText(is)}`)
  }
  return lines
}

/** `callgate servers approve SERVER [TOOL]`: approves exactly the definitions that wait now, by their digests. */
export async function serversApprove(
  world: World,
  server: string,
  tool: string | undefined,
  options: { digest?: string; json?: boolean },
): Promise<void> {
  const { digest: shown } = options
  if (shown !== undefined && !(shown.length >= SHOWN && /^[0-9a-f]{1,64}$/.test(shown)))
    throw new CommandFailed(
      `--digest expects ${SHOWN} to 64 hex digits, as \`callgate servers\` shows them`,
      {
        exitCode: 2,
      },
    )
  const state = stateFolder(world.env)
  const known: ServerPins | undefined = (await world.pins(join(state, 'pins.json')))[server]
  const waiting = Object.entries(known?.waiting ?? {}).filter(([name]) => tool === undefined || name === tool)
  if (waiting.length === 0) {
    throw new CommandFailed(
      `nothing of \`${server}\`${tool === undefined ? '' : ` named \`${tool}\``} waits for approval`,
      {
        fix: 'see what waits with `callgate servers`',
      },
    )
  }
  if (shown !== undefined && !waiting.every(([, { digest }]) => digest.startsWith(shown))) {
    throw new CommandFailed(`what waits is not the definition \`${shown}\``, {
      fix: 'it was changed since, or another one waits too: look again with `callgate servers`, and name the tool',
    })
  }
  for (const [name, { digest }] of waiting) {
    await world.approve(state, { server, tool: name, digest, by: userInfo().username })
    if (options.json === true) printJson({ server, tool: name, digest })
    else
      print(`approved ${server}.${safeText(name)} ${digest.slice(0, 12)}; the gate takes it within a second`)
  }
}
