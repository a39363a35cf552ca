import assert from 'node:assert/strict'
import test from 'node:test'
import { verifies } from '../../testing/verifies.ts'
import { compileCondition } from './cel-compile.ts'
import { branchText, PolicyCoverage, type CoverageReport } from './coverage.ts'
import { factTypes } from './facts.ts'
import { runGolden } from './golden.ts'
import { formatProblem } from './problem.ts'

const POLICY = `- rule: bulk
  when:
    tool: "crm.*"
    cond: "args.count > 1000 && (!ctx.ticket || actor.id == 'x')"
  decision: deny
- rule: rest
  when: { tool: "crm.*" }
  decision: allow
`
const one = (args: string, more = ''): string =>
  `title: "${args}${more}"\ncall: { server: crm, tool: put, arguments: { ${args} }${more} }\nexpect: {}\n`
const TICKET = ', ctx: { ticket: CHG-1 }'

function covered(...cases: string[]): CoverageReport {
  const coverage = new PolicyCoverage()
  const { problems } = runGolden(
    { file: 'golden.yaml', text: cases.join('---\n') },
    [{ file: 'p.yaml', text: POLICY }],
    undefined,
    coverage,
  )
  assert.deepEqual(problems.map(formatProblem), [])
  return coverage.report()
}

const FULL = [
  one('count: 1'),
  one('count: 1001'),
  one('count: 1001', TICKET),
  one('count: 1001', `${TICKET}, actor: { id: x }`),
]

test('cases that show every rule and every operand true and false leave nothing out', () => {
  verifies('play3.policy-coverage')
  assert.deepEqual(covered(...FULL), {
    rules: { total: 2, covered: 2 },
    branches: { total: 10, covered: 10 },
    missing: [],
  })
})

test('each case that is left out leaves out what it alone shows, by line and column', () => {
  verifies('play3.policy-coverage')
  const missing = (skip: number): string[] =>
    covered(...FULL.filter((_, i) => i !== skip)).missing.map(formatProblem)
  assert.deepEqual(missing(0), ['p.yaml:4:12 rule `bulk`: `args.count > 1000` is never false'])
  assert.deepEqual(missing(1), ['p.yaml:4:34 rule `bulk`: `!ctx.ticket` is never true'])
  assert.deepEqual(missing(2), [
    "p.yaml:4:34 rule `bulk`: `!ctx.ticket || actor.id == 'x'` is never false",
    "p.yaml:4:49 rule `bulk`: `actor.id == 'x'` is never false",
  ])
  assert.deepEqual(missing(3), ["p.yaml:4:49 rule `bulk`: `actor.id == 'x'` is never true"])
})

test('a rule that decides no case is told, also when it would have and another was stronger', () => {
  verifies('play3.policy-coverage')
  const { rules, missing } = covered(one('count: 1001'))
  assert.deepEqual(rules, { total: 2, covered: 1 })
  assert.equal(missing.map(formatProblem)[0], 'p.yaml:6:3 rule `rest`: decides no case')
})

test('an operand that fails is neither true nor false', () => {
  const { missing } = covered(one("count: 'many'"))
  const told = missing.map(formatProblem).join('\n')
  assert.match(told, /`args.count > 1000` is never true/)
  assert.match(told, /`args.count > 1000` is never false/)
})

test('a file with a policy of its own is covered by its own cases', () => {
  const coverage = new PolicyCoverage()
  runGolden({ file: 'g.yaml', text: [POLICY, ...FULL].join('---\n') }, [], undefined, coverage)
  assert.deepEqual(coverage.report().rules, { total: 2, covered: 2 })
})

test('branches are the condition, operands of && and || as people count them, and what ?: asks, in macros too', () => {
  const branches = (cond: string): string[] =>
    compileCondition(cond, factTypes()).branches.map((branch) => branchText(cond, branch))
  assert.deepEqual(branches("actor.id == 'a'"), ["actor.id == 'a'"])
  assert.deepEqual(branches('true && false && true'), ['true && false && true', 'true', 'false', 'true'])
  assert.deepEqual(branches('session.calls > 1 ? true : false'), [
    'session.calls > 1 ? true : false',
    'session.calls > 1',
  ])
  assert.deepEqual(branches("actor.grants.exists(g, g == 'a' || g == 'b')"), [
    "actor.grants.exists(g, g == 'a' || g == 'b')",
    "g == 'a'",
    "g == 'b'",
  ])
  assert.deepEqual(branches('!(true || false)'), ['!(true || false)', 'true', 'false'])
})

test('who does not ask for coverage gets the same decisions', () => {
  const golden = { file: 'g.yaml', text: [POLICY, ...FULL].join('---\n') }
  const plain = runGolden(golden).cases.map(({ got }) => [got.effect, got.rules])
  const watched = runGolden(golden, [], undefined, new PolicyCoverage()).cases.map(({ got }) => [
    got.effect,
    got.rules,
  ])
  assert.deepEqual(plain, watched)
  assert.deepEqual(
    plain.map(([effect]) => effect),
    ['allow', 'deny', 'allow', 'deny'],
  )
})
