import { dirname, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  CLOSED,
  DECISIONS,
  DIRECTIONS,
  KEYS_OF,
  MAX_APPROVERS,
  MAX_CONDITION_LENGTH,
  MAX_GLOBS,
  MAX_NOTE_LENGTH,
  MAX_RETRY_AFTER_S,
  MAX_RULES,
  MODES,
  RULE_ID,
  SELECTORS,
  TARGETS,
  type Selector,
} from '../stages/policy/vocabulary.ts'
import { APPROVER_ROLE } from '../ports/call-approvals.ts'
import { DATA_CLASSES } from '../text/data-class.ts'
import { MAX_GLOB_LENGTH } from '../stages/policy/glob.ts'

const FILE = fileURLToPath(new URL('../../../../docs/policy.schema.json', import.meta.url))

/** What each selector of `when` looks at, for editors. */
const MEANING: Readonly<Record<Selector, string>> = {
  tool: 'Globs of tools by `<server>.<tool>`, such as `crm.read_*`.',
  server: 'Globs of server ids.',
  class:
    'The class that the operator gave the tool (`servers.X.tools.T.class`). Resources and prompts are `read`.',
  actor: 'Globs of `actor.id`: who acts.',
  tenant: 'Globs of the tenant of the caller.',
  purpose: 'Globs of what the token is for; a token without a purpose is never selected.',
  method: 'What is called, by its name in the protocol.',
  resource: 'Globs of resource URIs.',
  prompt: 'Globs of prompts by `<server>.<prompt>`.',
}

/** JSON Schema (draft 2020-12) of a policy file; docs/policy.schema.json is made from it. Conditions are texts to it. */
export function policySchema(): Readonly<Record<string, unknown>> {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A policy of callgate',
    description:
      'A list of rules. What no rule allows is denied; a rule that denies beats every rule that allows.',
    type: 'array',
    maxItems: MAX_RULES,
    items: ruleSchema(),
  }
}

function ruleSchema(): object {
  return {
    type: 'object',
    additionalProperties: false,
    required: ['rule', 'when', 'decision'],
    allOf: [
      // A key goes with its decision, and a decision may need its key.
      ...Object.entries(KEYS_OF).map(([key, decision]) =>
        either({ not: { required: [key] } }, { properties: { decision: { const: decision } } }),
      ),
      ...(['approvers', 'classes'] as const).map((key) =>
        either({ not: { properties: { decision: { const: KEYS_OF[key] } } } }, { required: [key] }),
      ),
    ],
    properties: {
      rule: {
        type: 'string',
        pattern: RULE_ID.source,
        description: 'Id of the rule, once in a policy; records and `callgate explain` name it.',
      },
      when: whenSchema(),
      decision: {
        enum: DECISIONS,
        description:
          'What becomes of the calls; only `allow` grants. `require_ticket` and `require_approval`: they go on only with a ticket, or once approved. `defer`: not now. `redact`: without some kinds of data.',
      },
      approvers: {
        type: 'array',
        minItems: 1,
        maxItems: MAX_APPROVERS,
        items: { type: 'string', pattern: APPROVER_ROLE.source },
        description:
          'With `require_approval`: roles of `approvals.roles`, of whom one must approve the call.',
      },
      classes: {
        type: 'array',
        minItems: 1,
        items: { enum: DATA_CLASSES },
        description: 'With `redact`: kinds of data that are taken out.',
      },
      in: {
        type: 'array',
        minItems: 1,
        items: { enum: DIRECTIONS },
        description: 'With `redact`: where. Default: both.',
      },
      retry_after: {
        type: 'integer',
        minimum: 1,
        maximum: MAX_RETRY_AFTER_S,
        description: 'With `defer`: seconds after which the call may be made again. Default: 60.',
      },
      mode: {
        enum: MODES,
        default: 'enforce',
        description: '`observe`: on trial, recorded and without effect. Default: `enforce`.',
      },
      owner: note('Who answers for the rule.'),
      why: note('Why the rule is there.'),
      until: {
        type: 'string',
        pattern: '^\\d{4}-\\d\\d-\\d\\d(T\\d\\d:\\d\\d:\\d\\dZ)?$',
        description:
          'The last day of a rule that allows, such as `2027-01-31`, or its last second, `2027-01-31T12:00:00Z`. A rule that denies has no end.',
      },
    },
  }
}

const either = (...anyOf: readonly object[]): object => ({ anyOf })

function whenSchema(): object {
  const selectors = SELECTORS.map((key) => [key, globs(key)] as const)
  return {
    type: 'object',
    description: 'Which calls the rule is about: all of the keys must hold.',
    additionalProperties: false,
    minProperties: 1,
    properties: {
      ...Object.fromEntries(selectors),
      cond: {
        type: 'string',
        minLength: 1,
        maxLength: MAX_CONDITION_LENGTH,
        description:
          'A condition in CEL over the facts of docs/policy.md, such as `args.count > 1000 && !ctx.ticket`.',
      },
    },
    // A call is aimed at one thing.
    allOf: TARGETS.flatMap((one, i) =>
      TARGETS.slice(i + 1).map((other) => ({ not: { required: [one, other] } })),
    ),
  }
}

function globs(key: Selector): object {
  const words = CLOSED[key]
  const text = { type: 'string', minLength: 1, maxLength: MAX_GLOB_LENGTH }
  const one = words === undefined ? text : { anyOf: [{ enum: words }, { ...text, pattern: '[*?]' }] }
  return {
    description: MEANING[key],
    anyOf: [one, { type: 'array', minItems: 1, maxItems: MAX_GLOBS, items: one }],
  }
}

function note(description: string): object {
  return { type: 'string', maxLength: MAX_NOTE_LENGTH, description }
}

/** The line by which editors find the schema of a policy file, from the folder of the file. */
export function schemaLine(policy: string): string {
  return `# yaml-language-server: $schema=${relative(dirname(policy), FILE).replaceAll('\\', '/')}\n`
}
