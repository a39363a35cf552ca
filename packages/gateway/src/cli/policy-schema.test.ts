import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { parse, parseAllDocuments } from 'yaml'
import { compileSchema } from '../json-schema/compile.ts'
import { readDocuments, readPolicy } from '../stages/policy/document.ts'
import { formatProblem } from '../stages/policy/problem.ts'
import { verifies } from '../testing/verifies.ts'
import { policySchema, schemaLine } from './policy-schema.ts'

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))
const files = globSync(
  ['rules/policies/*.yaml', 'examples/*/policy.yaml', 'packages/gateway/src/stages/policy/testdata/*.yaml'],
  { cwd: ROOT },
)
const whole = (when: string): string => `- { rule: r, when: ${when}, decision: deny }`

/** What is broken, as the loader tells it; and the like that is not. */
const BROKEN: readonly (readonly [what: string, policy: string, told: RegExp, nearMiss: string])[] = [
  ['a map', '{ rule: r }', /a policy is a list of rules/, '[]'],
  ['a text for a rule', '- deny', /a rule is a mapping/, whole('{ tool: a.b }')],
  ['an unknown key', '- { rule: r, whenn: {}, decision: deny }', /no key `whenn`/, whole('{ server: a }')],
  ['no id', '- { when: { tool: a.b }, decision: deny }', /`rule` is missing/, whole('{ tool: a.b }')],
  [
    'an id with a blank',
    '- { rule: a b, when: { tool: a.b }, decision: deny }',
    /rule id `a b`/,
    '- { rule: a/b, when: { tool: a.b }, decision: deny }',
  ],
  ['an empty when', whole('{}'), /`when` is empty/, whole('{ cond: "true" }')],
  ['an unknown selector', whole('{ tol: a.b }'), /no key `tol`/, whole('{ tenant: a }')],
  ['an unknown class', whole('{ class: reed }'), /`class` is `reed`/, whole('{ class: [read, "w*"] }')],
  ['no glob', whole('{ tool: [] }'), /`tool` lists 0 globs/, whole('{ tool: [a.b] }')],
  ['a number for a glob', whole('{ server: 7 }'), /`server` is `7`, no glob/, whole('{ server: "7" }')],
  [
    'two targets',
    whole('{ tool: a.b, prompt: a.b }'),
    /never aimed at `tool` and `prompt`/,
    whole('{ prompt: a.b, server: a }'),
  ],
  ['a condition that is no text', whole('{ cond: true }'), /`cond` is `true`/, whole('{ cond: "true" }')],
  [
    'an unknown decision',
    '- { rule: r, when: { tool: a.b }, decision: refuse }',
    /`decision` is `refuse`/,
    '- { rule: r, when: { tool: a.b }, decision: require_ticket }',
  ],
  [
    'an unknown mode',
    '- { rule: r, when: { tool: a.b }, decision: deny, mode: off }',
    /`mode` is `off`/,
    '- { rule: r, when: { tool: a.b }, decision: deny, mode: observe }',
  ],
  [
    'an end that is no date',
    '- { rule: r, when: { tool: a.b }, decision: allow, until: tomorrow }',
    /`until` is `tomorrow`/,
    '- { rule: r, when: { tool: a.b }, decision: allow, until: 2027-01-31 }',
  ],
  [
    'a reason that is too long',
    `- { rule: r, when: { tool: a.b }, decision: deny, why: ${'x'.repeat(501)} }`,
    /`why` is 501 characters long/,
    `- { rule: r, when: { tool: a.b }, decision: deny, why: ${'x'.repeat(500)} }`,
  ],
  [
    'approval by nobody',
    '- { rule: r, when: { tool: a.b }, decision: require_approval }',
    /`approvers` is missing/,
    '- { rule: r, when: { tool: a.b }, decision: require_approval, approvers: [dba] }',
  ],
  [
    'a key of another decision',
    '- { rule: r, when: { tool: a.b }, decision: deny, approvers: [dba] }',
    /`approvers` goes with `decision: require_approval` only/,
    '- { rule: r, when: { tool: a.b }, decision: require_approval, approvers: [dba, ciso] }',
  ],
  [
    'an unknown class of data',
    '- { rule: r, when: { tool: a.b }, decision: redact, classes: [mail] }',
    /`classes` is `mail`/,
    '- { rule: r, when: { tool: a.b }, decision: redact, classes: [email], in: [results] }',
  ],
  [
    'a wait of nothing',
    '- { rule: r, when: { tool: a.b }, decision: defer, retry_after: 0 }',
    /`retry_after` is `0`/,
    '- { rule: r, when: { tool: a.b }, decision: defer, retry_after: 1 }',
  ],
]

/** Ours, and the one that editors are like where code may be generated. */
function validators(t: TestContext): ((value: unknown) => boolean)[] {
  const own = compileSchema(policySchema(), { strict: false })
  const ours = (value: unknown): boolean => own.validate(value) === null
  try {
    return [
      ours,
      new Ajv2020({ strict: true, strictRequired: false, strictTypes: false }).compile(policySchema()),
    ]
  } catch (error) {
    if (!(error instanceof EvalError)) throw error
    t.diagnostic('ajv generates code, which --disallow-code-generation-from-strings forbids')
    return [ours]
  }
}

test('every policy in the repository passes the schema, and the loader', (t) => {
  verifies('play3.policy-schema')
  assert.ok(files.length >= 14, files.join(' '))
  for (const valid of validators(t))
    for (const file of files) {
      const text = readFileSync(join(ROOT, file), 'utf8')
      assert.ok(valid(parseAllDocuments(text)[0]?.toJS()), file)
      assert.deepEqual(readDocuments(file, text).policy.problems.map(formatProblem), [], file)
    }
})

test('what the schema refuses the loader refuses, and both pass the near miss', (t) => {
  verifies('play3.policy-schema')
  const all = validators(t)
  for (const [what, policy, told, nearMiss] of BROKEN) {
    for (const valid of all) {
      assert.equal(valid(parse(policy)), false, what)
      assert.equal(valid(parse(nearMiss)), true, `near miss of ${what}`)
    }
    assert.match(readPolicy('p.yaml', policy).problems.map(formatProblem).join('\n'), told, what)
    assert.deepEqual(readPolicy('p.yaml', nearMiss).problems.map(formatProblem), [], `near miss of ${what}`)
  }
})

test('every key says what it means, and closed words are listed for completion', () => {
  type Node = { description?: string; properties?: Record<string, Node> }
  const rule = (policySchema()['items'] as Node).properties ?? {}
  const keys = { ...rule, ...rule['when']?.properties }
  assert.ok(Object.keys(keys).length >= 17)
  for (const [key, { description }] of Object.entries(keys))
    assert.match(description ?? '', /^(?:[A-Z]|`).{10,}\.$/, key)
  assert.match(
    JSON.stringify(keys['class']),
    /"enum":\["read","write","destructive","egress","memory","poll"\]/,
  )
})

test('packs and new files name the schema where it lies', () => {
  const lined = globSync('rules/policies/*.yaml', { cwd: ROOT }).filter((file) => !file.includes('.golden.'))
  assert.equal(lined.length, 5)
  for (const file of lined) {
    const path = join(ROOT, file)
    const [, named = ''] = /^# yaml-language-server: \$schema=(.+)\n/.exec(readFileSync(path, 'utf8')) ?? []
    assert.ok(existsSync(resolve(dirname(path), named)), file)
    assert.equal(schemaLine(path), `# yaml-language-server: $schema=${named}\n`)
  }
  assert.equal(schemaLine(join(ROOT, 'p.yaml')), '# yaml-language-server: $schema=docs/policy.schema.json\n')
})
