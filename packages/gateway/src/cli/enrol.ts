import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import type { ControlAnswer } from '../control/server.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import { askControlOf } from './control.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import type { World } from './world.ts'

export interface EnrolOptions {
  readonly actor?: string
  readonly type: string
  readonly subject?: string
  readonly tenant: string
  readonly scope: string
  readonly expires: string
  readonly keyLife: string
  readonly state?: string
  readonly json?: boolean
}

type Asking = Pick<EnrolOptions, 'state' | 'json'>
type EnrolWorld = Pick<World, 'env'>

/** `callgate enrol`: makes a code with which one machine can enrol one key, and prints what its user runs. */
export async function enrol(world: EnrolWorld, options: EnrolOptions): Promise<void> {
  if (options.actor === undefined) {
    throw new CommandFailed('--actor is missing', {
      fix: 'say who will call: callgate enrol --actor NAME',
      exitCode: 2,
    })
  }
  const { body } = await ask(world, options, 'POST', '/v1/enrolments', {
    actor: options.actor,
    type: options.type,
    ...(options.subject === undefined ? {} : { subject: options.subject }),
    tenant: options.tenant,
    scope: options.scope.split(' ').filter((grant) => grant !== ''),
    expires_s: seconds('--expires', options.expires),
    key_life_s: seconds('--key-life', options.keyLife),
  })
  if (options.json === true) return printJson(body)
  print(`enrolment ${textOf(body, 'id')}, code good once until ${textOf(body, 'code_expires_at')}`)
  print('whoever has the code becomes that caller: send it the way you would send a password')
  print(`run: callgate connect ${textOf(body, 'url')} --code ${textOf(body, 'code')}`)
}

/** `callgate enrol list`: who is enrolled or may become so, the newest first. */
export async function enrolList(world: EnrolWorld, options: Asking): Promise<void> {
  const { body } = await ask(world, options, 'GET', '/v1/enrolments')
  if (options.json === true) return printJson(body['enrolments'] ?? [])
  const rows = member(body, 'enrolments')
  const found = Array.isArray(rows) ? rows.filter((row) => isJsonObject(row)) : []
  if (found.length === 0) return print('nobody is enrolled')
  for (const row of found) {
    const scope = member(row, 'scope')
    const grants = Array.isArray(scope) && scope.length > 0 ? ` scope ${scope.join(' ')}` : ''
    print(
      `${textOf(row, 'id')} ${textOf(row, 'state').padEnd(8)} ${textOf(row, 'actor')} (${textOf(row, 'type')}) for ${textOf(row, 'subject')} in ${textOf(row, 'tenant')}${safeText(grants)}, until ${textOf(row, 'ends_at')}`,
    )
  }
}

/** `callgate enrol revoke ID`: the key counts no longer, and what goes on with it ends. */
export async function enrolRevoke(world: EnrolWorld, id: string, options: Asking): Promise<void> {
  if (!/^[0-9a-f]{16}$/.test(id)) {
    throw new CommandFailed(`\`${safeText(id)}\` is no id of an enrolment`, {
      fix: '`callgate enrol list` shows them',
      exitCode: 2,
    })
  }
  const { body } = await ask(world, options, 'DELETE', `/v1/enrolments/${id}`)
  if (options.json === true) return printJson(body)
  print(`${id} is revoked: ${textOf(body, 'actor')} can call no more, and its streams have ended`)
}

const ask = (
  { env }: EnrolWorld,
  { state }: Asking,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: JsonObject,
): Promise<ControlAnswer> => askControlOf({ env, state, missing }, method, path, body)

/** Why a gate cannot enrol. */
const missing = ({ identity }: GatewayConfig): string | undefined =>
  identity.enrolment ? undefined : '`identity.enrolment: true`'

/** Seconds of a length of time such as `10m`. @throws CommandFailed */
function seconds(option: string, text: string): number {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const factor = { s: 1, m: 60, h: 3_600, d: 86_400 }[unit]
  if (count !== undefined && factor !== undefined) return Number(count) * factor
  throw new CommandFailed(`${option} is \`${safeText(text)}\` (expected such as 90s, 10m, 12h or 30d)`, {
    exitCode: 2,
  })
}

function textOf(object: JsonObject, name: string): string {
  return safeText(stringMember(object, name) ?? '?')
}
