import { isDeepStrictEqual } from 'node:util'
import { isJsonObject, member, stringMember, type Json, type JsonObject } from '../../call/json.ts'
import { evaluateCall, readCall, type Evaluation } from './call-file.ts'
import type { PolicyCoverage } from './coverage.ts'
import { readDocuments, readPolicy } from './document.ts'
import type { PolicyFile } from './load.ts'
import { compilePolicy } from './policy-set.ts'
import { didYouMean, nearestName, quoted, type Place, type Problem } from './problem.ts'
import type { PolicyTool } from './rule-index.ts'

/** Parts of a decision that a case may expect; what it leaves out is not compared. */
const EXPECTATIONS = ['effect', 'reason', 'rules', 'observed', 'errors'] as const

/** One call of a golden file and what came of it. */
export interface GoldenCase extends Place {
  readonly title: string
  readonly passed: boolean
  readonly got: Evaluation
  readonly expected: JsonObject
}

export interface GoldenResult {
  readonly cases: readonly GoldenCase[]
  readonly problems: readonly Problem[]
}

/**
 * Runs a golden file: a policy, then after each `---` one case `{ title, call, expect }`, or `{ tools: [...] }` with
 * the definitions that conditions are checked against. Without a policy of its own the given files are the policy.
 * Never throws.
 * @param coverage gathers what the cases show: of the given files, or of the file's own policy where none are given
 */
export function runGolden(
  golden: PolicyFile,
  files: readonly PolicyFile[] = [],
  now: number = Date.now(),
  coverage?: PolicyCoverage,
): GoldenResult {
  const { policy, rest } = readDocuments(golden.file, golden.text)
  const documents = [...files.map(({ file, text }) => readPolicy(file, text)), policy]
  const compiled = compilePolicy(documents, coverage?.watch)
  if ('problems' in compiled) return { cases: [], problems: compiled.problems }
  const { set } = compiled
  coverage?.expect(set.rules.filter(({ source }) => files.length === 0 || source.file !== golden.file))
  const problems: Problem[] = []
  const say = (place: Place, message: string): void => {
    problems.push({ file: golden.file, line: place.line, column: place.column, message })
  }
  const tools = rest.flatMap(({ value, place }) => {
    if (!isJsonObject(value) || member(value, 'tools') === undefined) return []
    const read = toolsOf(member(value, 'tools'))
    if (read === undefined) say(place, '`tools` is not a list of `{ server, name, class, inputSchema }`')
    return read ?? []
  })
  problems.push(...set.recheck(tools).problems)
  const cases = rest.flatMap(({ value, place }): GoldenCase[] => {
    if (isJsonObject(value) && member(value, 'tools') !== undefined) return []
    const expected = isJsonObject(value) ? member(value, 'expect') : undefined
    if (!isJsonObject(value) || !isJsonObject(expected)) {
      say(place, 'case is not usable (expected `call` and `expect`)')
      return []
    }
    const unknown = Object.keys(expected).find((key) => !EXPECTATIONS.some((one) => one === key))
    const call = readCall(member(value, 'call'), tools, set.windowed)
    if (unknown !== undefined) {
      say(place, `\`expect\` has no key ${quoted(unknown)}${didYouMean(nearestName(unknown, EXPECTATIONS))}`)
    } else if ('message' in call) say(place, call.message)
    else {
      const got = evaluateCall(set, call.call, now)
      coverage?.decided(set.rules, [...got.rules, ...got.observed])
      const title = stringMember(value, 'title') ?? `case at line ${place.line}`
      return [{ ...place, title, passed: agrees(expected, got), got, expected }]
    }
    return []
  })
  if (cases.length === 0 && problems.length === 0)
    say({ line: 1, column: 1 }, 'no cases (expected `call` and `expect` after `---`)')
  return { cases, problems }
}

function agrees(expected: JsonObject, got: Evaluation): boolean {
  return EXPECTATIONS.every((key) => {
    const wanted = member(expected, key)
    if (wanted === undefined) return true
    // Of errors the rules are compared: messages are for people.
    const actual = key === 'errors' ? got.errors.map((error) => error.rule) : got[key]
    return isDeepStrictEqual(wanted, actual)
  })
}

function toolsOf(value: Json | undefined): PolicyTool[] | undefined {
  if (!Array.isArray(value)) return undefined
  const tools = value.map((item: Json) => {
    const server = isJsonObject(item) ? stringMember(item, 'server') : undefined
    const name = isJsonObject(item) ? stringMember(item, 'name') : undefined
    if (!isJsonObject(item) || server === undefined || name === undefined) return undefined
    const words = ['read', 'write', 'destructive', 'egress', 'memory', 'poll'] as const
    const toolClass = words.find((word) => word === stringMember(item, 'class')) ?? 'write'
    return { server, name, class: toolClass, labels: [], definition: item }
  })
  const known = tools.filter((tool) => tool !== undefined)
  return known.length === tools.length ? known : undefined
}
