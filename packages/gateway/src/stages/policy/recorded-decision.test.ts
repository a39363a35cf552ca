import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Decision } from '../../call/decision.ts'
import { recordedDecision } from './recorded-decision.ts'

const conceal = () => ({ mac: 'x'.repeat(64) })
const ids = (count: number) =>
  Array.from({ length: count }, (_, i) => `${String(i).padStart(5, '0')}-${'r'.repeat(122)}`)
const decided = (change: Partial<Decision> = {}): Decision => ({
  effect: 'allow',
  reason: 'rule',
  rules: ['a'],
  observed: [],
  errors: [],
  ...change,
})

test('a decision by a few rules is recorded as it is', () => {
  const decision = decided({ rules: ids(16), observed: ids(16) })
  const facts = { 'actor.id': 'cli', 'args.path': { mac: 'y' } }
  assert.deepEqual(recordedDecision(decision, facts, conceal), { decision, facts })
  const failed = decided({ errors: [{ rule: 'a', message: 'no such member' }] })
  assert.deepEqual(recordedDecision(failed, {}, conceal).decision, failed)
})

test('a decision by ten thousand rules that match, fail and read fits a record, and says how many there were', () => {
  const facts = Object.fromEntries(ids(10_000).map((id) => [id, { mac: 'y'.repeat(64) }]))
  const errors = ids(10_000).map((rule) => ({ rule, message: 'm'.repeat(5_000) }))
  const decision = decided({ rules: ids(10_000), observed: ids(10_000), errors })
  const recorded = recordedDecision(decision, facts, conceal)
  assert.ok(JSON.stringify(recorded).length < 20_000, `${JSON.stringify(recorded).length}`)
  assert.deepEqual(recorded.decision.rules.slice(0, 2), decision.rules.slice(0, 2))
  assert.equal(recorded.decision.rules.at(-1), '(9984 more)')
  assert.equal(recorded.decision.observed.at(-1), '(9984 more)')
  assert.deepEqual(recorded.decision.errors.at(-1), { rule: '(9992 more)', message: '' })
  assert.deepEqual(recorded.facts['(more)'], { all: conceal(), count: 9_968 })
})
