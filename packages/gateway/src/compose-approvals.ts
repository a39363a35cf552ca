import { join } from 'node:path'
import { createCallApprovalStore } from './adapters/file/call-approval-store.ts'
import { type Json, type JsonObject, isJsonObject } from './call/json.ts'
import { CommandFailed } from './cli/output.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { ApprovalDesk } from './control/call-approvals.ts'
import type { KeyRing } from './ports/key-ring.ts'
import type { ShownArguments } from './stages/step-up/approval.ts'
import type { Finding } from './text/finding.ts'
import { screenValue } from './text/screen.ts'

/** Longest text of an argument that approvers are shown, in UTF-16 units; and of all arguments, as JSON. */
const MAX_TEXT = 1_000
const MAX_SHOWN = 16_384

/** What the rest of the composition gives to approvals. */
export interface ApprovalDeps {
  readonly keyRing: KeyRing
  /** Writes to the log of record; durable when it resolves. */
  readonly record: (event: string, detail: JsonObject) => Promise<void>
  readonly onProblem: (problem: string) => void
  readonly now: () => number
}

/**
 * Opens the requests for approval of a gate; undefined where nobody could approve one.
 * @throws CommandFailed naming the file that cannot be taken
 */
export async function openApprovalDesk(
  { approvals, state }: Pick<GatewayConfig, 'approvals' | 'state'>,
  deps: ApprovalDeps,
): Promise<ApprovalDesk | undefined> {
  if (approvals === undefined) return undefined
  const { page } = approvals
  try {
    return await ApprovalDesk.open({
      ...deps,
      store: createCallApprovalStore(join(state, 'call-approvals')),
      roles: approvals.roles,
      lifeMs: approvals.expiresS * 1_000,
      link: (id) => (page === undefined ? undefined : `${page.publicUrl}/approvals/${id}`),
    })
  } catch (error) {
    throw new CommandFailed(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

/** Arguments as approvers see them: without personal data and secrets that have a form, whatever may go to the server. */
export function shownArguments(scan: (text: string) => readonly Finding[]): ShownArguments {
  return ({ args }) => {
    const { value } = screenValue(args, {
      scan,
      actionOf: () => 'placeholder',
      typed: false,
      hash: () => '',
      keep: () => '',
    })
    const cut = shortened(value)
    const size = JSON.stringify(cut).length
    if (isJsonObject(cut) && size <= MAX_SHOWN) return cut
    return { '(not shown)': `the arguments are ${size} characters long; ask the caller what they hold` }
  }
}

function shortened(value: Json): Json {
  if (typeof value === 'string')
    return value.length <= MAX_TEXT
      ? value
      : `${value.slice(0, MAX_TEXT)} (${value.length - MAX_TEXT} more characters)`
  if (Array.isArray(value)) return value.map(shortened)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shortened(each)]))
}
