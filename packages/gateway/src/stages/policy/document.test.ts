import assert from 'node:assert/strict'
import test from 'node:test'
import { verifies } from '../../testing/verifies.ts'
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

test('what is wrong is said with file, line, column, expectation and the nearest name', () => {
  verifies('play3.typed')
  const table: [string, string][] = [
    [
      OK.replace('rule: r', 'rul: r'),
      '1:5 a rule has no key `rul` (expected `rule`, `when`, `decision`, `approvers`, `classes`, `in`, `retry_after`, `mode`, `owner`, `why`, `until`); did you mean `rule`',
    ],
    [OK.replace('tool', 'tol'), '1:22 `when` has no key `tol`'],
    [
      OK.replace('deny', 'dney'),
      '1:47 `decision` is `dney` (expected `allow`, `deny`, `defer`, `require_ticket`, `require_approval`, `redact`); did you mean `deny`',
    ],
    [OK.replace('deny', 'redact'), '1:3 `classes` is missing (expected a list of `email`, `phone`'],
    [
      OK.replace('deny', 'redact, classes: [emial]'),
      '1:65 `classes` is `emial` (expected `email`, `phone`, `credit_card`, `iban`',
    ],
    [
      OK.replace('deny', 'redact, classes: [email], in: []'),
      '1:77 `in` is not usable (expected a list of `arguments`',
    ],
    [OK.replace('deny', 'deny, in: [results]'), '1:57 `in` goes with `decision: redact` only'],
    [
      OK.replace('deny', 'defer, retry_after: 0'),
      '1:67 `retry_after` is not usable (expected a whole number of seconds',
    ],
    [OK.replace('deny', 'defer, retry_after: 86401'), '1:67 `retry_after` is not usable'],
    [OK.replace('deny', 'allow, retry_after: 5'), '1:67 `retry_after` goes with `decision: defer` only'],
    [OK.replace('deny', 'route'), '1:47 decision `route` is not built in this version'],
    [
      OK.replace('deny', 'require_approval'),
      '1:3 `approvers` is missing (expected a list of 1 to 16 roles such as `[dba]`)',
    ],
    [
      OK.replace('deny', 'require_approval, approvers: dba'),
      '1:76 `approvers` is not usable (expected a list of 1 to 16 roles',
    ],
    [
      OK.replace('deny', 'require_approval, approvers: [DBA]'),
      '1:76 `approvers` is not usable (expected a list of 1 to 16 roles',
    ],
    [
      OK.replace('deny', 'deny, approvers: [dba]'),
      '1:64 `approvers` goes with `decision: require_approval` only',
    ],
    [
      OK.replace(' }\n', ', mode: observ }\n'),
      '1:59 `mode` is `observ` (expected `enforce`, `observe`); did you mean `observe`',
    ],
    [OK.replace(' }\n', ', until: 2026-02-30 }\n'), '1:60 `until` is `2026-02-30` (expected a date'],
    [OK.replace(' }\n', ', until: soon }\n'), '1:60 `until` is `soon`'],
    [
      OK.replace('tool: "a.b"', 'class: reed'),
      '1:29 `class` is `reed` (expected `read`, `write`, `destructive`, `egress`, `memory`, `poll`); did you mean `read`',
    ],
    [OK.replace('tool: "a.b"', 'method: tools/cal'), '1:30 `method` is `tools/cal`'],
    [OK.replace('tool: "a.b"', ''), '1:20 `when` is empty'],
    [OK.replace('"a.b"', '[]'), '1:28 `tool` lists 0 globs'],
    [OK.replace('"a.b"', '5'), '1:28 `tool` is not a glob'],
    [
      OK.replace('"a.b"', '"a.b", prompt: "a.c"'),
      '1:20 a call is never aimed at `tool` and `prompt` at once',
    ],
    [OK.replace('rule: r,', ''), '1:3 `rule` is missing (expected the id of the rule)'],
    [OK.replace('rule: r,', 'rule: "a b",'), '1:11 rule id `a b` (expected'],
    [OK + OK, '2:3 rule id `r` is taken by p.yaml:1 (expected another id)'],
    ['rule: r', '1:1 a policy is a list of rules (expected `- rule: ID`)'],
    ['', '1:1 a policy is a list of rules'],
    ['- text', '1:3 a rule is a mapping'],
    ['- &a { rule: r, when: { tool: "*" }, decision: deny }\n- *a', '1:6 anchors are refused'],
    ['- { rule: r, rule: s, when: { tool: "*" }, decision: deny }', '1:14 Map keys must be unique'],
    ['- { <<: { rule: r }, when: { tool: "*" }, decision: deny }', '1:5 merge keys are refused'],
    ['- !!js/function "x"', '1:3 Unresolved tag'],
    ['- { rule: r, when: { tool: !!str x }, decision: deny }', '1:34 tags are refused'],
    [`${OK}---\n${OK}`, '2:1 Source contains multiple documents'],
    ['- { rule: r', '1:12 Flow map in block collection'],
  ]
  for (const [yaml, expected] of table) {
    const problems = problemsOf(yaml)
    assert.ok(
      problems.some((problem) => problem.startsWith(`p.yaml:${expected}`)),
      `${yaml}\n  ${expected}\n  ${problems.join('\n  ')}`,
    )
  }
  assert.deepEqual(problemsOf(OK), [])
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
