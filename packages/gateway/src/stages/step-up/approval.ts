import type { AuthorizedCall } from '../../call/call.ts'
import type { InputRequests, InputResponses } from '../../call/input.ts'
import { type JsonObject, member } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import {
  type ApprovalRequest,
  type CallApproval,
  type CallApprovals,
  TooManyApprovals,
  rolesIn,
} from '../../ports/call-approvals.ts'
import { RESUME_TOOL } from './resume.ts'

/** What of a call's arguments may be shown to those who approve it. */
export type ShownArguments = (call: AuthorizedCall) => JsonObject

export interface ApprovalOptions {
  /** Undefined: nobody is configured who could approve. */
  readonly approvals: CallApprovals | undefined
  readonly codeOf: (call: AuthorizedCall) => string
  readonly rulesOf: (call: AuthorizedCall) => ApprovalRequest['rules']
  readonly shown: ShownArguments
  readonly ask: (
    call: AuthorizedCall,
    requests: InputRequests,
    signal: AbortSignal,
  ) => Promise<InputResponses>
}

/** Most rules that approvers are told of. */
const MAX_RULES = 16

/**
 * The half of row 6b that people decide: a call goes on once somebody of each list of roles has approved it, this very call and
 * within its time; the call that goes on is the one that was shown (SECURITY.md 5, two-person rule).
 */
export function createApprovalCheck(options: ApprovalOptions) {
  const { approvals, codeOf } = options

  async function requested(
    desk: CallApprovals,
    call: AuthorizedCall,
    code: string,
    approvers: ApprovalRequest['approvers'],
  ): Promise<CallApproval> {
    const known = desk.find(code)
    if (known !== undefined) return known
    const shown = options.shown(call)
    try {
      return await desk.ask({
        code,
        principal: call.principal,
        target: call.target,
        class: call.class,
        approvers,
        rules: options.rulesOf(call).slice(0, MAX_RULES),
        shown,
        parked: parkedOf(call),
      })
    } catch (cause) {
      const full = cause instanceof TooManyApprovals
      throw new Refusal('CG_STEPUP_UNAVAILABLE', {
        publicText: full
          ? 'too many calls wait for approval; wait until some are decided'
          : 'this call needs approval, and nobody can be asked for it now; try again later',
        internal: full ? cause.message : 'the request for approval could not be kept',
        cause,
      })
    }
  }

  /** @throws Refusal unless the request is approved */
  function judged(approval: CallApproval): CallApproval | undefined {
    if (approval.state === 'approved') return approval
    if (approval.state !== 'denied') return undefined
    throw new Refusal('CG_STEPUP_DENIED', {
      publicText: 'this call was not approved; tell the user, and do not make it again',
      internal: `approval ${approval.id} was denied by ${approval.decisions.at(-1)?.by ?? '?'}`,
    })
  }

  return async function approved(
    call: AuthorizedCall,
    approvers: ApprovalRequest['approvers'],
    signal: AbortSignal,
  ): Promise<AuthorizedCall> {
    if (approvals === undefined)
      throw new Refusal('CG_STEPUP_DENIED', {
        publicText: 'this call needs approval, and nobody is configured who could give it; tell the user',
        internal: 'no `approvals` in the configuration',
      })
    const code = codeOf(call)
    const request = await requested(approvals, call, code, approvers)
    const given =
      judged(request) ??
      ((await waited(call, request, signal)) ? judged(approvals.find(code) ?? request) : undefined)
    if (given === undefined)
      throw new Refusal('CG_STEPUP_APPROVAL', {
        publicText: `${sentence(request)}. Once it is approved, call \`${RESUME_TOOL}\` with the id \`${request.id}\`, or make the same call again; tell the user who must approve it`,
        internal: `approval ${request.id} is pending`,
      })
    return { ...call, approved: { id: given.id, exp: Math.ceil(given.endsAt / 1_000) } }
  }

  /** Whether the person at the host says that it is approved by now. */
  async function waited(call: AuthorizedCall, request: CallApproval, signal: AbortSignal): Promise<boolean> {
    if (!Object.hasOwn(call.host.capabilities, 'elicitation')) return false
    const question: InputRequests[string] = {
      method: 'elicitation/create',
      params: {
        mode: 'form',
        message: `${call.target.server}.${call.target.name}: ${sentence(request)}. Accept once it is approved.`,
        requestedSchema: { type: 'object', properties: {} },
      },
    }
    const { approval } = await options.ask(call, { approval: question }, signal)
    return approval?.kind === 'result' && member(approval.result, 'action') === 'accept'
  }

  function sentence({ id, approvers, endsAt }: CallApproval): string {
    const link = approvals?.link(id)
    return `this call needs approval by ${rolesIn(approvers)}${link === undefined ? '' : ` at ${link}`} until ${new Date(endsAt).toISOString()} (request ${id})`
  }
}

/** The call as its host wrote it: placeholders are put back when it runs, and not where it waits. */
function parkedOf(call: AuthorizedCall): ApprovalRequest['parked'] {
  const { caller, requested, written, argsBytes, headers, idempotencyKey, ticket } = call
  return {
    server: caller.endpoint.server ?? null,
    requested,
    args: written === undefined ? Buffer.from(argsBytes).toString('utf8') || '{}' : JSON.stringify(written),
    headers: headers.flatMap((name, i) =>
      i % 2 === 0 && /^mcp-param-/i.test(name) ? [name, headers[i + 1] ?? ''] : [],
    ),
    idempotencyKey,
    ticket,
  }
}
