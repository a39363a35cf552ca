import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeRecord } from '@callgate/evidence'
import type { RecordedCall, ToolClass } from '../../call/call.ts'
import { Refusal } from '../../call/refusal.ts'
import type { EvidenceHealth } from '../../ports/evidence-log.ts'
import { FakeLog, answerOf, onceCall, receivedCall } from '../../testing/calls.ts'
import { verifies } from '../../testing/verifies.ts'
import { createRecordIntent, createRecordStage } from './record.ts'
import { createRecords } from './records.ts'

const NOW = 1_800_000_000_000
const records = createRecords((tenant) => Buffer.alloc(32, tenant))
const signal = new AbortController().signal

async function runWith(log: FakeLog, call = onceCall()): Promise<RecordedCall | string> {
  try {
    return await createRecordStage(
      log,
      createRecordIntent(log, records, () => NOW),
    ).run(call, signal)
  } catch (error) {
    assert.ok(error instanceof Refusal)
    return error.code
  }
}

const CLASSES: readonly ToolClass[] = ['read', 'write', 'destructive', 'egress', 'memory', 'poll']

test('every class but read has its intent durable before anything else happens', async () => {
  verifies('call.intent-first')
  for (const each of CLASSES) {
    const log = new FakeLog()
    const call = await runWith(log, onceCall({ class: each }))
    assert.ok(typeof call === 'object')
    assert.equal(call.recorded, each === 'read' ? 'outcome-only' : 'intent')
    assert.equal(log.records.length, each === 'read' ? 0 : 1)
    if (each !== 'read') assert.equal(log.records[0]?.kind, 'intent')
  }
})

test('after a failed write only reads pass, after a failed append nothing does', async () => {
  verifies('call.intent-first')
  for (const [health, read, write] of [
    ['ok', true, true],
    ['degraded', true, false],
    ['down', false, false],
  ] as const satisfies readonly (readonly [EvidenceHealth, boolean, boolean])[]) {
    const log = new FakeLog()
    log.health = health
    assert.equal(
      typeof (await runWith(log, onceCall({ class: 'read' }))) === 'object',
      read,
      `${health} read`,
    )
    for (const each of CLASSES.filter((name) => name !== 'read')) {
      assert.equal(
        typeof (await runWith(log, onceCall({ class: each }))) === 'object',
        write,
        `${health} ${each}`,
      )
    }
  }
})

test('an intent that cannot be made durable refuses the call', async () => {
  verifies('call.intent-first')
  const log = new FakeLog()
  log.fails = true
  assert.equal(await runWith(log), 'CG_EVIDENCE_UNAVAILABLE')
})

test('no argument, result, token or unscreened name stands in a record', async () => {
  verifies('play7.logging.tokens')
  const args = { text: 'secret-argument', list: [1, 'secret-element'] }
  const call = onceCall({ args, argsBytes: Buffer.from(JSON.stringify(args)) })
  const answer = answerOf({ content: 'secret-result' })
  const written = [
    await records.intent(call, NOW),
    await records.outcome({ ...call, answer }, { kind: 'answered', answer }, NOW),
    await records.outcome(call, { kind: 'refused', refusal: new Refusal('CG_POLICY_DENIED') }, NOW),
    await records.outcome(
      receivedCall({ args, requested: 'secret-name', caller: { ...call.caller, token: 'secret-token' } }),
      { kind: 'refused', refusal: new Refusal('CG_CATALOG_UNKNOWN_TOOL') },
      NOW,
    ),
  ]
  for (const record of written) assert.doesNotMatch(JSON.stringify(record), /secret/)
})

test('the same arguments have one root in a tenant and another in the next', async () => {
  const rootIn = async (tenant: string): Promise<unknown> => {
    const call = onceCall()
    const record = await records.intent({ ...call, principal: { ...call.principal, tenant } }, NOW)
    return record.kind === 'intent' && record.arguments?.root
  }
  assert.equal(await rootIn('a'), await rootIn('a'))
  assert.notEqual(await rootIn('a'), await rootIn('b'))
})

test('a record of the longest names that pass row 0 fits, and so does one with a long story', async () => {
  verifies('call.outcome-always')
  const uri = '\u4e2d'.repeat(4_096)
  const call = onceCall({ target: { server: 'fix', kind: 'resource', name: uri } })
  const refusal = new Refusal('CG_POLICY_DENIED', { internal: '\u4e2d'.repeat(100_000) })
  assert.doesNotThrow(async () =>
    encodeRecord(await records.outcome(call, { kind: 'refused', refusal }, NOW)),
  )
  encodeRecord(await records.outcome(call, { kind: 'refused', refusal }, NOW))
})

test('a result with a number that is none in JavaScript is still recorded', async () => {
  const value = { n: Number.POSITIVE_INFINITY }
  const answer = { kind: 'result' as const, bytes: Buffer.from('{"n":1e400}'), value, upstreamMs: 1 }
  const record = await records.outcome({ ...onceCall(), answer }, { kind: 'answered', answer }, NOW)
  assert.ok(record.kind === 'outcome' && record.result?.bytes === 11 && record.result.scalars === null)
})

test('a resource stands in a record by its scheme and a keyed hash, a prompt by a hash: a host made both up', async () => {
  const stood = async (target: RecordedCall['target'], tenant = 'a') => {
    const call = onceCall({ target })
    const record = await records.outcome(
      { ...call, principal: { ...call.principal, tenant } },
      { kind: 'answered', answer: answerOf({}) },
      NOW,
    )
    return record.kind === 'outcome' ? record.call : assert.fail('no outcome')
  }
  const uri = 'file:///home/ada/078-05-1120.txt'
  const resource = (await stood({ server: 'fs', kind: 'resource', name: uri })).resource ?? ''
  assert.match(resource, /^file:#[0-9a-f]{32}$/)
  assert.equal((await stood({ server: 'fs', kind: 'resource', name: uri })).resource, resource)
  assert.notEqual((await stood({ server: 'fs', kind: 'resource', name: uri }, 'b')).resource, resource)
  assert.match(
    (await stood({ server: 'fs', kind: 'resource', name: 'no scheme 078-05-1120' })).resource ?? '',
    /^#[0-9a-f]{32}$/,
  )
  assert.match(
    (await stood({ server: 'fs', kind: 'prompt', name: 'ada@example.com' })).prompt ?? '',
    /^#[0-9a-f]{32}$/,
  )
  assert.equal((await stood({ server: 'fs', kind: 'tool', name: 'read' })).tool, 'read')
})
