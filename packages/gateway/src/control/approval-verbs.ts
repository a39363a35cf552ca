import { z } from 'zod'
import type { JsonObject } from '../call/json.ts'
import type { CallApproval } from '../ports/call-approvals.ts'
import { type ApprovalDesk, ApprovalRefused } from './call-approvals.ts'
import { ControlRefused, type ControlVerb } from './server.ts'

const decided = z.strictObject({
  verdict: z.enum(['approve', 'deny']),
  /** Who says so: a name, as `approvals.roles` has it behind `cli:`. */
  as: z
    .string()
    .max(124)
    .regex(/^[^\s\p{C}]+$/u, 'is no name'),
  comment: z
    .string()
    .max(500)
    .refine((text) => !/\p{C}/u.test(text), 'holds a control or hidden character')
    .exactOptional(),
})

/** HTTP statuses of decisions that are not taken. */
export const DECISION_STATUS: Readonly<Record<ApprovalRefused['reason'], number>> = {
  unknown: 404,
  over: 409,
  busy: 409,
  own: 403,
  role: 403,
}

/** Verbs of the control API about calls that wait for approval: list, look at one, decide. */
export function approvalVerbs(desk: Pick<ApprovalDesk, 'list' | 'get' | 'decide'>): readonly ControlVerb[] {
  const path = /^\/v1\/approvals\/([0-9a-f]{32})$/
  return [
    {
      method: 'GET',
      path: /^\/v1\/approvals$/,
      run: () => ({ status: 200, body: { approvals: desk.list().map(approvalBody) } }),
    },
    {
      method: 'GET',
      path,
      run(_, id) {
        const approval = desk.get(id)
        if (approval === undefined) throw new ControlRefused(404, `there is no request \`${id}\``)
        return { status: 200, body: approvalBody(approval) }
      },
    },
    {
      method: 'POST',
      path,
      async run(body, id) {
        const parsed = decided.safeParse(body)
        if (!parsed.success) {
          const [issue] = parsed.error.issues
          throw new ControlRefused(400, `\`${issue?.path.join('.') ?? ''}\` ${issue?.message ?? 'is wrong'}`)
        }
        const { verdict, as, comment } = parsed.data
        const approval = await desk
          .decide(id, { id: `cli:${as}`, names: [as] }, verdict, comment)
          .catch((cause: unknown): never => {
            if (!(cause instanceof ApprovalRefused)) throw cause
            throw new ControlRefused(DECISION_STATUS[cause.reason], cause.message, { cause })
          })
        return { status: 200, body: approvalBody(approval) }
      },
    },
  ]
}

/** A request as the control API tells it. */
function approvalBody(approval: CallApproval): JsonObject {
  const { id, state, requester, target, approvers, rules, shown, askedAt, endsAt, decisions } = approval
  return {
    id,
    state,
    ...requester,
    target: `${target.server}.${target.name}`,
    class: approval.class,
    approvers: approvers.map((roles) => [...roles]),
    rules: rules.map(({ id: rule, why }) => ({ rule, ...(why === undefined ? {} : { why }) })),
    arguments: shown,
    asked_at: new Date(askedAt).toISOString(),
    ends_at: new Date(endsAt).toISOString(),
    decisions: decisions.map(({ by, verdict, comment, at }) => ({
      by,
      verdict,
      at: new Date(at).toISOString(),
      ...(comment === undefined ? {} : { comment }),
    })),
  }
}
