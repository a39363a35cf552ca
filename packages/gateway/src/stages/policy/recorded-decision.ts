import type { Decision } from '../../call/decision.ts'
import type { Json, JsonObject } from '../../call/json.ts'
import type { Conceal } from './recorded-facts.ts'

/** Rule ids of one list that are recorded by name. */
const MAX_RULES_SHOWN = 16
/** Errors that are recorded, and the longest text of one in UTF-16 units. */
const MAX_ERRORS_SHOWN = 8
const MAX_ERROR = 300
/** Facts that are recorded by path. */
const MAX_FACTS_SHOWN = 32

/**
 * A decision and its facts as they fit a record (ARCHITECTURE.md section 4: at most 32 KiB) whatever the policy holds: of
 * more than fit the record has the number and one keyed hash of them all. INVARIANT: no policy makes a record too long,
 * because a call whose record cannot be written may have been sent by then.
 */
export function recordedDecision(
  decision: Decision,
  facts: JsonObject,
  conceal: Conceal,
): { decision: Decision; facts: JsonObject } {
  const { rules, observed, errors } = decision
  const few = rules.length <= MAX_RULES_SHOWN && observed.length <= MAX_RULES_SHOWN && errors.length === 0
  return {
    decision: few
      ? decision
      : {
          ...decision,
          rules: firstOf(rules),
          observed: firstOf(observed),
          errors: [
            ...errors
              .slice(0, MAX_ERRORS_SHOWN)
              .map(({ rule, message }) => ({ rule, message: message.slice(0, MAX_ERROR) })),
            ...(errors.length <= MAX_ERRORS_SHOWN
              ? []
              : [{ rule: more(errors.length - MAX_ERRORS_SHOWN), message: '' }]),
          ],
        },
    facts: firstFacts(facts, conceal),
  }
}

function firstOf(ids: readonly string[]): readonly string[] {
  if (ids.length <= MAX_RULES_SHOWN) return ids
  return [...ids.slice(0, MAX_RULES_SHOWN), more(ids.length - MAX_RULES_SHOWN)]
}

/** In the place of an id; no id begins with a parenthesis. */
const more = (count: number): string => `(${count} more)`

function firstFacts(facts: JsonObject, conceal: Conceal): JsonObject {
  const entries: [string, Json][] = Object.entries(facts)
  if (entries.length <= MAX_FACTS_SHOWN) return facts
  const rest = Object.fromEntries(entries.slice(MAX_FACTS_SHOWN))
  return {
    '(more)': { all: conceal(rest), count: entries.length - MAX_FACTS_SHOWN },
    ...Object.fromEntries(entries.slice(0, MAX_FACTS_SHOWN)),
  }
}
