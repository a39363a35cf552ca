import { hash } from 'node:crypto'
import { resolve } from 'node:path'
import type { ReadSecret } from './adapters/credentials/index.ts'
import { createFileTickets } from './adapters/tickets/file-tickets.ts'
import { createHttpTickets } from './adapters/tickets/http-tickets.ts'
import type { GatewayConfig } from './config/declaration.ts'
import type { ReplayGuard } from './ports/replay-guard.ts'
import type { Tickets } from './ports/tickets.ts'
import type { Claim } from './stages/step-up/step-up.ts'

/** The operator's ticket system, which is asked for the first time by the first call that names a ticket. */
export function openTickets(
  { tickets, folder }: Pick<GatewayConfig, 'tickets' | 'folder'>,
  readSecret: ReadSecret,
): Tickets | undefined {
  if (tickets === undefined) return undefined
  if (tickets.type === 'file') return createFileTickets(resolve(folder, tickets.path), tickets.approved)
  const { type, url, approved, timeoutMs, token } = tickets
  return createHttpTickets({
    type,
    url,
    approved,
    timeoutMs,
    user: 'user' in tickets ? tickets.user : undefined,
    repository: 'repository' in tickets ? tickets.repository : undefined,
    token: token === undefined ? undefined : (fresh) => readSecret(token, fresh),
    now: Date.now,
  })
}

/** Tickets and approvals are claimed where tokens are: atomically, durably, and for every gate of one state folder's node. */
export function stepUpClaims(replay: ReplayGuard): Claim {
  return async (kind, { id, exp }) =>
    (await replay.claim(hash('sha256', `${kind}\u0000${id}`), exp, kind)) === 'first'
}
