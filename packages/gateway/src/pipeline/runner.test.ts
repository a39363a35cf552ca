import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GrowingCall, Outcome } from '../call/call.ts'
import { Refusal } from '../call/refusal.ts'
import type { Records } from '../stages/record/records.ts'
import { createRecords } from '../stages/record/records.ts'
import { FakeLog, answerOf, authorizedCall, identifiedCall, receivedCall } from '../testing/calls.ts'
import { verifies } from '../testing/verifies.ts'
import { InFlight } from './in-flight.ts'
import type { AnyStage } from './pipeline.ts'
import { RefusalCounter } from './refusal-counter.ts'
import { createRunner, outcomeKind } from './runner.ts'

const NOW = 1_800_000_000_000
const records: Records = createRecords(() => Buffer.alloc(32, 1))

interface Bench {
  readonly log: FakeLog
  readonly settled: [string, Outcome['kind']][]
  readonly inFlight: InFlight
  readonly counted: string[]
  readonly stage: (name: string, run: AnyStage['run'], budgetMs?: number) => AnyStage
  readonly run: (...stages: AnyStage[]) => ReturnType<ReturnType<typeof createRunner>>
}

function bench(
  options: { deadlineMs?: number; clock?: () => number; computedMs?: () => number } = {},
): Bench {
  const log = new FakeLog()
  const settled: [string, Outcome['kind']][] = []
  const counted: string[] = []
  const inFlight = new InFlight(Date.now)
  const refusals = new RefusalCounter(log, Date.now, () => 'id')
  refusals.count = (peer, code) => void counted.push(`${peer} ${code}`)
  return {
    log,
    settled,
    inFlight,
    counted,
    stage: (name, run, budgetMs = 1_000) => ({
      name,
      budgetMs,
      run,
      settle: (_, outcome) => void settled.push([name, outcome.kind]),
    }),
    run: (...stages) =>
      createRunner(stages, {
        inFlight,
        log,
        records,
        refusals,
        now: Date.now,
        ...(options.clock === undefined ? {} : { clock: options.clock }),
        ...(options.computedMs === undefined ? {} : { computedMs: options.computedMs }),
        deadlineMs: () => options.deadlineMs ?? 60_000,
      })(receivedCall({ receivedAt: Date.now() })),
  }
}

const grow = (call: GrowingCall): GrowingCall => ({
  ...call,
  ...identifiedCall({ id: call.id, receivedAt: call.receivedAt }),
})
const answer = (call: GrowingCall): GrowingCall => ({
  ...call,
  ...authorizedCall({ id: call.id }),
  answer: answerOf({ ok: true }),
})

function codeOf(outcome: Outcome): string {
  return outcome.kind === 'answered' ? 'answered' : outcome.refusal.code
}

test('an answered call settles every stage in reverse order, and is recorded before it is answered', async () => {
  verifies('call.outcome-always')
  const { run, stage, settled, log, inFlight } = bench()
  const { outcome } = await run(
    stage('a', grow),
    stage('b', (call) => Promise.resolve(call)),
    stage('c', answer),
  )
  assert.equal(outcome.kind, 'answered')
  assert.deepEqual(settled, [
    ['c', 'answered'],
    ['b', 'answered'],
    ['a', 'answered'],
  ])
  assert.deepEqual(
    log.records.map((record) => record.kind === 'outcome' && record.outcome),
    ['answered'],
  )
  assert.equal(inFlight.size, 0)
})

for (const [name, run, code] of [
  [
    'throws',
    () => {
      throw new Error('boom')
    },
    'CG_STAGE_FAILED',
  ],
  [
    'throws what is no error',
    () => {
      throw 'a text'
    },
    'CG_STAGE_FAILED',
  ],
  ['rejects', () => Promise.reject(new Error('boom')), 'CG_STAGE_FAILED'],
  [
    'refuses',
    () => {
      throw new Refusal('CG_POLICY_DENIED', { internal: 'a rule' })
    },
    'CG_POLICY_DENIED',
  ],
  ['rejects with a refusal', () => Promise.reject(new Refusal('CG_POLICY_DENIED')), 'CG_POLICY_DENIED'],
  ['hangs past its budget', () => new Promise<never>(() => undefined), 'CG_STAGE_BUDGET'],
] as const) {
  test(`a stage that ${name} ends the call with ${code}: those that began settle, those behind it never run`, async () => {
    verifies('call.fail-closed')
    verifies('call.outcome-always')
    const { run: runCall, stage, settled, log } = bench()
    let ran = false
    const { outcome } = await runCall(
      stage('first', grow),
      stage('second', run, 30),
      stage('third', (call) => {
        ran = true
        return answer(call)
      }),
    )
    assert.equal(codeOf(outcome), code)
    assert.equal(ran, false)
    assert.deepEqual(settled, [
      ['second', 'refused'],
      ['first', 'refused'],
    ])
    const [record] = log.records
    assert.ok(log.records.length === 1 && record?.kind === 'outcome' && record.code === code)
  })
}

test('a synchronous stage that took too long is refused after the fact, one in time is not', async () => {
  verifies('call.fail-closed')
  for (const [took, code] of [
    [21, 'CG_STAGE_BUDGET'],
    [20, 'answered'],
  ] as const) {
    let now = 0
    const { run, stage } = bench({ clock: () => now, computedMs: () => now })
    const slow = (call: GrowingCall): GrowingCall => {
      now += took
      return call
    }
    const { outcome } = await run(stage('id', grow), stage('slow', slow, 20), stage('end', answer))
    assert.equal(codeOf(outcome), code)
  }
})

test('a stage that lost its time to other programs of the machine is not refused', async () => {
  let now = 0
  const { run, stage } = bench({ clock: () => now, computedMs: () => 1 })
  const preempted = (call: GrowingCall): GrowingCall => {
    now += 100
    return call
  }
  const { outcome } = await run(stage('id', grow), stage('slow', preempted, 20), stage('end', answer))
  assert.equal(outcome.kind, 'answered')
})

test('a clock that is set while a stage runs refuses nothing', async (t) => {
  const { run, stage } = bench()
  const jump = (call: GrowingCall): GrowingCall => {
    t.mock.method(Date, 'now', () => NOW + 3_600_000_000)
    return call
  }
  const { outcome } = await run(stage('id', grow), stage('jump', jump, 20), stage('end', answer))
  assert.equal(outcome.kind, 'answered')
})

test('a call past its deadline is ended and recorded as failed', async () => {
  verifies('call.fail-closed')
  const { run, stage, log } = bench({ deadlineMs: 50 })
  const { outcome } = await run(
    stage('id', grow),
    stage('long', () => new Promise<never>(() => undefined), 5_000),
  )
  assert.equal(codeOf(outcome), 'CG_CALL_DEADLINE')
  assert.ok(log.records[0]?.kind === 'outcome' && log.records[0].outcome === 'failed')
})

test('a cancelled call settles only the stages that began, and is recorded as cancelled', async () => {
  verifies('call.outcome-always')
  verifies('call.cancel')
  const { run, stage, settled, inFlight, log } = bench()
  const cancelHere = (call: GrowingCall): GrowingCall => {
    const grown = grow(call)
    assert.ok(inFlight.abort(call.id, new Refusal('CG_CALL_CANCELLED')))
    return grown
  }
  const { outcome } = await run(stage('a', cancelHere), stage('never-began', answer))
  assert.equal(codeOf(outcome), 'CG_CALL_CANCELLED')
  assert.deepEqual(settled, [['a', 'cancelled']])
  assert.ok(log.records[0]?.kind === 'outcome' && log.records[0].outcome === 'cancelled')
})

test('a stage that fails to settle keeps neither the others from it nor the call from its record', async (t) => {
  verifies('call.outcome-always')
  t.mock.method(process, 'emitWarning', () => undefined)
  const { run, stage, settled, log } = bench()
  const bad: AnyStage = {
    name: 'bad',
    budgetMs: 1_000,
    run: (call) => call,
    settle: () => {
      throw new Error('no')
    },
  }
  const { outcome } = await run(stage('a', grow), bad, stage('c', answer))
  assert.equal(outcome.kind, 'answered')
  assert.deepEqual(
    settled.map(([name]) => name),
    ['c', 'a'],
  )
  assert.equal(log.records.length, 1)
})

test('a call whose outcome cannot be recorded is not answered, and one that ran says so', async () => {
  verifies('call.outcome-always')
  for (const ran of [true, false]) {
    const { run, stage, log } = bench()
    log.fails = true
    const last = ran
      ? answer
      : (): never => {
          throw new Refusal('CG_POLICY_DENIED')
        }
    const { outcome } = await run(stage('id', grow), stage('last', last))
    assert.equal(codeOf(outcome), 'CG_EVIDENCE_UNAVAILABLE')
    assert.equal(/was sent/.test((outcome.kind !== 'answered' && outcome.refusal.publicText) || ''), ran)
  }
})

test('a refusal before anyone is known is counted and neither waits for the log nor fills it', async () => {
  const { run, stage, log, counted } = bench()
  log.fails = true
  const { outcome } = await run(
    stage('identity', () => {
      throw new Refusal('CG_IDENTITY_EXPIRED')
    }),
  )
  assert.equal(codeOf(outcome), 'CG_IDENTITY_EXPIRED')
  assert.deepEqual([counted, log.records.length], [['127.0.0.1 CG_IDENTITY_EXPIRED'], 0])
})

test('the decision that refused a call stands in its record', async () => {
  const { run, stage, log } = bench()
  const decision = {
    effect: 'deny',
    reason: 'rule',
    rules: ['no'],
    observed: ['watched'],
    errors: [],
  } as const
  await run(
    stage('id', grow),
    stage('policy', () => {
      throw new Refusal('CG_POLICY_DENIED', {
        judgement: { decision, facts: { 'args.n': 1 }, policy: 'digest' },
      })
    }),
  )
  const [record] = log.records
  assert.ok(record?.kind === 'outcome')
  assert.deepEqual(
    [record.decision?.rules, record.decision?.observed, record.policy],
    [['no'], ['watched'], 'digest'],
  )
})

test('a list of stages without an answer at its end is a fault of ours, and refuses', async () => {
  const { run, stage } = bench()
  assert.equal(codeOf((await run(stage('id', grow))).outcome), 'CG_STAGE_FAILED')
})

test('every way to end has its kind', () => {
  assert.equal(outcomeKind('CG_CALL_CANCELLED'), 'cancelled')
  assert.equal(outcomeKind('CG_UPSTREAM_UNKNOWN_FATE'), 'unknown')
  assert.equal(outcomeKind('CG_UPSTREAM_BUSY'), 'failed')
  assert.equal(outcomeKind('CG_CALL_DEADLINE'), 'failed')
  assert.equal(outcomeKind('CG_POLICY_DENIED'), 'refused')
})
