import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import * as fc from 'fast-check'
import { openIdempotencyStore } from '../../adapters/file/idempotency-store.ts'
import { openKeyRing } from '../../adapters/file/key-ring.ts'
import { rotateSealKeys } from '../../adapters/file/seal-keys.ts'
import type { Answer, GrowingCall, PinnedCall } from '../../call/call.ts'
import { newCallId } from '../../call/id.ts'
import type { JsonObject } from '../../call/json.ts'
import type { ReasonCode } from '../../call/reason-code.ts'
import { Refusal } from '../../call/refusal.ts'
import { InFlight } from '../../pipeline/in-flight.ts'
import type { AnyStage } from '../../pipeline/pipeline.ts'
import { RefusalCounter } from '../../pipeline/refusal-counter.ts'
import { createRunner } from '../../pipeline/runner.ts'
import type { IdempotencyStore } from '../../ports/idempotency-store.ts'
import { FakeLog, answerOf, pinnedCall } from '../../testing/calls.ts'
import { verifies } from '../../testing/verifies.ts'
import { createRecordIntent, createRecordStage } from '../record/record.ts'
import { createRecords } from '../record/records.ts'
import { type IdempotencyOptions, type IdempotencyRule, createIdempotencyStages } from './idempotency.ts'

const root = mkdtempSync(join(tmpdir(), 'callgate-once-'))
after(() => rmSync(root, { recursive: true }))
let folders = 0
const macKey = (tenant: string) => Buffer.alloc(32, tenant)

/** What stands where the server would be. */
type Server = (call: GrowingCall) => Promise<Answer> | Answer

/** Rows 9 to the end over the real store, ring and runner; rows 11 and 12 are the test's. */
async function bench(
  t: TestContext,
  options: Partial<IdempotencyOptions> & { rule?: IdempotencyRule; folder?: string } = {},
) {
  const folder = options.folder ?? join(root, `${folders++}`)
  const clock = { now: 1_800_000_000_000 }
  const now = () => clock.now
  const ring = await openKeyRing(join(folder, 'keys'), { lookMs: 5 })
  const journal = join(folder, 'idempotency.journal')
  const store = await openIdempotencyStore(journal, { now })
  t.after(async () => {
    ring.close()
    await store.close()
  })
  const log = new FakeLog()
  const problems: string[] = []
  const stages = createIdempotencyStages({
    store,
    keys: ring,
    macKey,
    ruleFor: () => options.rule ?? 'accepted',
    ttlS: 3_600,
    derivedS: 60,
    maxAnswerBytes: 32_768,
    onProblem: (problem) => void problems.push(problem),
    ...options,
  })
  const records = createRecords(macKey)
  const state = {
    runs: 0,
    server: ((call) => answerOf({ content: `run for ${call.id}` })) as Server,
    screen: (call: GrowingCall): GrowingCall => call,
    ring,
  }
  const stage = (name: string, run: AnyStage['run']): AnyStage => ({ name, budgetMs: 1_000, run })
  const inFlight = new InFlight()
  async function call(change: Partial<PinnedCall> = {}) {
    const begun = pinnedCall({ id: newCallId(Date.now()), idempotencyKey: 'key-1', ...change })
    const all = [
      stage('first', () => begun),
      stages.begin as unknown as AnyStage,
      createRecordStage(log, createRecordIntent(log, records, now)) as unknown as AnyStage,
      stage('forward', async (grown) => {
        if (typeof grown.once === 'object') return { ...grown, answer: grown.once.answer }
        state.runs++
        return { ...grown, answer: await state.server(grown) }
      }),
      stage('dlp-out', (grown) => state.screen(grown)),
      stages.keep as unknown as AnyStage,
    ]
    const run = createRunner(all, {
      inFlight,
      log,
      records,
      refusals: new RefusalCounter(log, now, () => 'id'),
      now,
      deadlineMs: () => 5_000,
    })
    const { outcome } = await run(begun)
    return outcome.kind === 'answered'
      ? { id: begun.id, text: Buffer.from(outcome.answer.bytes).toString(), answer: outcome.answer }
      : { id: begun.id, code: outcome.refusal.code, refusal: outcome.refusal }
  }
  return { call, log, store, state, folder, journal, inFlight, clock, problems }
}

const codeOf = (ended: { code?: ReasonCode }) => ended.code ?? 'answered'

test('the same key runs once and gets the same answer, whose record names the call that ran', async (t) => {
  verifies('play2.idempotency')
  const { call, state, log } = await bench(t)
  const first = await call()
  const second = await call({
    args: { text: 'x' },
    session: { id: 'other', calls: 1, labels: [], key: 'other' },
  })
  assert.equal(second.text, first.text)
  assert.equal(state.runs, 1)
  const of = (id: string) =>
    log.records.flatMap((each) =>
      each.id === id ? [[each.kind, 'replayed' in each ? each.replayed : undefined]] : [],
    )
  assert.deepEqual(of(first.id), [
    ['intent', undefined],
    ['outcome', undefined],
  ])
  assert.deepEqual(of(second.id), [['outcome', first.id]])
  await call({ idempotencyKey: 'key-2' })
  assert.equal(state.runs, 2)
})

test('without a key, or where keys mean nothing, every call runs', async (t) => {
  const accepted = await bench(t)
  for (let i = 0; i < 3; i++) await accepted.call({ idempotencyKey: undefined })
  assert.equal(accepted.state.runs, 3)
  assert.equal(accepted.store.size, 0)
  const off = await bench(t, { rule: 'off' })
  for (let i = 0; i < 3; i++) await off.call()
  assert.equal(off.state.runs, 3)
  assert.equal(off.store.size, 0)
})

test('the key of another tenant, actor or subject is another key', async (t) => {
  const { call, state } = await bench(t)
  const { principal } = pinnedCall()
  await call()
  await call({ principal: { ...principal, tenant: 'other' } })
  await call({ principal: { ...principal, actor: { id: 'other', type: 'agent' } } })
  await call({ principal: { ...principal, subject: 'other' } })
  assert.equal(state.runs, 4)
  // Client, grants and token are not who somebody is.
  await call({ principal: { ...principal, clientId: 'other', grants: ['x'] } })
  assert.equal(state.runs, 4)
})

test('another server, tool, definition or argument is another payload; the order of members is not', async (t) => {
  verifies('play2.idempotency')
  const { call, state } = await bench(t)
  const args = { a: 1, b: { c: 2, d: [1, 2] } }
  await call({ args })
  const others: readonly Partial<PinnedCall>[] = [
    { args: { ...args, a: 2 } },
    { args: { ...args, b: { c: 2, d: [2, 1] } } },
    { args, target: { server: 'fix', kind: 'tool', name: 'other' } },
    { args, target: { server: 'other', kind: 'tool', name: 'echo' } },
    { args, digest: 'e'.repeat(64) },
  ]
  for (const change of others) {
    const { refusal } = await call(change)
    assert.equal(refusal?.code, 'CG_IDEMPOTENCY_DIFFERS')
    assert.match(refusal?.internal ?? '', /^the key was begun by call [0-9A-Z]{26}$/)
  }
  assert.equal((await call({ args: { b: { d: [1, 2], c: 2 }, a: 1 } })).code, undefined)
  assert.equal(state.runs, 1)
})

test('while the first call runs the second is told so and when to come back; 50 at once run once', async (t) => {
  verifies('play2.idempotency')
  const { call, state } = await bench(t)
  let answer: (answer: Answer) => void = () => undefined
  state.server = () => new Promise((resolve) => (answer = resolve))
  const first = call()
  while (state.runs === 0) await new Promise((resume) => setImmediate(resume))
  const others = await Promise.all(Array.from({ length: 49 }, () => call()))
  for (const { refusal } of others) {
    assert.equal(refusal?.code, 'CG_IDEMPOTENCY_RUNNING')
    assert.equal(refusal?.retryAfterS, 1)
  }
  answer(answerOf({ content: 'once' }))
  assert.equal((await first).text, '{"content":"once"}')
  assert.equal((await call()).text, '{"content":"once"}')
  assert.equal(state.runs, 1)
})

test('a call that did not reach its server frees its key, one that may have does not', async (t) => {
  verifies('play2.idempotency')
  const free: readonly ReasonCode[] = [
    'CG_UPSTREAM_UNAVAILABLE',
    'CG_UPSTREAM_BUSY',
    'CG_UPSTREAM_CONSENT',
    'CG_WIRE_STATE',
    'CG_WIRE_PARAMS',
  ]
  const unknown: readonly ReasonCode[] = [
    'CG_UPSTREAM_UNKNOWN_FATE',
    'CG_UPSTREAM_TIMEOUT',
    'CG_UPSTREAM_PROTOCOL',
    'CG_CALL_CANCELLED',
    'CG_CALL_DEADLINE',
    'CG_HOST_SILENT',
    'CG_WIRE_DRAINING',
    'CG_STAGE_FAILED',
  ]
  const { call, state } = await bench(t)
  for (const code of [...free, ...unknown]) {
    const may = free.includes(code)
    state.server = () => {
      throw code === 'CG_STAGE_FAILED' ? new Error('a fault of ours') : new Refusal(code)
    }
    assert.equal(codeOf(await call({ idempotencyKey: code })), code)
    state.server = () => answerOf({})
    const before = state.runs
    assert.equal(codeOf(await call({ idempotencyKey: code })), may ? 'answered' : 'CG_IDEMPOTENCY_UNKNOWN')
    assert.equal(state.runs - before, may ? 1 : 0, code)
  }
})

test('a refusal before the server is asked frees the key', async (t) => {
  const { call, log, state } = await bench(t)
  log.health = 'degraded'
  assert.equal(codeOf(await call()), 'CG_EVIDENCE_UNAVAILABLE')
  log.health = 'ok'
  assert.equal(codeOf(await call()), 'answered')
  assert.equal(state.runs, 1)
})

test('an answer that was withheld is not kept, and its call does not run again', async (t) => {
  const { call, state } = await bench(t)
  state.screen = () => {
    throw new Refusal('CG_DLP_RESULT')
  }
  assert.equal(codeOf(await call()), 'CG_DLP_RESULT')
  state.screen = (grown) => grown
  assert.equal(codeOf(await call()), 'CG_IDEMPOTENCY_NOT_KEPT')
  assert.equal(state.runs, 1)
})

test('what is kept is what may come back, and it is screened again', async (t) => {
  const { call, state } = await bench(t)
  let screened = 0
  state.screen = (grown) => {
    screened++
    return { ...grown, answer: answerOf({ content: 'clean' }) }
  }
  await call()
  state.screen = (grown) => {
    screened++
    return grown
  }
  assert.equal((await call()).text, '{"content":"clean"}')
  assert.equal(screened, 2)
})

test('a question is no answer: the call is made again with what the user says', async (t) => {
  const { call, state } = await bench(t)
  const questions: readonly Answer[] = [
    answerOf({ resultType: 'input_required', requestState: 's' }),
    { ...answerOf({ code: -32_042, message: 'visit' }), kind: 'error' },
  ]
  for (const question of questions) {
    const idempotencyKey = question.kind
    state.server = () => question
    await call({ idempotencyKey })
    state.server = () => answerOf({ content: 'done' })
    assert.equal((await call({ idempotencyKey })).text, '{"content":"done"}')
    assert.equal((await call({ idempotencyKey })).text, '{"content":"done"}')
  }
  assert.equal(state.runs, 4)
})

test('errors of the server are answers too', async (t) => {
  const { call, state } = await bench(t)
  const value: JsonObject = { code: -32_602, message: 'no' }
  state.server = () => ({ ...answerOf(value), kind: 'error' })
  await call()
  const again = await call()
  assert.equal(again.answer?.kind, 'error')
  assert.deepEqual(again.answer?.value, value)
  assert.equal(state.runs, 1)
})

test('an answer of the longest length is kept, one of a byte more is not', async (t) => {
  verifies('idempotency.bounds')
  for (const [bytes, code] of [
    [200, 'answered'],
    [201, 'CG_IDEMPOTENCY_NOT_KEPT'],
  ] as const) {
    const { call, state } = await bench(t, { maxAnswerBytes: 200 })
    const frame = JSON.stringify({ content: '' }).length
    state.server = () => answerOf({ content: 'x'.repeat(bytes - frame) })
    await call()
    assert.equal(codeOf(await call()), code)
    assert.equal(state.runs, 1)
  }
})

test('a tool that requires a key is not called without one', async (t) => {
  const { call, state } = await bench(t, { rule: 'required' })
  assert.equal(codeOf(await call({ idempotencyKey: undefined })), 'CG_IDEMPOTENCY_MISSING')
  assert.equal(state.runs, 0)
  assert.equal(codeOf(await call()), 'answered')
})

test('a derived key is the same session and arguments within its window, and a given key goes before it', async (t) => {
  const { call, state, clock } = await bench(t, { rule: 'derived' })
  const bare = { idempotencyKey: undefined }
  const { session } = pinnedCall()
  await call(bare)
  assert.equal(codeOf(await call(bare)), 'answered')
  assert.equal(state.runs, 1)
  await call({ ...bare, args: { text: 'y' } })
  await call({ ...bare, session: { ...session, key: 'other' } })
  await call()
  assert.equal(state.runs, 4)
  clock.now += 60_000
  await call(bare)
  assert.equal(state.runs, 5)
  state.server = () => {
    throw new Refusal('CG_UPSTREAM_UNKNOWN_FATE')
  }
  await call({ ...bare, args: { text: 'z' } })
  const { refusal } = await call({ ...bare, args: { text: 'z' } })
  assert.equal(refusal?.code, 'CG_IDEMPOTENCY_UNKNOWN')
  assert.match(refusal?.publicText ?? '', /repeat it after 60 s$/)
})

test('a store that is down refuses what should run once, and lets reads and calls without a key go on', async (t) => {
  const store: IdempotencyStore = {
    begin: () => Promise.reject(new Error('disk full')),
    finish: () => Promise.reject(new Error('disk full')),
  }
  const { call, state } = await bench(t, { store })
  const { refusal } = await call()
  assert.equal(refusal?.code, 'CG_IDEMPOTENCY_STORE')
  assert.equal(refusal?.internal, 'disk full')
  assert.equal(state.runs, 0)
  assert.equal(codeOf(await call({ class: 'read' })), 'answered')
  assert.equal(codeOf(await call({ idempotencyKey: undefined })), 'answered')
})

test(
  'a store that answers too late refuses the call, and the key is free again',
  { timeout: 20_000 },
  async (t) => {
    const real = await bench(t)
    let lateMs = 2_300
    let begun = Promise.resolve()
    const store: IdempotencyStore = {
      begin: (key) => {
        const late = pause(lateMs).then(() => real.store.begin(key))
        begun = late.then(() => undefined)
        return late
      },
      finish: (id, call, ending) => real.store.finish(id, call, ending),
    }
    const { call, state } = await bench(t, { store })
    assert.equal(codeOf(await call()), 'CG_STAGE_BUDGET')
    await begun
    await pause(20)
    lateMs = 0
    assert.equal(codeOf(await call()), 'answered')
    assert.equal(state.runs, 1)
  },
)

test(
  'a store that hangs refuses the call within its budget and holds no key for it',
  { timeout: 10_000 },
  async (t) => {
    let finished = 0
    const store: IdempotencyStore = {
      begin: () => new Promise(() => undefined),
      finish: () => {
        finished++
        return Promise.resolve()
      },
    }
    const { call, state } = await bench(t, { store })
    assert.equal(codeOf(await call()), 'CG_STAGE_BUDGET')
    assert.deepEqual([state.runs, finished], [0, 1])
  },
)

test(
  'an answer whose end cannot be made durable is given all the same, and the operator is told',
  { timeout: 10_000 },
  async (t) => {
    for (const finish of [
      () => Promise.reject(new Error('disk full')),
      () => new Promise<void>(() => undefined),
    ]) {
      const store: IdempotencyStore = { begin: () => Promise.resolve({ state: 'first' }), finish }
      const { call, problems } = await bench(t, { store })
      assert.equal(codeOf(await call()), 'answered')
      assert.equal(problems.length, 1)
      assert.match(problems[0] ?? '', /disk full|not durable after 1000 ms/)
    }
  },
)

test('nothing of key, arguments or answer can be read in the journal', async (t) => {
  const { call, state, journal } = await bench(t)
  state.server = () => answerOf({ content: 'secret-answer' })
  await call({ idempotencyKey: 'secret-key', args: { text: 'secret-argument' } })
  assert.doesNotMatch(readFileSync(journal, 'utf8'), /secret|alice|agent|echo/)
})

test('after a restart the answer is still there; once its seal was revoked its call still does not run', async (t) => {
  const before = await bench(t)
  const { text } = await before.call()
  const after = await bench(t, { folder: before.folder })
  assert.equal((await after.call()).text, text)
  await rotateSealKeys(join(before.folder, 'keys'), Date.now(), true)
  const revoked = await bench(t, { folder: before.folder })
  assert.equal(codeOf(await revoked.call()), 'CG_IDEMPOTENCY_NOT_KEPT')
  assert.equal(after.state.runs + revoked.state.runs, 0)
})

test('resources, prompts and what is done with tasks have no keys', async (t) => {
  const { call, state } = await bench(t, { rule: 'required' })
  for (const change of [
    { method: 'resources/read', target: { server: 'fix', kind: 'resource', name: 'x:y' } },
    { method: 'prompts/get', target: { server: 'fix', kind: 'prompt', name: 'p' } },
    { method: 'tasks/update', target: { server: 'fix', kind: 'tool', name: 'echo' } },
  ] as const)
    assert.equal(codeOf(await call({ ...change, idempotencyKey: undefined })), 'answered')
  assert.equal(state.runs, 3)
})

test('whatever order calls of few keys come and end in, each key takes effect once', async (t) => {
  verifies('play2.idempotency')
  const one = fc.record({
    key: fc.nat({ max: 3 }),
    waits: fc.nat({ max: 4 }),
    fate: fc.constantFrom('done' as const, 'done' as const, 'unsent' as const, 'lost' as const),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(one, { minLength: 2, maxLength: 20 }), async (calls) => {
      const { call, state } = await bench(t)
      const effects = new Map<string, number>()
      const fates = new Map(calls.map((each, i) => [`${i}`, each]))
      state.server = async (grown) => {
        const mark = String(grown.requestId)
        const { waits, fate } = fates.get(mark) ?? assert.fail()
        for (let i = 0; i < waits; i++) await new Promise((resume) => setImmediate(resume))
        if (fate === 'unsent') throw new Refusal('CG_UPSTREAM_UNAVAILABLE')
        const key = grown.idempotencyKey ?? ''
        effects.set(key, (effects.get(key) ?? 0) + 1)
        if (fate === 'lost') throw new Refusal('CG_UPSTREAM_UNKNOWN_FATE')
        return answerOf({ content: key })
      }
      const ended = await Promise.all(
        calls.map(({ key }, i) => call({ idempotencyKey: `k${key}`, requestId: `${i}` })),
      )
      for (const [key, count] of effects) assert.equal(count, 1, key)
      for (const [i, { text }] of ended.entries())
        if (text !== undefined) assert.equal(text, `{"content":"k${calls[i]?.key}"}`)
    }),
    { numRuns: 100 },
  )
})
