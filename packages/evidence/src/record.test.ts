import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { canonicalize } from './canonical.ts'
import { RecordError, decodeRecord, encodeRecord, recordProblem } from './record.ts'
import type { EvidenceRecord } from './record.ts'

const SEED = Number(process.env['CALLGATE_SEED'] ?? 20_261_122)
const time = '2026-11-22T20:00:00.000Z'
const root = 'a'.repeat(64)

const call = {
  method: 'tools/call',
  server: 'crm',
  tool: 'get',
  class: 'write',
  era: 'modern',
  endpoint: '/mcp',
}
const intent: EvidenceRecord = {
  v: 1,
  kind: 'intent',
  id: '01JD',
  time,
  call,
  actor: { id: 'agent-1', type: 'agent' },
  token: { jti_hash: 'x', iss: 'https://issuer', exp: 1_900_000_000 },
  peer: '127.0.0.1',
  decision: {
    effect: 'allow',
    reason: 'rule',
    rules: ['r'],
    errors: [],
    facts: { 'args.id': { mac: root } },
  },
  arguments: { bytes: 10, scalars: 1, root },
}
const samples: readonly EvidenceRecord[] = [
  intent,
  {
    v: 1,
    kind: 'outcome',
    id: '01JD',
    time,
    call,
    peer: 'p',
    outcome: 'answered',
    ms: 0.5,
    result: { bytes: 1, scalars: null, root },
  },
  { v: 1, kind: 'refusals', id: 'x', time, peer: 'p', code: 'CG_WIRE_SYNTAX', second: 1, count: 3 },
  { v: 1, kind: 'gate', id: 'x', time, event: 'start', detail: { version: '0.1.0' } },
]

test('each kind of record comes back from its leaf', () => {
  for (const record of samples) assert.deepEqual(decodeRecord(encodeRecord(record)), record)
})

test('each missing or malformed member is named; unknown members pass', () => {
  const wrong: [unknown, RegExp][] = [
    [{ ...intent, v: 2 }, /`v`/],
    [{ ...intent, kind: 'other' }, /`kind` \(expected intent, outcome, refusals, gate\)/],
    [{ ...intent, id: '' }, /`id`/],
    [{ ...intent, id: 'a b' }, /`id`/],
    [{ ...intent, time: '2026-11-22T20:00:00Z' }, /`time`/],
    [{ ...intent, time: '2026-13-22T20:00:00.000Z' }, /`time`/],
    [{ ...intent, call: { ...call, era: 1 } }, /`call\.era`/],
    [{ ...intent, call: 'x' }, /`call`/],
    [{ ...intent, arguments: { bytes: -1, scalars: 1, root } }, /`arguments\.bytes`/],
    [{ ...intent, arguments: { bytes: 1, scalars: 1, root: 'A'.repeat(64) } }, /`arguments\.root`/],
    [
      { ...intent, decision: { effect: 'allow', reason: 'rule', rules: [1], errors: [] } },
      /`decision\.rules`/,
    ],
    [{ ...samples[1], outcome: 'maybe' }, /`outcome`/],
    [{ ...samples[1], ms: -1 }, /`ms`/],
    [[intent], /expected a JSON object/],
    [null, /expected a JSON object/],
  ]
  for (const [value, message] of wrong) assert.match(recordProblem(value) ?? 'no problem', message)
  assert.equal(recordProblem({ ...intent, later: { any: 1 }, call: { ...call, more: true } }), undefined)
  assert.match(recordProblem(Object.create({ ...intent })) ?? '', /`kind`|`v`/)
})

test('leaves with duplicate keys, other order, white space, other numbers or bad UTF-8 are refused', () => {
  const leaf = encodeRecord(intent).toString()
  assert.deepEqual(decodeRecord(Buffer.from(leaf)), intent)
  for (const changed of [
    leaf.replace('"v":1', '"v":1,"v":1'),
    leaf.replace('"v":1', '"v":1.0'),
    leaf.replace('{', '{ '),
    `${leaf}\n`,
    leaf.replace('"id":"01JD"', '"id":"\\u00301JD"'),
    JSON.stringify(intent),
    '[]',
    '['.repeat(30_000),
  ]) {
    assert.throws(() => decodeRecord(Buffer.from(changed)), RecordError, changed.slice(0, 80))
  }
  assert.throws(() => decodeRecord(Buffer.concat([Buffer.from(leaf), Buffer.of(0xff)])), RecordError)
  assert.throws(() => decodeRecord(Buffer.alloc(32 * 1024 + 1, ' ')), /32769 bytes/)
})

test('whatever the bytes, decodeRecord gives a record with just these bytes or throws RecordError', () => {
  const leaf = encodeRecord(intent).toString()
  const near = fc
    .tuple(fc.nat(leaf.length), fc.nat(3), fc.string({ maxLength: 4 }))
    .map(([at, cut, text]) => leaf.slice(0, at) + text + leaf.slice(at + cut))
  const json = fc.jsonValue().map((value) => canonicalize(value))
  fc.assert(
    fc.property(fc.oneof(fc.string(), near, json), (text) => {
      try {
        assert.deepEqual(encodeRecord(decodeRecord(Buffer.from(text))), Buffer.from(text))
      } catch (error) {
        assert.ok(error instanceof RecordError, String(error))
      }
    }),
    { seed: SEED, numRuns: 400 },
  )
})
