import { z } from 'zod'
import type { JsonObject } from '../call/json.ts'
import { type EnrolmentFacts, type Enrolments, TooManyEnrolments } from './enrolments.ts'
import { ControlRefused, type ControlVerb } from './server.ts'

/** Names stand in policy, records and on terminals: no control and no hidden character may forge a line there. */
const name = z
  .string()
  .min(1)
  .max(128)
  .refine((text) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(text), 'holds a control or hidden character')

// zod would otherwise probe for code generation, which this process forbids.
z.config({ jitless: true })

const DAY_S = 86_400

const wanted = z.strictObject({
  actor: name,
  type: z.enum(['agent', 'human', 'service']).default('agent'),
  /** Default: the actor, who then acts for itself. */
  subject: name.exactOptional(),
  tenant: name.default('default'),
  scope: z
    .array(
      z
        .string()
        .regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, 'is no grant: 1 to 256 visible signs without quotes')
        .refine((grant) => !grant.includes('*'), 'holds a wildcard; name what it allows'),
    )
    .max(64)
    // A token holds the whole scope, and is at most 8,192 characters long.
    .refine((grants) => grants.join(' ').length <= 2_048, 'is longer than 2048 characters')
    .default([]),
  /** Seconds in which the code can be redeemed. */
  expires_s: z.int().min(1).max(DAY_S).default(600),
  /** Seconds for which the key counts. */
  key_life_s: z
    .int()
    .min(1)
    .max(365 * DAY_S)
    .default(30 * DAY_S),
})

/** Verbs of the control API about enrolments: make a code, list, revoke. */
export function enrolmentVerbs(
  enrolments: Pick<Enrolments, 'create' | 'list' | 'revoke'>,
  publicUrl: string,
): readonly ControlVerb[] {
  return [
    {
      method: 'POST',
      path: /^\/v1\/enrolments$/,
      async run(body) {
        const parsed = wanted.safeParse(body)
        if (!parsed.success) throw new ControlRefused(400, problemsOf(parsed.error))
        const { actor, type, subject = actor, tenant, scope, expires_s, key_life_s } = parsed.data
        const made = await enrolments
          .create({
            actor: { id: actor, type },
            subject,
            tenant,
            scope: [...new Set(scope)],
            codeLifeMs: expires_s * 1_000,
            keyLifeMs: key_life_s * 1_000,
          })
          .catch(refuse)
        const code_expires_at = new Date(made.codeEndsAt).toISOString()
        return {
          status: 201,
          body: { id: made.id, code: made.code, code_expires_at, url: `${publicUrl}/mcp` },
        }
      },
    },
    {
      method: 'GET',
      path: /^\/v1\/enrolments$/,
      run: () => ({ status: 200, body: { enrolments: enrolments.list().map(shown) } }),
    },
    {
      method: 'DELETE',
      path: /^\/v1\/enrolments\/([0-9a-f]{16})$/,
      async run(_, id) {
        const facts = await enrolments.revoke(id).catch(refuse)
        if (facts === undefined) throw new ControlRefused(404, `there is no enrolment \`${id}\``)
        return { status: 200, body: shown(facts) }
      },
    },
  ]
}

function refuse(cause: unknown): never {
  if (cause instanceof TooManyEnrolments) throw new ControlRefused(409, cause.message, { cause })
  throw cause
}

function shown(facts: EnrolmentFacts): JsonObject {
  const { id, state, actor, subject, tenant, scope, createdAt, endsAt, thumbprint } = facts
  return {
    id,
    state,
    actor: actor.id,
    type: actor.type,
    subject,
    tenant,
    scope: [...scope],
    created_at: new Date(createdAt).toISOString(),
    ends_at: new Date(endsAt).toISOString(),
    ...(thumbprint === undefined ? {} : { thumbprint }),
  }
}

function problemsOf(error: z.ZodError): string {
  return error.issues
    .map(({ path, message }) => `\`${path.join('.')}\` ${message}`.replace('`` ', ''))
    .join('; ')
}
