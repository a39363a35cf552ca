import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../testing/verifies.ts'
import type { PolicyTool } from './rule-index.ts'
import { ALLOW_ALL, ask, BULK, callOf, NOW, PLAYBOOK, policy, problemsOf, tool } from './testing/fixtures.ts'

const AGENT = { actor: { id: 'bot', type: 'agent' as const }, subject: 'ann', tenant: 'acme', grants: [] }
const lists = (yaml: string, tools: readonly PolicyTool[] = [BULK]): boolean =>
  policy(yaml, tools).mayAllow(
    AGENT,
    { kind: 'tool', server: 'crm', name: 'bulk_update', class: 'write' },
    ['pii'],
    NOW,
  )
const rule = (decision: string, when: string, more = ''): string =>
  `- { rule: r-${decision}, when: { ${when} }, decision: ${decision}${more} }\n`

test('a tool is listed exactly when some call of it could be allowed', () => {
  verifies('play3.allow-lists')
  const shown = [
    rule('allow', 'tool: "crm.*"'),
    rule('allow', 'tool: "crm.*", cond: "args.count > 5"'),
    rule('allow', 'tool: "crm.*", cond: "url.is_private"'),
    rule('allow', 'tool: "crm.*", cond: "ctx.ticket != null"'),
    rule('allow', 'tool: "crm.*", cond: "session.calls > 100"'),
    rule('allow', 'tool: "crm.*", purpose: support'),
    rule('allow', 'tool: "crm.*", cond: "actor.type == \'agent\' && \'pii\' in tool.labels"'),
    ALLOW_ALL + rule('deny', 'tool: "crm.*", cond: "args.count > 5"'),
    ALLOW_ALL + rule('deny', 'tool: "crm.*", cond: "actor.type == \'human\'"'),
    ALLOW_ALL + rule('deny', 'tool: "crm.*"', ', mode: observe'),
    ALLOW_ALL + rule('deny', 'tool: "crm.*", purpose: support'),
    ALLOW_ALL + rule('deny', 'tool: "crm.*", actor: other'),
  ]
  const hidden = [
    '[]',
    rule('allow', 'tool: "web.*"'),
    rule('allow', 'tool: "crm.*", actor: other'),
    rule('allow', 'tool: "crm.*", tenant: other'),
    rule('allow', 'tool: "crm.*", class: read'),
    rule('allow', 'tool: "crm.*"', ', mode: observe'),
    rule('allow', 'tool: "crm.*"', ', until: 2026-01-01'),
    rule('allow', 'tool: "crm.*", cond: "actor.type == \'human\'"'),
    rule('allow', 'tool: "crm.*", cond: "args.cnt > 5"'),
    ALLOW_ALL + rule('deny', 'tool: "crm.*"'),
    ALLOW_ALL + rule('deny', 'tool: "crm.*", cond: "actor.type == \'agent\'"'),
    ALLOW_ALL + rule('deny', 'tool: "crm.*", cond: "args.cnt > 5"'),
  ]
  for (const yaml of shown) assert.equal(lists(yaml), true, yaml)
  for (const yaml of hidden) assert.equal(lists(yaml), false, yaml)
})

test('a server of which no tool is known counts as reachable exactly when some tool of it could be allowed', () => {
  verifies('hosts.unavailable-named')
  const knows = (yaml: string): boolean => policy(yaml).mayAllowServer(AGENT, 'crm', 'tool', NOW)
  const known = [
    ALLOW_ALL,
    rule('allow', 'tool: "crm.read"'),
    rule('allow', 'tool: "*.read"'),
    rule('allow', 'tool: "c?m.*"'),
    rule('allow', 'server: crm'),
    rule('allow', 'tool: "*", class: read'),
    rule('allow', 'tool: "*", cond: "args.count > 5"'),
    rule('allow', 'tool: "*", cond: "tool.name == \'read\'"'),
    rule('allow', 'tool: "*", cond: "actor.type == \'agent\'"'),
    ALLOW_ALL + rule('deny', 'tool: "crm.write*"'),
    ALLOW_ALL + rule('deny', 'tool: "crm.*", class: write'),
    ALLOW_ALL + rule('deny', 'server: other'),
    ALLOW_ALL + rule('deny', 'server: crm', ', mode: observe'),
    ALLOW_ALL + rule('deny', 'server: crm, actor: other'),
    ALLOW_ALL + rule('deny', 'tool: "crm.*", cond: "tool.name == \'read\'"'),
    ALLOW_ALL + rule('deny', 'resource: "*"'),
  ]
  const unknown = [
    '[]',
    rule('allow', 'tool: "web.*"'),
    rule('allow', 'tool: "crmx.*"'),
    rule('allow', 'tool: "crm"'),
    rule('allow', 'tool: "?m.read"'),
    rule('allow', 'server: web'),
    rule('allow', 'resource: "*"'),
    rule('allow', 'prompt: "*"'),
    rule('allow', 'server: crm, method: prompts/get'),
    rule('allow', 'tool: "*", actor: other'),
    rule('allow', 'tool: "*", tenant: other'),
    rule('allow', 'tool: "*"', ', mode: observe'),
    rule('allow', 'tool: "*"', ', until: 2026-01-01'),
    rule('allow', 'tool: "*", cond: "actor.type == \'human\'"'),
    ALLOW_ALL + rule('deny', 'server: crm'),
    ALLOW_ALL + rule('deny', 'tool: "crm.*"'),
    ALLOW_ALL + rule('deny', 'tool: "c*"'),
    ALLOW_ALL + rule('deny', 'server: crm, cond: "actor.type == \'agent\'"'),
  ]
  for (const yaml of known) assert.equal(knows(yaml), true, yaml)
  for (const yaml of unknown) assert.equal(knows(yaml), false, yaml)
})

test('of a server something of a kind counts as reachable exactly when some of it could be allowed', () => {
  verifies('play3.allow-lists')
  const kinds = (yaml: string): string =>
    (['tool', 'resource', 'prompt'] as const)
      .filter((kind) => policy(yaml).mayAllowServer(AGENT, 'crm', kind, NOW))
      .join(' ')
  for (const [yaml, expected] of [
    [ALLOW_ALL, 'tool'],
    [rule('allow', 'server: crm'), 'tool resource prompt'],
    [rule('allow', 'class: read'), 'tool resource prompt'],
    [rule('allow', 'class: write'), 'tool'],
    [rule('allow', 'server: web'), ''],
    [rule('allow', 'resource: "note://*"'), 'resource'],
    [rule('allow', 'prompt: "crm.*"'), 'prompt'],
    [rule('allow', 'prompt: "web.*"'), ''],
    [rule('allow', 'method: prompts/get'), 'prompt'],
    [rule('allow', 'server: crm') + rule('deny', 'resource: "note://*"'), 'tool resource prompt'],
    [rule('allow', 'server: crm') + rule('deny', 'prompt: "crm.*"'), 'tool resource'],
    [rule('allow', 'server: crm') + rule('deny', 'class: read'), 'tool'],
    [rule('allow', 'server: crm, cond: "args.count > 1"'), 'tool prompt'],
  ] as const)
    assert.equal(kinds(yaml), expected, yaml)
})

test('what is hidden is always refused', () => {
  const roots = fc.constantFrom(
    '',
    ', cond: "args.count > 1"',
    ', cond: "ctx.ticket == null"',
    ', cond: "actor.type == \'agent\'"',
    ', cond: "session.calls > 2"',
    ', actor: bot',
    ', actor: x',
    ', purpose: p',
    ', cond: "args.cnt == 1"',
  )
  const one = fc.tuple(fc.constantFrom('allow', 'deny'), roots, fc.constantFrom('enforce', 'observe'))
  fc.assert(
    fc.property(
      fc.array(one, { maxLength: 4 }),
      fc.integer({ min: 0, max: 3 }),
      fc.constantFrom(null, 'T'),
      (rules, count, ticket) => {
        const yaml = rules.map(
          ([decision, more, mode], i) =>
            `- { rule: r${i}, when: { tool: "crm.bulk_update"${more} }, decision: ${decision}, mode: ${mode} }`,
        )
        const set = policy(yaml.join('\n') || '[]', [BULK])
        const target = { kind: 'tool' as const, server: 'crm', name: 'bulk_update', class: 'write' as const }
        if (set.mayAllow(AGENT, target, [], NOW)) return
        const call = {
          ...callOf({
            server: 'crm',
            tool: 'bulk_update',
            arguments: { count },
            ctx: { ticket },
            session: { calls: count },
          }),
          caller: AGENT,
        }
        assert.equal(
          set.decide(call, { now: NOW, conceal: (value) => value }).decision.effect,
          'deny',
          yaml.join('\n'),
        )
      },
    ),
    { numRuns: 300 },
  )
})

test('a rule for a tool that is not known yet loads and is checked when the tool is pinned', () => {
  verifies('play3.typed')
  const set = policy(
    `- { rule: d, when: { tool: "crm.bulk_update", cond: "args.cnt > 1" }, decision: deny }\n${ALLOW_ALL}`,
  )
  assert.equal(ask(set, 'crm.bulk_update', { cnt: 1 }).effect, 'allow')
  const { problems } = set.recheck([BULK])
  assert.match(problems[0]?.message ?? '', /unknown member `args.cnt`.*did you mean `args.count`/)
  const broken = ask(set, 'crm.bulk_update', { count: 1 })
  assert.deepEqual([broken.effect, broken.reason, broken.rules], ['deny', 'rule_error', ['d']])
  assert.equal(ask(set, 'crm.other', {}).effect, 'allow')
  const allow = policy('- { rule: a, when: { tool: "crm.*", cond: "args.cnt > 1" }, decision: allow }')
  allow.recheck([BULK])
  assert.equal(ask(allow, 'crm.bulk_update', { cnt: 2 }).reason, 'no_rule_allows')
  allow.recheck([tool('crm', 'bulk_update', { type: 'object', properties: { cnt: { type: 'integer' } } })])
  assert.equal(ask(allow, 'crm.bulk_update', { cnt: 2 }).effect, 'allow')
})

test('a glob rule is checked against every tool that it matches', () => {
  const yaml = '- { rule: d, when: { tool: "crm.*", cond: "args.count > 1" }, decision: deny }'
  assert.deepEqual(problemsOf(yaml, [BULK]), [])
  const [problem = ''] = problemsOf(yaml, [
    BULK,
    tool('crm', 'get', { type: 'object', properties: { id: { type: 'string' } } }),
  ])
  assert.match(
    problem,
    /^p\.yaml:1:49 for tool `crm\.get`: unknown member `args\.count` \(expected `args\.id`\)$/,
  )
})

function check(schema: object, cond: string): string[] {
  const pinned = tool('s', 't', JSON.parse(JSON.stringify(schema)))
  return problemsOf(`- { rule: d, when: { tool: "s.t", cond: "${cond}" }, decision: deny }`, [pinned])
}

const object = (properties: object, more: object = {}): object => ({ type: 'object', properties, ...more })

test('types follow the strict schema: closed and open objects, references, null, unions', () => {
  const good: [object, string][] = [
    [object({ a: { $ref: '#/$defs/a' } }, { $defs: { a: { type: 'integer' } } }), 'args.a > 1'],
    [object({ a: { type: ['integer', 'null'] } }), 'args.a > 1 || args.a == null'],
    [object({ a: { anyOf: [{ type: 'string' }, { type: 'null' }] } }), "args.a == 'x'"],
    [object({ a: { enum: ['x', 'y'] } }), "args.a == 'x'"],
    [object({}, { additionalProperties: { type: 'string' } }), "args.any == 'x'"],
    [object({ a: {} }, { additionalProperties: true }), 'args.b == 1'],
    [object({ a: {} }, { patternProperties: { '^x': {} } }), 'args.xb == 1'],
    [object({ a: {} }, { allOf: [object({ b: {} })] }), 'args.b == 1'],
    [{ type: 'object' }, 'args.b == 1'],
    [object({ a: { $ref: '#/properties/a' } }), 'args.a == 1'],
  ]
  for (const [schema, cond] of good) assert.deepEqual(check(schema, cond), [], JSON.stringify(schema))
  const bad: [object, string][] = [
    [object({ a: { $ref: '#/$defs/a' } }, { $defs: { a: { type: 'integer' } } }), "args.a == 'x'"],
    [object({ a: { anyOf: [{ type: 'string' }, { type: 'null' }] } }), 'args.a == 1'],
    [object({ a: { enum: ['x', 'y'] } }), 'args.a > 1'],
    [object({}, { additionalProperties: { type: 'string' } }), 'args.any == 1'],
    [object({ a: {} }), 'args.b == 1'],
    [object({ a: {} }, { unevaluatedProperties: false, allOf: [] }), 'args.b == 1'],
    [object({ a: { type: 'array', items: { type: 'integer' } } }), "args.a[0] == 'x'"],
  ]
  for (const [schema, cond] of bad) assert.equal(check(schema, cond).length, 1, JSON.stringify(schema))
})

test('hostile schemas cost no more than their bound', () => {
  const bomb: Record<string, object> = { l0: { type: 'string' } }
  for (let i = 1; i < 40; i++)
    bomb[`l${i}`] = {
      type: 'object',
      properties: { a: { $ref: `#/$defs/l${i - 1}` }, b: { $ref: `#/$defs/l${i - 1}` } },
    }
  const schema = JSON.parse(
    JSON.stringify({ type: 'object', properties: { x: { $ref: '#/$defs/l39' } }, $defs: bomb }),
  )
  assert.deepEqual(
    problemsOf('- { rule: d, when: { tool: "s.t", cond: "args.x.a.b != null" }, decision: deny }', [
      tool('s', 't', schema),
    ]),
    [],
  )
  const proto = JSON.parse(
    '{"type":"object","properties":{"__proto__":{"type":"integer"},"constructor":{"type":"integer"}}}',
  )
  assert.deepEqual(
    problemsOf('- { rule: d, when: { tool: "s.t", cond: "args.constructor > 1" }, decision: deny }', [
      tool('s', 't', proto),
    ]),
    [],
  )
})

test('no text is anything but a policy or problems, and no call anything but a decision', () => {
  const fragment = fc.constantFrom(
    '- rule: r',
    '\n',
    '  when: ',
    '{ tool: "s.t" }',
    '{ tool: "s.t", cond: "',
    'args.a',
    ' > ',
    '1',
    ' && ',
    '!',
    'ctx.ticket',
    'url.hostname',
    ' in ',
    '["x"]',
    '.exists(i, ',
    'i',
    ')',
    '(',
    '"',
    "'",
    ' }',
    '\n  decision: deny',
    '\n  decision: allow',
    '.matches("',
    '+',
    '[',
    ']',
    '?',
    ':',
    '|',
    '&',
    '*',
    '\t',
    'é',
    '\\',
  )
  const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)))
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 9, arbitrary: fragment }, { weight: 1, arbitrary: fc.string() }), {
        maxLength: 40,
      }),
      json,
      (parts, a) => {
        const lines = problemsOf(parts.join(''), [BULK])
        for (const line of lines) assert.match(line, /^p\.yaml(:\d+:\d+)? \S/)
        const cond = parts.filter((part) => !/[\n"]/.test(part)).join('')
        const yaml = `- { rule: d, when: { tool: "s.t", cond: ${JSON.stringify(cond)} }, decision: deny }`
        if (problemsOf(yaml).length > 0) return
        const { effect } = ask(policy(yaml), 's.t', { a })
        assert.equal(effect, 'deny')
      },
    ),
    { numRuns: 1_000 },
  )
})

test('the playbook decides alike whatever else the arguments hold', () => {
  const set = policy(PLAYBOOK + ALLOW_ALL, [BULK])
  fc.assert(
    fc.property(fc.integer(), fc.option(fc.string()), fc.jsonValue(), (count, ticket, tier) => {
      const got = ask(set, 'crm.bulk_update', JSON.parse(JSON.stringify({ count, tier })), {
        ctx: { ticket },
      })
      assert.equal(got.effect, count > 1000 && (ticket ?? '') === '' ? 'deny' : 'allow')
    }),
    { numRuns: 300 },
  )
})
