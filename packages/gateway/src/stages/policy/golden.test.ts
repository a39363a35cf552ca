import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import test from 'node:test'
import { readCall } from './call-file.ts'
import { runGolden } from './golden.ts'
import { formatProblem } from './problem.ts'
import { PLAYBOOK } from './testing/fixtures.ts'

const folder = new URL('testdata/', import.meta.url)

for (const file of readdirSync(folder)) {
  test(`golden file ${file}: every call comes to what it says`, () => {
    const { cases, problems } = runGolden({ file, text: readFileSync(new URL(file, folder), 'utf8') })
    assert.deepEqual(problems.map(formatProblem), [])
    assert.ok(cases.length > 1)
    for (const one of cases)
      assert.ok(one.passed, `${file}:${one.line} ${one.title}: ${JSON.stringify(one.got)}`)
  })
}

test('a case that comes to something else fails, with its place and what came', () => {
  const text = `${PLAYBOOK}---\ncall: { server: crm, tool: bulk_update, arguments: { count: 1001 } }\nexpect: { effect: allow }\n`
  const { cases } = runGolden({ file: 'g.yaml', text })
  assert.deepEqual(
    cases.map((one) => [one.passed, one.line, one.title, one.got.effect]),
    [[false, 9, 'case at line 9', 'deny']],
  )
})

test('a golden file without a policy is judged by the files given', () => {
  const text =
    'call: { server: crm, tool: bulk_update, arguments: { count: 1001 } }\nexpect: { rules: [deny-bulk-without-ticket] }\n'
  assert.equal(
    runGolden({ file: 'g.yaml', text }, [{ file: 'p.yaml', text: PLAYBOOK }]).cases[0]?.passed,
    true,
  )
  assert.equal(runGolden({ file: 'g.yaml', text }).cases[0]?.passed, false)
})

function problems(rest: string): string {
  return runGolden({ file: 'g.yaml', text: `[]\n---\n${rest}` })
    .problems.map(formatProblem)
    .join()
}

test('what is no case is a problem with its place', () => {
  assert.match(problems('text'), /^g\.yaml:3:1 case is not usable/)
  assert.match(
    problems('call: { server: a, tol: b }\nexpect: {}'),
    /^g\.yaml:3:1 call file has no member `tol` .*did you mean `tool`$/,
  )
  assert.match(problems('call: { server: a, tool: b }\nexpect: { efect: deny }'), /did you mean `effect`$/)
  assert.match(problems('tools: [x]'), /`tools` is not a list/)
  assert.match(runGolden({ file: 'g.yaml', text: '[]' }).problems.map(formatProblem).join(), /no cases/)
})

function message(value: unknown): string {
  const read = readCall(value)
  return 'message' in read ? read.message : 'ok'
}

test('a call file is read strictly', () => {
  assert.equal(message({ server: 'a', tool: 'b' }), 'ok')
  assert.equal(message({ server: 'a', tool: 'b', ctx: { ticket: null }, arguments: {}, actor: {} }), 'ok')
  assert.match(message([]), /^call file is not an object$/)
  assert.match(message({ server: 'a' }), /names no target/)
  assert.match(message({ server: 'a', tool: 'b', prompt: 'c' }), /names no target/)
  assert.match(message({ server: 'a', tool: 'b', arguments: [] }), /`arguments` is not an object/)
  assert.match(message({ server: 'a', tool: 'b', ctx: { tiket: 'x' } }), /did you mean `ticket`$/)
  assert.match(
    message({ server: 'a', tool: 'b', actor: { type: 'robot' } }),
    /`type` is `robot` \(expected `agent`, `human`, `service`\)/,
  )
  assert.match(message({ server: 'a', tool: 'b', labels: [1] }), /`labels` is not a list of texts/)
  assert.match(message(JSON.parse('{"server":"a","tool":"b","__proto__":{}}')), /no member `__proto__`/)
})
