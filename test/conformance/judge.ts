import { isDeepStrictEqual } from 'node:util'
import { type JsonObject, isJsonObject, member } from '../../packages/gateway/src/call/json.ts'
import type { Exception } from './pairings.ts'
import type { Check, SuiteRun } from './suite.ts'

/** What came of one scenario. */
export interface Verdict {
  readonly scenario: string
  /** Whether the revision counts it. */
  readonly scored: boolean
  readonly passed: boolean
  /** What is wrong, one line each; what an exception allows is not among them. */
  readonly problems: readonly string[]
  /** Reasons of the exceptions that were needed. */
  readonly excepted: readonly string[]
}

interface Required {
  readonly scored: readonly string[]
  readonly notScored: readonly string[]
}

interface Problem {
  /** Undefined for what concerns the whole scenario. */
  readonly check: string | undefined
  /** Who says so: the suite, or our comparison with the run without the gate. */
  readonly by: 'suite' | 'us'
  readonly text: string
}

/** How a run through the gate is compared. */
export interface Comparison {
  readonly exceptions: readonly Exception[]
  /** Start of the names in lists that are left out, because each process of the server has its own; default none. */
  readonly ownNames?: string
}

/** Judges a run against a server itself: no failure, no warning, and something that passed. */
export function judgeDirect(run: SuiteRun, required: Required): readonly Verdict[] {
  return judged(required, [], (scenario) => faults(run.scenarios.get(scenario)))
}

/**
 * Judges a run through the gate against the same run without it. The suite's own word is not enough: several scenarios
 * take any text for an answer, also the text of a refusal, and skip what a server does not offer. So whatever passed
 * directly must pass here, with the same content.
 */
export function judgeThrough(
  run: SuiteRun,
  direct: SuiteRun,
  required: Required,
  { exceptions, ownNames }: Comparison,
): readonly Verdict[] {
  return judged(required, exceptions, (scenario) => {
    const here = run.scenarios.get(scenario)
    const problems = faults(here)
    const known = new Set(problems.map(({ check }) => check))
    for (const problem of lost(here ?? [], direct.scenarios.get(scenario) ?? [], ownNames)) {
      if (!known.has(problem.check)) problems.push(problem)
    }
    return problems
  })
}

function judged(
  required: Required,
  exceptions: readonly Exception[],
  problemsOf: (scenario: string) => readonly Problem[],
): readonly Verdict[] {
  return [...required.scored, ...required.notScored].map((scenario) => {
    const found = problemsOf(scenario)
    const allowed = exceptions.filter((exception) => exception.scenario === scenario)
    const covers = ({ checks, allows }: Exception, { check, by }: Problem): boolean =>
      check !== undefined && checks.includes(check) && (allows === 'failure' || by === 'us')
    const problems = [
      ...found.filter((one) => !allowed.some((exception) => covers(exception, one))).map(({ text }) => text),
      ...allowed
        .flatMap(({ checks }) => checks)
        .filter((check) => !found.some((one) => one.check === check))
        .map((check) => `${check}: passes, and is among the exceptions; take it out there`),
    ]
    return {
      scenario,
      scored: required.scored.includes(scenario),
      passed: problems.length === 0,
      problems,
      excepted: allowed.map(({ reason }) => reason),
    }
  })
}

function faults(checks: readonly Check[] | undefined): Problem[] {
  if (checks === undefined) return [{ check: undefined, by: 'suite', text: 'the suite wrote no result' }]
  const bad = checks
    .filter(({ status }) => status === 'FAILURE' || status === 'WARNING')
    .map(({ id, status, message }): Problem => ({
      check: id,
      by: 'suite',
      text: `${id}: ${status}: ${message ?? 'no message'}`,
    }))
  // A dead port still passes the checks about what was sent.
  const passes = checks.some(({ id, status }) => status === 'SUCCESS' && !id.startsWith('wire-'))
  return bad.length === 0 && !passes ? [{ check: undefined, by: 'suite', text: 'nothing passed' }] : bad
}

/** What passed directly and does not here, or says something else. */
function lost(here: readonly Check[], direct: readonly Check[], ownNames: string | undefined): Problem[] {
  const said = (check: Check): JsonObject => saidIn(check.details, ownNames)
  const problems: Problem[] = []
  const left = [...here]
  for (const yardstick of direct) {
    const { id } = yardstick
    if (yardstick.status !== 'SUCCESS') continue
    const index = left.findIndex((check) => check.id === id && check.status === 'SUCCESS')
    const [match] = index < 0 ? [] : left.splice(index, 1)
    if (match === undefined) {
      const statuses = here.filter((check) => check.id === id).map((check) => check.status)
      const now = statuses.length === 0 ? 'absent' : [...new Set(statuses)].join(' and ')
      problems.push({ check: id, by: 'us', text: `${id}: passes directly, ${now} here` })
    } else if (!isDeepStrictEqual(said(match), said(yardstick))) {
      const both = `${JSON.stringify(said(match))}, directly ${JSON.stringify(said(yardstick))}`
      problems.push({ check: id, by: 'us', text: `${id}: other content: ${both}` })
    }
  }
  return problems
}

/** Lists whose order is the gate's own to choose. */
const SETS = ['tools', 'prompts', 'resources']
const CONTENT = ['content', 'messages', 'completion', 'isError']
const SHOWN = ['messages', 'content', 'schema', 'logs', 'progressCount', ...SETS]

/** What of a check's details a gateway may not change. */
function saidIn(details: JsonObject, ownNames: string | undefined): JsonObject {
  const result = member(details, 'result')
  const said = isJsonObject(result) ? pick(result, CONTENT, ownNames) : {}
  // An error and a question have no content: which of the two it is, the suite judges.
  return { ...pick(details, SHOWN, ownNames), ...(Object.keys(said).length === 0 ? {} : { result: said }) }
}

function pick(object: JsonObject, keys: readonly string[], ownNames: string | undefined): JsonObject {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const value = member(object, key)
      if (value === undefined) return []
      if (!SETS.includes(key) || !Array.isArray(value)) return [[key, value]]
      const names = value.map(String).filter((name) => ownNames === undefined || !name.startsWith(ownNames))
      return [[key, names.sort()]]
    }),
  )
}
