import { z } from 'zod'
import { isServerUrl, path, text } from './forms.ts'
import { secret } from './server-access.ts'

/** `policy.bundle`: rules that somebody signed elsewhere. */
const bundle = z.strictObject({
  url: text('an https URL without user, password and fragment; plain http on loopback only', isServerUrl)
    .exactOptional()
    .describe('Where the newest bundle lies. Redirects are not followed.'),
  file: path.exactOptional().describe('The same as a file. Exactly one of `url` and `file`.'),
  token: secret.exactOptional().describe('Bearer token of the gate at `url`, by reference. Default none.'),
  keys: z
    .array(path)
    .min(1)
    .max(8)
    .describe(
      'Public keys (PEM, Ed25519 or P-256) whose signatures count. To change keys, list both until the new one has signed.',
    ),
  refreshS: z.int().min(1).max(3_600).default(60).describe('Seconds between looks.'),
  timeoutMs: z.int().min(100).max(60_000).default(10_000).describe('Milliseconds that one look may take.'),
  maxAgeH: z
    .int()
    .min(1)
    .max(8_760)
    .default(168)
    .describe(
      'Hours since it was signed after which a bundle is too old: so long somebody between you and the gate could hold back newer ones. Sign again before, even when nothing changed.',
    ),
  outage: z
    .strictObject({
      writesS: z
        .int()
        .min(1)
        .max(900)
        .default(900)
        .describe('Seconds without its source after which only class `read` passes.'),
      readsS: z.int().min(1).max(86_400).default(86_400).describe('Seconds after which nothing passes.'),
    })
    .prefault({})
    .describe(
      'How long the last good bundle serves while its source is down or offers what cannot be taken.',
    ),
  whenTooOld: z
    .enum(['deny', 'keep'])
    .default('deny')
    .describe(
      'Beyond these ages calls are denied (CG_POLICY_EXPIRED, CG_POLICY_STALE), or with `keep` decided by the last good bundle; --strict refuses `keep`.',
    ),
})

/** `policy`: what is allowed. */
export const policy = z
  .strictObject({
    files: z
      .array(path)
      .min(1)
      .max(256)
      .default([])
      .describe(
        'Files with policy rules, in order; `pack:NAME` includes a rule pack of the product: `read-only`, `bulk-and-destructive`, `egress`, `memory`, `admin` (docs/policy.md). There is no policy by default.',
      ),
    bundle: bundle
      .exactOptional()
      .describe(
        'A signed bundle of rules, beside `files` or instead of them; see docs/policy-bundles.md. Default: none.',
      ),
  })
  .meta({ title: 'a map with `files`, `bundle` or both' })
