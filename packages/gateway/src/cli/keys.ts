import { join } from 'node:path'
import { stateFolder } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import type { SealKeyFacts, World } from './world.ts'

/** `callgate keys`: the keys that seal sessions and parked calls, the current one first. Never the keys themselves. */
export async function keysList(world: World, options: { json?: boolean }): Promise<void> {
  const keys = await world.sealKeys.list(keysFolder(world))
  if (options.json === true) return printJson(keys.map(publicFacts))
  if (keys.length === 0) return print('no key yet: the gate makes one at its first start')
  for (const line of keys.map(describe)) print(line)
}

/** `callgate keys rotate`: a new current key; the older ones open what they sealed until it has ended, or never again. */
export async function keysRotate(world: World, options: { revoke?: boolean; json?: boolean }): Promise<void> {
  const folder = keysFolder(world)
  // In the wrong folder a rotation would look like one and change nothing.
  if ((await world.sealKeys.names(folder)).length === 0) {
    throw new CommandFailed(`\`${folder}\` holds no seal key, so no gate has run on it`, {
      fix: 'set CALLGATE_STATE to the state folder of the gate, or run this where the gate is started',
    })
  }
  const keys = await world.sealKeys.rotate(folder, world.now(), options.revoke === true)
  if (options.json === true) return printJson(keys.map(publicFacts))
  for (const line of keys.map(describe)) print(line)
  print(
    options.revoke === true
      ? 'a running gate takes it within a second; open sessions and parked calls end'
      : 'a running gate takes it within a second; open sessions and parked calls go on',
  )
}

function keysFolder(world: World): string {
  return join(stateFolder(world.env), 'keys')
}

function publicFacts({ kid, madeAt, until }: SealKeyFacts): Record<string, string> {
  return {
    kid,
    use: until === undefined ? 'current' : 'previous',
    madeAt: new Date(madeAt).toISOString(),
    ...(until === undefined ? {} : { opensUntil: new Date(until).toISOString() }),
  }
}

function describe({ kid, madeAt, until }: SealKeyFacts): string {
  const made = `made ${new Date(madeAt).toISOString()}`
  return until === undefined
    ? `${kid} current  ${made}`
    : `${kid} previous ${made}, opens until ${new Date(until).toISOString()}`
}
