import { z } from 'zod'
import { APPROVER_ROLE } from '../ports/call-approvals.ts'
import { word } from './forms.ts'

/** `approvals`: who may approve calls that rules with `require_approval` hold back. */
export const approvals = z.strictObject({
  roles: z
    .record(
      word('the name of a role: at most 32 lower-case letters, digits and `-`', APPROVER_ROLE),
      z
        .array(
          z.string().regex(/^cli:[^\s\p{C}]{1,124}$/u, {
            error:
              'is no approver (expected `cli:NAME`, the name given to `callgate approvals approve --as`)',
          }),
        )
        .min(1)
        .max(256),
    )
    .refine((roles) => Object.keys(roles).length <= 64, { error: 'holds more than 64 roles' })
    .describe(
      'Approvers by role, as rules name them in `approvers`. `cli:NAME` decides on the machine of the gate, as the user that the gate runs as.',
    ),
  expiresS: z
    .int()
    .min(60)
    .max(3_600)
    .default(900)
    .describe('Seconds that a request waits, and that an approval can be used from then on.'),
})
