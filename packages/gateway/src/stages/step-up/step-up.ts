import { canonicalize } from '@callgate/evidence'
import type { AuthorizedCall, Confirmed, OnceCall, StepUp } from '../../call/call.ts'
import { isTicketId } from '../../call/authorization.ts'
import type { InputRequests, InputResponses } from '../../call/input.ts'
import { isJsonObject, member, stringMember } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import type { Stage } from '../../call/stage.ts'
import type { ApprovalRequest, CallApprovals } from '../../ports/call-approvals.ts'
import { type Ticket, type Tickets, TicketsDown } from '../../ports/tickets.ts'
import { type ShownArguments, createApprovalCheck } from './approval.ts'

/** Key of `_meta` under which a host names the ticket of a call. */
export const TICKET_META = 'dev.callgate/ticket'

/** How long a claimed ticket is remembered, in seconds; systems that reopen tickets later than that need new ones. */
const CLAIM_S = 366 * 86_400

/** What row 6b goes by. */
export interface StepUpOptions {
  /** Undefined: no ticket system is configured, so nothing that needs a ticket passes. */
  readonly tickets: Tickets | undefined
  /** Undefined: nobody is configured who could approve, so nothing that needs an approval passes. */
  readonly approvals: CallApprovals | undefined
  /** The rules that apply to a call, with the reasons of their authors. */
  readonly rulesOf: (call: AuthorizedCall) => ApprovalRequest['rules']
  readonly shown: ShownArguments
  /** Whom a ticket must be assigned to; undefined: anybody or nobody. */
  readonly assignees: readonly string[] | undefined
  /** Keyed hash of a text, by tenant: who reads a ticket cannot try arguments. */
  readonly hash: (tenant: string, text: string) => string
  /** Asks the host of a call. @throws Refusal CG_HOST_* */
  readonly ask: (
    call: AuthorizedCall,
    requests: InputRequests,
    signal: AbortSignal,
  ) => Promise<InputResponses>
  /** Judges a call again that has found its ticket. @throws Refusal CG_POLICY_* */
  readonly authorize: (call: AuthorizedCall) => AuthorizedCall
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/**
 * Row 6b: a call that policy allows with a ticket only goes on when the ticket system says that the ticket stands for this very call:
 * approved, assigned, in its time, and with the code of the call in its text (playbook Play 3, "Require ticket for destructive bulk
 * changes"; SECURITY.md 3.1, threat 26).
 */
export function createStepUpStage(options: StepUpOptions): Stage<AuthorizedCall, AuthorizedCall> {
  const { tickets, assignees, now } = options
  const approved = createApprovalCheck({ ...options, codeOf: (call) => codeOf(call) })

  /** What a ticket holds that stands for a call: this caller, this definition of the tool, these arguments. */
  function codeOf({ principal, target, digest, args }: AuthorizedCall): string {
    const { tenant, actor, subject } = principal
    const text = canonicalize([
      tenant,
      actor.id,
      subject,
      target.server,
      target.kind,
      target.name,
      digest ?? '',
      args,
    ])
    return `callgate:${options.hash(tenant, text).slice(0, 32)}`
  }

  /** The ticket that the person at the host names. */
  async function namedBy(
    call: AuthorizedCall,
    code: string,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    if (!Object.hasOwn(call.host.capabilities, 'elicitation')) return undefined
    const { ticket } = await options.ask(call, { ticket: question(call, code) }, signal)
    if (ticket?.kind !== 'result' || member(ticket.result, 'action') !== 'accept') return undefined
    const content = member(ticket.result, 'content')
    const id = isJsonObject(content) ? stringMember(content, 'ticket')?.trim() : undefined
    return id !== undefined && isTicketId(id) ? id : undefined
  }

  async function confirmed(call: AuthorizedCall, id: string, signal: AbortSignal): Promise<Confirmed> {
    const code = codeOf(call)
    let ticket: Ticket | undefined
    try {
      ticket = await tickets?.read(id, signal)
    } catch (cause) {
      if (!(cause instanceof TicketsDown)) throw cause
      throw new Refusal('CG_STEPUP_UNAVAILABLE', { internal: cause.message, cause })
    }
    const wrong = ticket === undefined ? 'there is no such ticket' : problemOf(ticket, code)
    if (ticket === undefined || wrong !== undefined)
      throw new Refusal('CG_STEPUP_REFUSED', {
        publicText: `the ticket does not stand for this call: ${wrong}`,
        // What the caller wrote may be anything; what the system calls a ticket is its id.
        internal: ticket === undefined ? 'there is no such ticket' : `ticket ${ticket.id}: ${wrong}`,
      })
    return { id: ticket.id, exp: Math.floor(now() / 1_000) + CLAIM_S }
  }

  function problemOf(
    { approved, assignees: assigned, from, until, text }: Ticket,
    code: string,
  ): string | undefined {
    if (!approved) return 'it is not approved'
    if (assignees !== undefined && !assigned.some((one) => assignees.includes(one)))
      return 'it is assigned to nobody who may carry it out'
    if ((from !== undefined && now() < from) || (until !== undefined && now() >= until))
      return 'this is not its time'
    return text.includes(code) ? undefined : `it does not hold \`${code}\``
  }

  return {
    name: 'step-up',
    // A person may be asked; the host link and the ticket system have limits of their own.
    budgetMs: Number.POSITIVE_INFINITY,
    run: (call, signal) => (call.stepUp === undefined ? call : held(call, call.stepUp, signal)),
  }

  async function held(
    call: AuthorizedCall,
    { ticket, named }: StepUp,
    signal: AbortSignal,
  ): Promise<AuthorizedCall> {
    const ticketed = ticket || named !== undefined ? await withTicket(call, named, signal) : call
    const { approvers = [] } = ticketed.stepUp ?? {}
    return approvers.length === 0 ? ticketed : approved(ticketed, approvers, signal)
  }

  async function withTicket(
    call: AuthorizedCall,
    given: string | undefined,
    signal: AbortSignal,
  ): Promise<AuthorizedCall> {
    if (tickets === undefined)
      throw new Refusal('CG_STEPUP_REFUSED', {
        publicText: 'this call needs an approved ticket, and no ticket system is configured; tell the user',
        internal: 'no `tickets` in the configuration',
      })
    if (given !== undefined) return { ...call, confirmed: await confirmed(call, given, signal) }
    const code = codeOf(call)
    const named = await namedBy(call, code, signal)
    if (named === undefined)
      throw new Refusal('CG_STEPUP_TICKET', {
        publicText: `this call needs an approved ticket that holds \`${code}\`; have one approved, then make the same call again with its id as \`${TICKET_META}\` in \`_meta\``,
        internal: 'no ticket is named',
      })
    // Judged anew, because rules may read which ticket it is; what it added to windows is added again with that.
    call.takeBack?.('all')
    const again = options.authorize({ ...call, ticket: named })
    return { ...again, confirmed: await confirmed(again, named, signal) }
  }
}

function question({ target }: AuthorizedCall, code: string): InputRequests[string] {
  return {
    method: 'elicitation/create',
    params: {
      mode: 'form',
      message: `${target.server}.${target.name} needs an approved ticket whose text holds ${code}. Which one?`,
      requestedSchema: {
        type: 'object',
        properties: { ticket: { type: 'string', title: 'Ticket', maxLength: 128 } },
        required: ['ticket'],
      },
    },
  }
}

/** Takes a ticket or an approval for one call, durably. @returns false: it was taken before. @throws Error when nobody can say */
export type Claim = (kind: 'ticket' | 'approval', confirmed: Confirmed) => Promise<boolean>

/**
 * Row 9b: the last thing before the record. A ticket that was confirmed and an approval that was given are used up here, whatever
 * becomes of the call.
 */
export function createClaimStage(
  claim: Claim,
  approvals: Pick<CallApprovals, 'used'> | undefined,
): Stage<OnceCall, OnceCall> {
  return {
    name: 'claim',
    budgetMs: 2_000,
    run(call) {
      const { confirmed, approved, once } = call
      // A repeat does not run: what it needed was used up by the call that did.
      if ((confirmed === undefined && approved === undefined) || typeof once === 'object') return call
      return taken(call)
    },
  }

  async function taken(call: OnceCall): Promise<OnceCall> {
    const { confirmed, approved } = call
    // An approval that is claimed twice was given to one call; the ticket is then still good for that one.
    if (approved !== undefined) await take('approval', approved)
    if (confirmed !== undefined) await take('ticket', confirmed)
    return call
  }

  async function take(kind: 'ticket' | 'approval', confirmed: Confirmed): Promise<void> {
    let first: boolean
    try {
      first = await claim(kind, confirmed)
    } catch (cause) {
      throw new Refusal('CG_STEPUP_UNAVAILABLE', { internal: `the ${kind} could not be claimed`, cause })
    }
    if (kind === 'approval') approvals?.used(confirmed.id)
    if (first) return
    throw new Refusal(kind === 'ticket' ? 'CG_STEPUP_REFUSED' : 'CG_STEPUP_DENIED', {
      publicText: `the ${kind} does not stand for this call: it was used for another one`,
      internal: `${kind} ${confirmed.id} was used before`,
    })
  }
}
