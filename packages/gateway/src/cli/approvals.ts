import { userInfo } from 'node:os'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import type { ControlAnswer } from '../control/server.ts'
import { rolesIn } from '../ports/call-approvals.ts'
import { askControlOf } from './control.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import type { World } from './world.ts'

type Asking = { readonly state?: string; readonly json?: boolean }
type ApprovalWorld = Pick<World, 'env'>

export interface DecideOptions extends Asking {
  /** Who decides; default: the user of the operating system. */
  readonly as?: string
  readonly comment?: string
}

/** `callgate approvals`: what waits for approval, the newest first. */
export async function approvals(world: ApprovalWorld, options: Asking & { all?: boolean }): Promise<void> {
  const { body } = await ask(world, options, 'GET', '/v1/approvals')
  const rows = member(body, 'approvals')
  const all = Array.isArray(rows) ? rows.filter((row) => isJsonObject(row)) : []
  const found = options.all === true ? all : all.filter((row) => row['state'] === 'pending')
  if (options.json === true) return printJson(found)
  if (found.length === 0)
    return print(options.all === true ? 'nothing was asked' : 'nothing waits for approval')
  for (const row of found) {
    print(
      `${textOf(row, 'id')} ${textOf(row, 'state').padEnd(8)} ${textOf(row, 'target')} for ${textOf(row, 'actor')} (${textOf(row, 'subject')}), by ${rolesOf(row)}, until ${textOf(row, 'ends_at')}`,
    )
  }
}

/** `callgate approvals show ID`: what an approver needs to know of one request. */
export async function approvalShow(world: ApprovalWorld, id: string, options: Asking): Promise<void> {
  const { body } = await ask(world, options, 'GET', `/v1/approvals/${checked(id)}`)
  if (options.json === true) return printJson(body)
  print(
    `${textOf(body, 'actor')} (${textOf(body, 'type')}) in ${textOf(body, 'tenant')} wants, for ${textOf(body, 'subject')}, to call ${textOf(body, 'target')} (${textOf(body, 'class')})`,
  )
  print(`state      ${textOf(body, 'state')}, until ${textOf(body, 'ends_at')}`)
  print(`approvers  ${rolesOf(body)}`)
  for (const rule of objectsIn(body, 'rules'))
    print(`rule       ${textOf(rule, 'rule')}${'why' in rule ? `: ${textOf(rule, 'why')}` : ''}`)
  for (const said of objectsIn(body, 'decisions'))
    print(
      `decision   ${textOf(said, 'verdict')} by ${textOf(said, 'by')} at ${textOf(said, 'at')}${'comment' in said ? `: ${textOf(said, 'comment')}` : ''}`,
    )
  print('arguments, without personal data and secrets:')
  for (const line of JSON.stringify(member(body, 'arguments'), null, 2).split('\n'))
    print(`  ${safeText(line)}`)
}

/** `callgate approvals approve|deny ID`: decides one request. */
export async function approvalDecide(
  world: ApprovalWorld,
  verdict: 'approve' | 'deny',
  id: string,
  options: DecideOptions,
): Promise<void> {
  const { body } = await ask(world, options, 'POST', `/v1/approvals/${checked(id)}`, {
    verdict,
    as: options.as ?? userInfo().username,
    ...(options.comment === undefined ? {} : { comment: options.comment }),
  })
  if (options.json === true) return printJson(body)
  const state = textOf(body, 'state')
  if (state === 'approved')
    print(`${id} is approved: the call can be made once until ${textOf(body, 'ends_at')}, by whoever asked`)
  else if (state === 'denied') print(`${id} is denied: the caller is told so`)
  else print(`${id} has your word, and still needs approval by others: ${rolesOf(body)}`)
}

function checked(id: string): string {
  if (/^[0-9a-f]{32}$/.test(id)) return id
  throw new CommandFailed(`\`${safeText(id)}\` is no id of a request for approval`, {
    fix: '`callgate approvals` shows them',
    exitCode: 2,
  })
}

const ask = (
  { env }: ApprovalWorld,
  { state }: Asking,
  method: 'GET' | 'POST',
  path: string,
  body?: JsonObject,
): Promise<ControlAnswer> => askControlOf({ env, state, missing }, method, path, body)

/** Why nobody can approve at a gate. */
const missing = ({ approvals: who }: GatewayConfig): string | undefined =>
  who === undefined ? '`approvals.roles`' : undefined

function rolesOf(row: JsonObject): string {
  const lists = member(row, 'approvers')
  const roles = Array.isArray(lists) ? lists.filter((each) => Array.isArray(each)) : []
  return safeText(rolesIn(roles.map((each) => each.map(String))))
}

function objectsIn(body: JsonObject, name: string): readonly JsonObject[] {
  const list = member(body, name)
  return Array.isArray(list) ? list.filter((each) => isJsonObject(each)) : []
}

function textOf(object: JsonObject, name: string): string {
  return safeText(stringMember(object, name) ?? '?')
}
