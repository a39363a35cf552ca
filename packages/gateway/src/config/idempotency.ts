import { z } from 'zod'

const MIB = 1_048_576

/** `servers.X.tools.T.idempotency`: what a key means for a tool. */
export const toolIdempotency = z
  .enum(['off', 'accepted', 'required', 'derived'])
  .exactOptional()
  .describe(
    'What an idempotency key means: `off` nothing, `accepted` a call with one runs once, `required` a call without one is refused, `derived` a call without one is known by its session and arguments and runs once in `idempotency.derivedWindowS`. Default `off` for class read and `accepted` for the others.',
  )

/** `idempotency`: what is remembered of calls that run once. */
export const idempotency = z.strictObject({
  ttlS: z
    .int()
    .min(60)
    .max(86_400)
    .default(86_400)
    .describe('Seconds for which a key is remembered after its call has ended.'),
  derivedWindowS: z
    .int()
    .min(1)
    .max(3_600)
    .default(60)
    .describe('The same for a call that is known by its session and arguments.'),
  maxKeys: z
    .int()
    .min(100)
    .max(1_000_000)
    .default(100_000)
    .describe(
      'Keys that are remembered at once; a further one is refused, because forgetting one would let its call run again.',
    ),
  maxKeysPerCaller: z
    .int()
    .min(10)
    .max(1_000_000)
    .default(10_000)
    .describe('Keys of one caller (tenant, actor and subject) of those.'),
  maxBytes: z
    .int()
    .min(0)
    .max(128 * MIB)
    .default(64 * MIB)
    .describe('Bytes of all answers that are kept for repeated calls; the oldest go first.'),
  maxAnswerBytes: z
    .int()
    .min(0)
    .max(47_000)
    .default(32_768)
    .describe('Longest answer that is kept; of a longer one a repeated call is told that it ran.'),
})
