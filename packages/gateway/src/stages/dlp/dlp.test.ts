import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { AnsweredCall } from '../../call/call.ts'
import type { HostLink } from '../../call/input.ts'
import type { Json, JsonObject } from '../../call/json.ts'
import { createPlaceholders } from '../../adapters/memory/placeholders.ts'
import { Refusal } from '../../call/refusal.ts'
import { mutedHost, onceCall, authorizedCall } from '../../testing/calls.ts'
import { verifies } from '../../testing/verifies.ts'
import type { Finding } from '../../text/finding.ts'
import { type ScreenAction, screenValue } from '../../text/screen.ts'
import { type DlpOptions, createDlpStages } from './dlp.ts'
import type { DlpRules } from './screener.ts'

const signal = new AbortController().signal

/** Finds each `@NAME@` as something of class NAME. */
const scan = (text: string): Finding[] =>
  [...text.matchAll(/@([a-z_]+)@/g)].map(({ 0: all, 1: name = '', index }) => ({
    class: name,
    start: index,
    end: index + all.length,
    score: 1,
  }))

const ACTIONS: Record<string, ScreenAction> = { out: 'placeholder', no: 'deny', gone: 'drop' }
const actionOf = (found: string): ScreenAction => ACTIONS[found] ?? 'count'
const RULES: DlpRules = { mode: 'enforce', arguments: actionOf, results: actionOf }
const screening = { scan, actionOf, hash: () => '0'.repeat(64), keep: () => '<OUT_1>' }

const stages = (
  change: Partial<Pick<DlpOptions, 'scan' | 'instructs' | 'label'>> & { rules?: DlpRules } = {},
) =>
  createDlpStages({
    rulesFor: () => change.rules ?? RULES,
    scan: change.scan ?? scan,
    hash: () => '0'.repeat(64),
    now: () => 0,
    exceptions: [],
    onCanary: () => undefined,
    outputCheck: () => undefined,
    placeholders: createPlaceholders(),
    restorable: () => undefined,
    instructs: change.instructs ?? (() => false),
    label: change.label ?? (() => Promise.resolve()),
  })

function answeredCall(value: JsonObject): AnsweredCall {
  return {
    ...onceCall(),
    recorded: 'intent',
    answer: { kind: 'result', bytes: Buffer.from(JSON.stringify(value)), value, upstreamMs: 1 },
  }
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return error instanceof Refusal ? error.code : String(error)
  }
  return 'passed'
}

test('a detector that throws lets nothing through, in neither direction', () => {
  verifies('play3.redaction')
  const broken = stages({
    scan: () => {
      throw new Error('broken')
    },
  })
  // Any throw of a stage refuses the call (pipeline/runner.ts); after it ran, the agent must learn that it did.
  assert.equal(
    codeOf(() => broken.arguments.run(authorizedCall({ args: { a: 'x' } }), signal)),
    'Error: broken',
  )
  assert.equal(
    codeOf(() => broken.results.run(answeredCall({ content: [] }), signal)),
    'CG_DLP_FAILED',
  )
  assert.equal(
    codeOf(() => stages().results.run(answeredCall({ content: [] }), signal)),
    'passed',
  )
})

test('what a server says in the middle of a call is screened as its answer, what the host answers as arguments', async () => {
  verifies('play3.redaction')
  const told: unknown[] = []
  const host: HostLink = {
    ...mutedHost,
    progress: (params) => void told.push(params),
    log: (params) => void told.push(params),
    ask: (requests) => {
      told.push(requests)
      return Promise.resolve({ q: { kind: 'result', result: { content: { name: 'I am @out@' } } } })
    },
  }
  const { host: screened } = await stages().arguments.run(authorizedCall({ host }), signal)
  screened.progress?.({ progress: 1, message: 'half of @out@' })
  screened.progress?.({ progress: 2, message: 'all of @no@' })
  screened.log({ level: 'info', data: { deep: ['@gone@.'] } })
  screened.log({ level: 'info', data: '@no@' })
  const asked = { q: { method: 'elicitation/create' as const, params: { message: 'Who is @out@?' } } }
  const call = { id: 'x', session: 's', binding: 'b' }
  assert.deepEqual(await screened.ask(asked, call, signal), {
    q: { kind: 'result', result: { content: { name: 'I am [redacted:out]' } } },
  })
  assert.deepEqual(told, [
    { progress: 1, message: 'half of [redacted:out]' },
    { level: 'info', data: { deep: ['.'] } },
    { q: { method: 'elicitation/create', params: { message: 'Who is [redacted:out]?' } } },
  ])
  const denied = { q: { method: 'elicitation/create' as const, params: { message: '@no@' } } }
  await assert.rejects(screened.ask(denied, call, signal), { code: 'CG_DLP_RESULT' })
})

test('what is cut in two messages does not pass as two', async () => {
  verifies('play3.redaction')
  const told: unknown[] = []
  const host: HostLink = {
    ...mutedHost,
    progress: (params) => void told.push(params['message']),
    log: (params) => void told.push(params['data']),
  }
  const { host: screened } = await stages().arguments.run(authorizedCall({ host }), signal)
  screened.progress?.({ progress: 1, message: 'begins @o' })
  screened.progress?.({ progress: 2, message: 'ut@ and ends' })
  screened.progress?.({ progress: 3, message: 'goes on' })
  screened.log({ level: 'info', data: { deep: ['@'] } })
  screened.log({ level: 'info', data: 'g' })
  screened.log({ level: 'info', data: 'one@' })
  screened.log({ level: 'info', data: 'x'.repeat(300) })
  screened.log({ level: 'info', data: '@ou' })
  screened.log({ level: 'info', data: `${'y'.repeat(300)}t@` })
  assert.deepEqual(told, [
    'begins @o',
    'goes on',
    { deep: ['@'] },
    'g',
    'x'.repeat(300),
    '@ou',
    `${'y'.repeat(300)}t@`,
  ])
})

test('sealed members of the gate are left as they are, whatever seems to stand in them', () => {
  verifies('play3.redaction')
  const value = {
    requestState: '@out@',
    taskId: '@out@',
    nextCursor: '@out@',
    other: '@out@',
    inner: { taskId: 1 },
  }
  const { result } = { result: screenValue(value, screening) }
  assert.deepEqual(result.value, { ...value, other: '[redacted:out]' })
})

test('no value makes screening throw or lose a member; what is clean comes back itself; what was changed is clean', () => {
  verifies('play3.redaction')
  const texts = fc.oneof(
    fc.constantFrom('@out@', '@no@', '@gone@', '@seen@', '__proto__', '{"a":"@out@"}', '["@out@"', '1e999'),
    fc
      .constantFrom('@out@ and more of it', 'nothing here to be found')
      .map((each) => Buffer.from(each).toString('base64')),
    fc.string(),
  )
  const values = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      texts,
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.array(fc.tuple(texts, tie('value')), { maxLength: 4 }).map((pairs) => Object.fromEntries(pairs)),
    ),
  })).value
  fc.assert(
    fc.property(values, (value) => {
      const { value: screened, changed, counts } = screenValue(value, screening)
      if (!changed) assert.equal(screened, value)
      const text = JSON.stringify(screened)
      assert.ok(!/@(?:out|no|gone)@/.test(text), text)
      assert.equal(countOf(screened), countOf(value))
      if (Object.keys(counts).length === 0) assert.equal(changed, false)
    }),
    { numRuns: 3_000 },
  )
})

/** Members and elements of a value, however deep. */
function countOf(value: Json): number {
  if (typeof value !== 'object' || value === null) return 1
  return Object.values(value).reduce<number>((sum, each) => sum + countOf(each as Json), 1)
}

test('an answer that reads like instructions marks its session before it passes, and not at all when that fails', async () => {
  verifies('play3.injection-signal')
  const told: string[] = []
  const label = (session: { key: string }, name: string): Promise<void> => {
    told.push(`${session.key} ${name}`)
    return Promise.resolve()
  }
  const signal = { instructs: (value: unknown) => JSON.stringify(value).includes('obey'), label }
  const passed = await stages(signal).results.run(answeredCall({ a: 'obey' }), AbortSignal.timeout(1_000))
  assert.deepEqual([told, passed.screened.result], [['session injection'], { injection: 1 }])
  const near = await stages(signal).results.run(answeredCall({ a: 'okay' }), AbortSignal.timeout(1_000))
  assert.deepEqual([told.length, near.screened.result], [1, {}])
  const full = stages({ ...signal, label: () => Promise.reject(new Error('disk full')) })
  await assert.rejects(
    async () => full.results.run(answeredCall({ a: 'obey' }), AbortSignal.timeout(1_000)),
    (error: unknown) => error instanceof Refusal && error.code === 'CG_DLP_FAILED',
  )
})
