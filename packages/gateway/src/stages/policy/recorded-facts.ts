import { isJsonObject, type Json, type JsonObject } from '../../call/json.ts'
import type { FoundUrls } from '../../net/find-urls.ts'
import type { Entry } from './rule-index.ts'
import type { RuleMode } from './document.ts'
import type { WindowedFact } from './windowed-fact.ts'

/** Makes of a value what may be recorded of it: on the wire `{ mac }`, a keyed hash of its JSON. */
export type Conceal = (value: Json) => Json

/** Most URLs whose facts are recorded one by one; of more, the record holds their count and one hash. */
const MAX_URLS_SHOWN = 8

/** Totals of windows from here on are hidden. */
const MAX_TOTAL_SHOWN = 100_000_000

/** Verdicts of our own about a URL: they hold nothing of it. */
const PLAIN_URL_FACTS = new Set(['is_link_local', 'is_private'])

/** A rule that was evaluated, and its mode for this call. */
export type AskedEntry = Pick<Entry, 'condition'> & { readonly mode: RuleMode }

/**
 * Every fact that the evaluated rules read, by path. What comes from the caller's arguments is unscreened, so it stands
 * there as a keyed hash: an operator can test a value that he knows, nobody can read one (ARCHITECTURE.md section 2).
 */
export function recordedFacts(
  asked: readonly AskedEntry[],
  facts: JsonObject,
  found: FoundUrls | undefined,
  conceal: Conceal,
  total: (fact: WindowedFact, mode: RuleMode) => number = () => 0,
): JsonObject {
  const recorded: Record<string, Json> = {}
  for (const { mode, condition } of asked) {
    if (condition === undefined) continue
    for (const { name, root, members } of condition.paths) {
      if (Object.hasOwn(recorded, name)) continue
      if (root === 'url') recorded[name] = urlFact(members[0], found, conceal)
      else {
        const value = at(facts[root] ?? null, members)
        recorded[name] = root === 'args' ? hidden(value, conceal) : value
      }
    }
    for (const fact of condition.windowed) recorded[fact.name] ??= shownTotal(total(fact, mode), conceal)
  }
  // In canonical order (RFC 8785), which makes the leaf of the record cheap to write.
  const names = Object.keys(recorded)
  return names.length < 2
    ? recorded
    : Object.fromEntries(names.sort().map((name) => [name, recorded[name] ?? null]))
}

/** One element a URL, in the order of the arguments. */
function urlFact(name: string | undefined, found: FoundUrls | undefined, conceal: Conceal): Json {
  const values: Json[] = (found?.urls ?? []).map((url) =>
    name === undefined ? { ...url } : at({ ...url }, [name]),
  )
  if (values.length > MAX_URLS_SHOWN) return { all: conceal(values), count: values.length }
  return name !== undefined && PLAIN_URL_FACTS.has(name)
    ? values
    : values.map((value) => hidden(value, conceal))
}

/** A number of many digits may be an account or a card that somebody adds up. */
function shownTotal(total: number, conceal: Conceal): Json {
  if (total === Infinity) return 'unbounded'
  return total < MAX_TOTAL_SHOWN ? total : conceal(total)
}

/** Null says only that there is nothing. */
function hidden(value: Json, conceal: Conceal): Json {
  return value === null ? null : conceal(value)
}

function at(from: Json, path: readonly string[]): Json {
  let value = from
  for (const name of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, name)) return null
    value = value[name] ?? null
  }
  return value
}
