import assert from 'node:assert/strict'
import test from 'node:test'
import { readPolicy } from './document.ts'
import { compilePolicy } from './policy-set.ts'
import { formatProblem } from './problem.ts'
import { problemsOf } from './testing/fixtures.ts'
import { MAX_FILE_LENGTH } from './yaml-source.ts'

const OK = '- { rule: r, when: { tool: "a.b" }, decision: deny }\n'

test('every key of a rule is read', () => {
  const { rules, problems } = readPolicy(
    'p.yaml',
    `- rule: r-1
  when: { tool: [a.b, "c.*"], actor: x }
  decision: allow
  mode: observe
  owner: team
  why: because
  until: 2027-01-31`,
  )
  assert.deepEqual(problems, [])
  const [rule] = rules
  assert.deepEqual(
    [rule?.id, rule?.line, rule?.column, rule?.decision, rule?.mode, rule?.owner, rule?.why],
    ['r-1', 1, 3, 'allow', 'observe', 'team', 'because'],
  )
  assert.deepEqual(rule?.when.tool?.patterns, ['a.b', 'c.*'])
  assert.equal(rule?.until, Date.parse('2027-02-01T00:00:00Z') - 1)
})

test('bombs end as problems: aliases, towers of brackets, size, number of rules', () => {
  const laughs = `- &a [x, x]\n${Array.from({ length: 30 }, (_, i) => `- &b${i} [*a, *a]`).join('\n')}`
  assert.match(problemsOf(laughs).join('\n'), /aliases are refused/)
  assert.ok(problemsOf('['.repeat(50_000)).length > 0)
  assert.match(problemsOf('#'.repeat(MAX_FILE_LENGTH + 1)).join(), /expected at most 1048576/)
  assert.deepEqual(problemsOf(`${'#'.repeat(MAX_FILE_LENGTH - OK.length - 1)}\n${OK}`), [])
  assert.match(problemsOf(`[${'1,'.repeat(10_001)}]`).join(), /rules in one file \(expected at most 10000\)/)
})

test('an id is taken across files too', () => {
  const compiled = compilePolicy([readPolicy('a.yaml', OK), readPolicy('b.yaml', OK)])
  assert.ok('problems' in compiled)
  assert.deepEqual(compiled.problems.map(formatProblem), [
    'b.yaml:1:3 rule id `r` is taken by a.yaml:1 (expected another id)',
  ])
})

/** The three characters of the file that the error about `BAD` points at. */
function place(scalar: string): string {
  const yaml = `- rule: r\n  when:\n    tool: "a.b"\n    cond: ${scalar}\n  decision: deny\n`
  const [problem = ''] = problemsOf(yaml)
  const [, line = '', column = ''] =
    /^p\.yaml:(\d+):(\d+) unknown fact `BAD`/.exec(problem) ?? assert.fail(problem)
  return yaml.split('\n')[Number(line) - 1]?.slice(Number(column) - 1, Number(column) + 2) ?? ''
}

test('a column in a condition points into the file, in every style of YAML scalar', () => {
  for (const scalar of [
    'args.a == 1 && BAD',
    '"args.a == \\"x\\" && BAD"',
    '"args.a == \\"\\x41\\u0041\\U00000041\\" && BAD"',
    "'args.a == ''x'' && BAD'",
    '|\n      args.a == 1 &&\n        BAD && true',
    '>-\n      args.a == 1 &&\n\n      args.b == 1 &&\n      BAD',
    '"args.a == 1 &&\n      args.b == 2 && BAD"',
    '"args.a == 1 && \\\n      BAD"',
    "'args.a == 1 &&\n\n      BAD'",
    'args.a == 1 &&\n      BAD',
  ])
    assert.equal(place(scalar), 'BAD', scalar)
})

function digest(...texts: string[]): string {
  const compiled = compilePolicy(texts.map((text, i) => readPolicy(`${i}.yaml`, text)))
  assert.ok('set' in compiled)
  return compiled.set.digest
}

test('the digest is of the bytes of the files in order', () => {
  const other = OK.replace('rule: r', 'rule: s')
  assert.equal(digest(OK), digest(OK))
  assert.notEqual(digest(OK), digest(`${OK}# a comment\n`))
  assert.notEqual(digest(OK, other), digest(other, OK))
})
