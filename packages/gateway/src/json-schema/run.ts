import type { SchemaLimits } from './limits.ts'
import type { Evaluated } from './evaluated.ts'
import type { Resource } from './resources.ts'

/**
 * One compiled subschema. Answers whether the value satisfies it; a false answer has left keyword and expectation in
 * the run, and each caller on the way out adds its step to the path.
 * `seen` collects which members and items were evaluated; null when nobody asks.
 */
export type Check = (value: unknown, run: Run, seen: Evaluated | null) => boolean

/** State of one validate call, reused by the next: checks themselves are shared and hold no state. */
export interface Run {
  stepsLeft: number
  nesting: number
  readonly maxNesting: number
  keyword: string
  expected: string
  /** From the faulty value outwards, so reversed. Empty whenever no failure is on its way out. */
  readonly path: (string | number)[]
  /** Schema resources entered, outermost first: the dynamic scope of `$dynamicRef`. */
  readonly scope: Resource[]
}

/** Thrown, not returned: a `not` or an `anyOf` above must never take spent steps for a plain mismatch. */
export class BudgetSpent extends Error {
  override readonly name = 'BudgetSpent'
}

const SPENT = new BudgetSpent('fewer validation steps')
const TOO_DEEP = new BudgetSpent('less nesting')

/** A fresh run; `stepsLeft` is set again at each call. */
export function createRun(limits: Pick<SchemaLimits, 'steps' | 'nesting'>): Run {
  return {
    stepsLeft: limits.steps,
    nesting: 0,
    maxNesting: limits.nesting,
    keyword: '',
    expected: '',
    path: [],
    scope: [],
  }
}

/** Takes steps from the budget. @throws BudgetSpent */
export function charge(run: Run, steps: number): void {
  run.stepsLeft -= steps
  if (run.stepsLeft < 0) throw SPENT
}

/** Takes one step and one level; the caller takes the level back. @throws BudgetSpent */
export function descend(run: Run): void {
  if (--run.stepsLeft < 0) throw SPENT
  if (++run.nesting > run.maxNesting) throw TOO_DEEP
}

/** Notes a violation. `expected` is fixed at load and never holds a value of the instance. */
export function fail(run: Run, keyword: string, expected: string): false {
  run.keyword = keyword
  run.expected = expected
  return false
}

/** Adds the step that leads to the faulty value. */
export function failAt(run: Run, step: string | number): false {
  run.path.push(step)
  return false
}

/** A branch failed and its parent goes on: its half-built path must not leak into a later violation. */
export function forget(run: Run): void {
  run.path.length = 0
}
