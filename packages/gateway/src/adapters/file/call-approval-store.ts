import { z } from 'zod'
import type { CallApprovalStore, StoredApproval } from '../../ports/call-approvals.ts'
import { privateFolder } from './private-folder.ts'

const ID = /^[0-9a-f]{32}$/
/** Longest file: a sealed call of 64 KiB, as much that is shown, and room. */
const MAX_FILE_BYTES = 262_144

const text = z.string().max(4_096)
const time = z.int().min(0)
const roles = z.array(z.string().min(1).max(32)).max(64)
const type = z.enum(['agent', 'human', 'service'])

const stored = z.strictObject({
  id: z.string().regex(ID),
  code: z.string().min(1).max(128),
  requester: z.strictObject({ tenant: text, actor: text, type, subject: text }),
  target: z.strictObject({ server: text, kind: z.enum(['tool', 'resource', 'prompt']), name: text }),
  class: z.enum(['read', 'write', 'destructive', 'egress', 'memory', 'poll']),
  approvers: z.array(roles.min(1)).min(1).max(1_000),
  rules: z.array(z.strictObject({ id: text, why: text.optional() })).max(16),
  shown: z.record(z.string(), z.json()),
  askedAt: time,
  endsAt: time,
  decisions: z
    .array(
      z.strictObject({
        by: text,
        roles,
        verdict: z.enum(['approve', 'deny']),
        comment: text.optional(),
        at: time,
      }),
    )
    .max(1_000),
  parked: z.string().max(65_536).optional(),
  usedAt: time.optional(),
})

/** Requests for approval, one file each: what may be shown lies in the clear, the call that waits is sealed. */
export function createCallApprovalStore(folder: string): CallApprovalStore {
  return privateFolder<StoredApproval>({
    folder,
    id: ID,
    maxBytes: MAX_FILE_BYTES,
    schema: stored.transform(({ parked, usedAt, rules, decisions, ...rest }) => ({
      ...rest,
      parked,
      usedAt,
      rules: rules.map(({ id, why }) => ({ id, why })),
      decisions: decisions.map(({ comment, ...decision }) => ({ ...decision, comment })),
    })),
    what: 'a request for approval',
    lost: 'its call must then be asked for again',
  })
}
