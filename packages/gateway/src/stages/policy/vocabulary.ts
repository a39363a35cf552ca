// The words of policy files and their bounds: what the reader takes, and what editors complete.

/** Most rules of one file. */
export const MAX_RULES = 10_000
/** Most globs of one `when` key. */
export const MAX_GLOBS = 100
/** Longest condition in UTF-16 units. */
export const MAX_CONDITION_LENGTH = 8_192

/** Keys of `when` that select by glob. */
export const SELECTORS = [
  'tool',
  'server',
  'class',
  'actor',
  'tenant',
  'purpose',
  'method',
  'resource',
  'prompt',
] as const
export type Selector = (typeof SELECTORS)[number]

/** Most roles of one rule. */
export const MAX_APPROVERS = 16

/** Keys of a rule. */
export const RULE_KEYS = [
  'rule',
  'when',
  'decision',
  'approvers',
  'classes',
  'in',
  'retry_after',
  'mode',
  'owner',
  'why',
  'until',
] as const
/** Keys of `when`. */
export const WHEN_KEYS = [...SELECTORS, 'cond'] as const
/** What a rule may decide. */
export const DECISIONS = ['allow', 'deny', 'defer', 'require_ticket', 'require_approval', 'redact'] as const
/** Decisions that are promised and not built. */
export const LATER_DECISIONS = new Set(['route'])
/** Keys that say more of one decision, and mean nothing beside another. */
export const KEYS_OF = {
  approvers: 'require_approval',
  classes: 'redact',
  in: 'redact',
  retry_after: 'defer',
} as const
/** Where a rule takes something out. */
export const DIRECTIONS = ['arguments', 'results'] as const
/** Seconds after which a deferred call may be made again, unless its rule says otherwise; and the longest that a rule may say. */
export const RETRY_AFTER_S = 60
export const MAX_RETRY_AFTER_S = 86_400
/** Modes of a rule; the first is the default. */
export const MODES = ['enforce', 'observe'] as const
/** Form of a rule's id. */
export const RULE_ID = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/
/** Selectors of which a rule has at most one. */
export const TARGETS = ['tool', 'resource', 'prompt'] as const
/** Longest `owner` and `why`, in UTF-16 units. */
export const MAX_NOTE_LENGTH = 500
/** Closed vocabularies: a word outside them is a typing error, not a name that may come. */
export const CLOSED: Readonly<Partial<Record<Selector, readonly string[]>>> = {
  class: ['read', 'write', 'destructive', 'egress', 'memory', 'poll'],
  method: ['tools/call', 'resources/read', 'prompts/get'],
}
