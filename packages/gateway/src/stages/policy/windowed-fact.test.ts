import assert from 'node:assert/strict'
import test from 'node:test'
import { verifies } from '../../testing/verifies.ts'
import { evaluateCall, readCall } from './call-file.ts'
import { ALLOW_ALL, ask, BULK, policy, problemsOf } from './testing/fixtures.ts'

const SUM = 'session.sum("crm.bulk_update", "args.count", "1h")'
const rule = (cond: string, more = 'tool: "*"') =>
  `- { rule: r, when: { ${more}, cond: '${cond}' }, decision: deny }\n`

test('a sum adds numbers and the lengths of lists; what cannot be added is without bound, so that it denies', () => {
  verifies('play3.windowed')
  const of = (path: string) =>
    policy(rule(`session.sum("crm.bulk_update", "args.${path}", "1h") > 1000`) + ALLOW_ALL)
  for (const [path, args, effect] of [
    ['count', { count: 1000 }, 'allow'],
    ['count', { count: 1001 }, 'deny'],
    ['count', { count: 1000.5 }, 'deny'],
    ['count', {}, 'allow'],
    ['count', { count: null }, 'allow'],
    ['count', { count: 'all' }, 'deny'],
    ['count', { count: -1 }, 'deny'],
    ['count', { count: true }, 'deny'],
    ['ids', { ids: Array.from({ length: 1000 }, () => 'x') }, 'allow'],
    ['ids', { ids: Array.from({ length: 1001 }, () => 'x') }, 'deny'],
    ['filter.rows', { filter: { rows: 1001 } }, 'deny'],
    ['filter.rows', { filter: null }, 'allow'],
    ['filter.rows', { filter: 'x' }, 'deny'],
    ['toString', {}, 'allow'],
  ] as const)
    assert.equal(ask(of(path), 'crm.bulk_update', args).effect, effect, JSON.stringify([path, args]))
})

test('a rule of one tool reads what calls of others added; a file says what that was', () => {
  verifies('play3.windowed')
  const set = policy(rule(`${SUM} > 1000`, 'tool: "web.post"') + ALLOW_ALL)
  assert.equal(ask(set, 'web.post', { count: 5000 }).effect, 'allow', 'arguments of another tool')
  assert.equal(ask(set, 'crm.bulk_update', { count: 5000 }).effect, 'allow', 'the rule says nothing of it')
  assert.deepEqual(
    set.windowed.map(({ fact: { name, windowMs } }) => [name, windowMs]),
    [[SUM, 3_600_000]],
  )
  const file = (total: unknown) => ({ server: 'web', tool: 'post', windows: { [SUM]: total } })
  const effect = (total: number) => {
    const read = readCall(file(total), [], set.windowed)
    return 'call' in read ? evaluateCall(set, read.call).effect : read.message
  }
  assert.deepEqual([effect(1000), effect(1001)], ['allow', 'deny'])
  const wrong = (value: unknown) => {
    const read = readCall(value, [], set.windowed)
    return 'message' in read ? read.message : 'read'
  }
  assert.match(wrong(file(-1)), /is not a number from 0 on/)
  assert.match(
    wrong({ ...file(1), windows: { 'session.sum("crm")': 1 } }),
    /`windows` has no member .* \(expected `session\.sum/,
  )
})

test('tools and sessions are not hidden by what is counted, because no count is known before a call', () => {
  verifies('play3.windowed')
  const set = policy(
    `- { rule: a, when: { tool: "*", cond: 'actor.count("crm.*", "1h") <= 3' }, decision: allow }\n`,
  )
  const caller = { actor: { id: 'a', type: 'agent' }, subject: 's', tenant: 't', grants: [] } as const
  const target = { kind: 'tool', server: 'crm', name: 'x', class: 'write' } as const
  assert.equal(set.mayAllow(caller, target, [], 0), true)
  assert.equal(ask(set, 'crm.x').effect, 'allow')
})

test('a sum that does not fit its tool makes the rule err on every tool that it is about', () => {
  verifies('play3.windowed')
  const yaml = rule('session.sum("crm.*", "args.cnt", "1h") > 1000') + ALLOW_ALL
  assert.equal(problemsOf(yaml, [BULK]).length, 1)
  const refused = ask(policy(yaml, [BULK]), 'web.fetch')
  assert.deepEqual([refused.effect, refused.reason], ['deny', 'rule_error'])
  assert.equal(ask(policy(yaml), 'web.fetch').effect, 'allow')
})

test('64 windowed facts are read, 65 are not, and one that is written twice is one', () => {
  const rules = (count: number) =>
    Array.from(
      { length: count },
      (_, i) =>
        `- { rule: r${i}, when: { tool: "*", cond: 'actor.count("t.x${i}", "1h") > 1' }, decision: deny }\n`,
    ).join('')
  assert.deepEqual(problemsOf(rules(64)), [])
  assert.match(
    problemsOf(rules(65)).join(),
    /more than 64 windowed facts \(this one is `actor\.count\("t\.x64", "1h"\)`\)/,
  )
  const same =
    rules(64) + `- { rule: s, when: { tool: "*", cond: 'actor.count("t.x1","1h") > 2' }, decision: deny }\n`
  assert.deepEqual(problemsOf(same), [])
})
