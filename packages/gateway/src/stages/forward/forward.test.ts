import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RecordedCall } from '../../call/call.ts'
import type { JsonObject } from '../../call/json.ts'
import type { ReasonCode } from '../../call/reason-code.ts'
import { Refusal } from '../../call/refusal.ts'
import {
  type Upstream,
  UpstreamFailed,
  type UpstreamFault,
  type UpstreamRequest,
} from '../../ports/upstream.ts'
import { answerOf, onceCall } from '../../testing/calls.ts'
import { memoryKeyRing } from '../../testing/key-ring.ts'
import { verifies } from '../../testing/verifies.ts'
import { createForwardStage, type ForwardOptions } from './forward.ts'
import { createRequestStates } from './request-state.ts'
import { createTaskIds } from './task-ids.ts'

const recorded = (change: Partial<RecordedCall> = {}): RecordedCall => ({
  ...onceCall(change),
  recorded: 'intent',
  ...change,
})

function forwardTo(upstream: Upstream, change: Partial<ForwardOptions> = {}) {
  return createForwardStage({
    upstream,
    states: createRequestStates(memoryKeyRing(), () => 1_800_000_000_000),
    taskIds: createTaskIds(memoryKeyRing()),
    declared: (_, host) => host,
    roots: () => undefined,
    logLevel: () => undefined,
    recordIntent: () => Promise.resolve(),
    ...change,
  })
}

function upstreamThat(request: Upstream['request']): Upstream {
  const nobody = (): never => assert.fail('not asked')
  return { request, describe: nobody, listen: nobody, onToolsChanged: nobody, close: nobody }
}

async function codeOf(call: RecordedCall, fault: UpstreamFault, reason?: Refusal): Promise<ReasonCode> {
  const controller = new AbortController()
  const stage = forwardTo(
    upstreamThat(() => {
      if (reason !== undefined) controller.abort(reason)
      return Promise.reject(new UpstreamFailed(fault, 'why'))
    }),
  )
  const error: unknown = await Promise.resolve(stage.run(call, controller.signal)).catch(
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof Refusal)
  return error.code
}

test('what goes upstream is the call and nothing of its caller', async () => {
  verifies('wire.rule-6')
  const asked: Omit<UpstreamRequest, 'host'>[] = []
  const stage = forwardTo(
    upstreamThat(({ host: _host, ...request }) => {
      asked.push(request)
      return Promise.resolve(answerOf({}))
    }),
  )
  const call = recorded({ argsBytes: Buffer.from('{ "text":"x" }'), meta: { 'vendor/kept': 1 } })
  await stage.run(call, new AbortController().signal)
  assert.deepEqual(asked, [
    {
      server: 'fix',
      session: 'session',
      principal: call.principal,
      method: 'tools/call',
      head: { name: 'echo' },
      argsBytes: Buffer.from('{ "text":"x" }'),
      meta: { 'vendor/kept': 1 },
      paramHeaders: undefined,
      retry: undefined,
    },
  ])
  assert.equal(asked[0]?.argsBytes, call.argsBytes, 'the very bytes that were checked')
})

test('a resource is asked for by its URI, and has no arguments', async () => {
  const asked: UpstreamRequest[] = []
  const stage = forwardTo(
    upstreamThat((request) => {
      asked.push(request)
      return Promise.resolve(answerOf({}))
    }),
  )
  const call = recorded({
    method: 'resources/read',
    target: { server: 'fix', kind: 'resource', name: 'note://a' },
  })
  await stage.run(call, new AbortController().signal)
  assert.deepEqual([asked[0]?.head, asked[0]?.argsBytes], [{ uri: 'note://a' }, undefined])
})

// Fault, code for a read, code for anything else: of what was sent and not answered nobody knows the fate.
const FAULTS: readonly (readonly [UpstreamFault, ReasonCode, ReasonCode])[] = [
  ['unavailable', 'CG_UPSTREAM_UNAVAILABLE', 'CG_UPSTREAM_UNAVAILABLE'],
  ['busy', 'CG_UPSTREAM_BUSY', 'CG_UPSTREAM_BUSY'],
  ['timeout', 'CG_UPSTREAM_TIMEOUT', 'CG_UPSTREAM_UNKNOWN_FATE'],
  ['protocol', 'CG_UPSTREAM_PROTOCOL', 'CG_UPSTREAM_UNKNOWN_FATE'],
  ['too_large', 'CG_UPSTREAM_TOO_LARGE', 'CG_UPSTREAM_UNKNOWN_FATE'],
  ['unknown_fate', 'CG_UPSTREAM_UNKNOWN_FATE', 'CG_UPSTREAM_UNKNOWN_FATE'],
  ['cancelled', 'CG_CALL_CANCELLED', 'CG_CALL_CANCELLED'],
]

test('every fault has its code, by what may have happened', async () => {
  for (const [fault, read, write] of FAULTS) {
    assert.equal(await codeOf(recorded({ class: 'read' }), fault), read)
    assert.equal(await codeOf(recorded({ class: 'write' }), fault), write)
  }
})

test('a deadline, a gate that stops and a right that ends say of a write that its fate is unknown', async () => {
  const ended = ['CG_WIRE_DRAINING', 'CG_IDENTITY_REVOKED', 'CG_IDENTITY_ENROLMENT_ENDED'] as const
  for (const code of ['CG_CALL_DEADLINE', ...ended] as const) {
    assert.equal(
      await codeOf(recorded({ class: 'write' }), 'cancelled', new Refusal(code)),
      'CG_UPSTREAM_UNKNOWN_FATE',
    )
  }
  assert.equal(
    await codeOf(recorded({ class: 'read' }), 'cancelled', new Refusal('CG_CALL_DEADLINE')),
    'CG_UPSTREAM_TIMEOUT',
  )
  for (const code of ended)
    assert.equal(await codeOf(recorded({ class: 'read' }), 'cancelled', new Refusal(code)), code)
})

test('what is no fault of a server goes on to the runner, which fails closed', async () => {
  const stage = forwardTo(upstreamThat(() => Promise.reject(new TypeError('ours'))))
  await assert.rejects(Promise.resolve(stage.run(recorded(), new AbortController().signal)), {
    name: 'TypeError',
  })
})

test('a server that asks the host for something breaks the protocol: nothing was declared to it (SECURITY.md 3.1 #21)', async () => {
  const ends = async (kind: 'result' | 'error', value: JsonObject, change: Partial<RecordedCall> = {}) => {
    const stage = forwardTo(upstreamThat(() => Promise.resolve({ ...answerOf(value), kind })))
    const ended: unknown = await Promise.resolve(
      stage.run(recorded(change), new AbortController().signal),
    ).catch((thrown: unknown) => thrown)
    return ended instanceof Refusal ? ended.code : 'answered'
  }
  const asks = { resultType: 'input_required', inputRequests: { a: { method: 'elicitation/create' } } }
  const elicits = {
    code: -32042,
    message: 'log in',
    data: { elicitations: [{ url: 'https://evil.example' }] },
  }
  assert.equal(await ends('result', asks, { class: 'read' }), 'CG_UPSTREAM_PROTOCOL')
  assert.equal(await ends('result', asks, { class: 'write' }), 'CG_UPSTREAM_UNKNOWN_FATE')
  assert.equal(await ends('result', { resultType: 'task' }, { class: 'read' }), 'CG_UPSTREAM_PROTOCOL')
  assert.equal(await ends('error', elicits, { class: 'read' }), 'CG_UPSTREAM_PROTOCOL')
  for (const value of [{ resultType: 'complete' }, { content: [] }]) {
    assert.equal(await ends('result', value), 'answered')
  }
  assert.equal(await ends('error', { ...elicits, code: -32602 }), 'answered')
})
