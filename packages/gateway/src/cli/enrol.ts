import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { askControl } from '../control/client.ts'
import type { ControlAnswer } from '../control/server.ts'
import { loadConfig } from '../config/load.ts'
import { readRunFile, stateFolder } from './locate.ts'
import { CommandFailed, print, printJson, safeText } from './output.ts'
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

/** @throws CommandFailed when no gate answers, nobody can be enrolled there, or it refuses */
async function ask(
  { env }: EnrolWorld,
  { state: given }: Asking,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: JsonObject,
): Promise<ControlAnswer> {
  const state = stateFolder(env, given)
  let answer: ControlAnswer
  try {
    answer = await askControl(state, method, path, body)
  } catch (cause) {
    throw new CommandFailed(`the gate on \`${state}\` cannot be asked: ${reasonOf(cause)}`, {
      fix: fixOf(env, state, cause),
      cause,
    })
  }
  if (answer.status < 400) return answer
  throw new CommandFailed(textOf(answer.body, 'detail'), { exitCode: answer.status === 400 ? 2 : 1 })
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return 'nothing listens on its control socket'
  if (code === 'EACCES') return 'its control socket is not ours'
  return cause instanceof Error ? cause.message : String(cause)
}

function fixOf(env: World['env'], state: string, cause: unknown): string {
  if (cause instanceof Error && 'code' in cause && cause.code === 'EACCES')
    return 'run this as the user that the gate runs as'
  const run = readRunFile(state)
  if (run === undefined) return 'start the gate, or name its folder with --state'
  const { config } = loadConfig(run.config, { env: { ...env, CALLGATE_STATE: state } })
  return config?.identity.enrolment === false
    ? `set \`identity.enrolment: true\` in ${run.config} and start the gate again`
    : 'start the gate'
}

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
