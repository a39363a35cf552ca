/**
 * What a rule says. Order: deny, defer, what is required, what is changed, allow; only `allow` grants (ARCHITECTURE.md section 3).
 */
export type Effect = 'allow' | 'deny' | 'defer' | 'require_ticket' | 'require_approval' | 'redact'

/** Kinds of data that a rule takes out of a call, beside what the operator's `dlp` does. */
export interface Redaction {
  /** As text/data-class.ts names them. */
  readonly classes: readonly string[]
  readonly in: readonly ('arguments' | 'results')[]
}

/** What the rules that apply to a call require of it together, beside being allowed. */
export interface Requirements {
  readonly ticket: boolean
  /** One list of roles a rule: somebody with one of them must approve the call. Empty: no approval is required. */
  readonly approvers: readonly (readonly string[])[]
}

/** A rule that could not be evaluated. An erroring deny rule applies, an erroring allow rule does not grant. */
export interface RuleError {
  readonly rule: string
  readonly message: string
}

/** The answer of policy, as it stands in the record. */
export interface Decision {
  /** `step_up`: a rule allows it, and others require what nobody has confirmed yet. `defer`: allowed, but not now. */
  readonly effect: 'allow' | 'deny' | 'defer' | 'step_up'
  /** Why: a matched rule, or the default. */
  readonly reason: 'rule' | 'rule_error' | 'no_rule_allows'
  /** Ids of the rules that matched and were enforced, in file order. */
  readonly rules: readonly string[]
  /** Ids of the rules in `mode: observe` that would have matched. */
  readonly observed: readonly string[]
  readonly errors: readonly RuleError[]
}
