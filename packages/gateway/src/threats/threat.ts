import { z } from 'zod'
import { FRAMEWORK_IDS } from './standards.ts'

/** Steps of an attack in their order: where in it a threat stands. Source: SECURITY.md 3.1. */
export const PHASES = [
  'recon',
  'delivery',
  'execution',
  'persistence',
  'escalation',
  'collection',
  'exfiltration',
  'impact',
] as const

/** What the playbook says that a threat model must hold. Source: playbook Play 1, "Top risks". */
export const TOP_RISKS = {
  'prompt-injection': 'prompt injection',
  'tool-misuse': 'tool misuse',
  'context-poisoning': 'context poisoning',
  'over-scoped-authority': 'over-scoped authority',
  'lateral-movement': 'lateral movement',
  ssrf: 'SSRF by fetch tools',
  'exfil-outputs': 'exfiltration by outputs',
  'exfil-vendors': 'exfiltration to vendors',
  'denial-of-wallet': 'denial of wallet by loops and retries',
} as const

const RISK_IDS = Object.keys(TOP_RISKS) as (keyof typeof TOP_RISKS)[]

/** A word that a form of text is told by; the title is what messages say. */
const form = (title: string, pattern: RegExp) => z.string().regex(pattern, { error: title }).meta({ title })
/** Lines of a file are no lines of the page: whatever white space stands there, one space is read. */
const line = form('a text of 1 to 600 characters', /^\s*\S[\s\S]{0,599}$/).transform((text) =>
  text.trim().replaceAll(/\s+/g, ' '),
)
const name = form('words of small letters and digits joined by `-`', /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/)
const control = form(
  'the id of a control, such as `catalog.pins`',
  /^[a-z][a-z0-9-]*(\.[a-z0-9]+(-[a-z0-9]+)*)+$/,
)
const promise = form(
  'the id of a promise, such as `play5.taint`',
  /^[a-z]+\d*(\.[a-z0-9]+(-[a-z0-9]+)*){1,2}$/,
)
const day = form('a day such as `2027-01-31`', /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/)

const planned = promise.exactOptional()

/** What shows that somebody tries: a reason code in the records, an event of the gate, or what is promised and not built. */
const detection = z.strictObject({
  code: form('a reason code such as `CG_EGRESS_PRIVATE`', /^CG_[A-Z][A-Z0-9_]*$/).exactOptional(),
  event: form('an event of the gate such as `catalog.waiting`', /^[a-z]+\.[a-z-]+$/).exactOptional(),
  planned,
  says: line,
})

/** What a person does then: a command, a key of callgate.yaml, or what is promised and not built. */
const step = z.strictObject({
  command: form('a command such as `callgate enrol revoke`', /^callgate( [a-z][a-z-]*)+$/).exactOptional(),
  key: form(
    'a key of callgate.yaml such as `egress.deny`',
    /^[a-z][A-Za-z]*(\.[A-Za-z]+|\.<[a-z]+>)*$/,
  ).exactOptional(),
  planned,
  does: line,
})

const standards = z.strictObject(
  Object.fromEntries(
    FRAMEWORK_IDS.map((id) => [id, z.array(form(`an id of ${id}`, /^[A-Z][A-Za-z0-9.-]{1,15}$/)).max(12)]),
  ) as Record<(typeof FRAMEWORK_IDS)[number], z.ZodArray<z.ZodString>>,
)

/** One file of rules/threats, as it is written. Names in it are checked one by one by `misfits`. */
export const threatSchema = z.strictObject({
  id: name.describe('Name of the file without `.yaml`.'),
  title: form('a text of 1 to 80 characters', /^\S.{0,79}$/),
  story: line.describe('Two sentences: what the attacker does, and what it costs.'),
  risk: z.enum(RISK_IDS).exactOptional().describe('Which top risk of the playbook it is, where it is one.'),
  phase: z.enum(PHASES),
  chain: z.array(control).min(1).max(8).describe('Controls in the order in which the attack meets them.'),
  controls: z
    .array(control)
    .max(12)
    .default([])
    .describe('Controls that bound the harm and break no attack.'),
  detections: z.array(detection).min(1).max(12),
  response: z.array(step).min(1).max(12),
  tests: z.array(promise).min(1).max(16).describe('Promises whose tests show that the controls hold.'),
  standards,
  owner: line,
  accepted: z
    .strictObject({ risk: line, by: line, until: day })
    .exactOptional()
    .describe('What is left and somebody has accepted, and the last day of that, UTC.'),
})

/** A threat: who does what, what stops it, what shows it, what is done then. */
export type Threat = z.infer<typeof threatSchema>
export type Detection = Threat['detections'][number]
export type Step = Threat['response'][number]
