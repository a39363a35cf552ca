import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RecordedCall } from '../../call/call.ts'
import type { Asking, InputRequests, InputResponses } from '../../call/input.ts'
import { Refusal } from '../../call/refusal.ts'
import { onceCall, mutedHost } from '../../testing/calls.ts'
import { verifies } from '../../testing/verifies.ts'
import { askHost } from './ask-host.ts'
import { bindingOf } from './request-state.ts'

const FORM = { mode: 'form', message: 'your name', requestedSchema: { type: 'object', properties: {} } }
const elicitation = (params: object = FORM): InputRequests => ({
  // JSON.parse keeps this key as any other, and so must we.
  ['__proto__']: { method: 'elicitation/create', params: { ...params } },
})

/** A call whose host answers everything with this. */
function callOf(
  answer: (asked: InputRequests, call: Asking) => InputResponses,
  change: Partial<RecordedCall> = {},
): RecordedCall {
  const host = {
    ...mutedHost,
    ask: (asked: InputRequests, call: Asking) => Promise.resolve(answer(asked, call)),
  }
  return { ...onceCall(), host, recorded: 'intent', ...change }
}

const ask = (call: RecordedCall, requests = elicitation()): Promise<InputResponses> =>
  askHost(call, requests, new AbortController().signal)

const accepts = (result: object) => (asked: InputRequests) =>
  Object.fromEntries(
    Object.keys(asked).map((key) => [key, { kind: 'result' as const, result: { ...result } }] as const),
  )

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => 'answered',
    (thrown: unknown) => thrown,
  )
  return error instanceof Refusal ? error.code : String(error)
}

test('a question belongs to its call and session, and its answer is laid beside its key', async () => {
  verifies('bridge.questions')
  const asked: Asking[] = []
  const call = callOf((requests, asking) => {
    asked.push(asking)
    return accepts({ action: 'accept', content: { name: 'Ada' }, more: 1 })(requests)
  })
  const answers = await ask(call)
  assert.deepEqual(asked, [{ id: call.id, session: 'session', binding: bindingOf(call) }])
  assert.deepEqual(Object.entries(answers), [
    ['__proto__', { kind: 'result', result: { action: 'accept', content: { name: 'Ada' } } }],
  ])
})

test('a modern host reads no mode and no elicitation id that its version does not have', async () => {
  const asked: InputRequests[] = []
  const call = callOf(
    (requests) => {
      asked.push(requests)
      return accepts({ action: 'cancel' })(requests)
    },
    { era: 'modern', protocolVersion: '2026-07-28' },
  )
  await ask(
    call,
    elicitation({ mode: 'url', message: 'log in', url: 'https://a.example', elicitationId: 'e' }),
  )
  assert.deepEqual(Object.values(asked[0] ?? {})[0]?.params, {
    mode: 'url',
    message: 'log in',
    url: 'https://a.example',
  })
})

test('what a version of the protocol cannot ask, and what is no answer, ends the call', async () => {
  verifies('bridge.questions')
  const fine = accepts({ action: 'accept' })
  for (const [why, call, code] of [
    ['no elicitation yet', callOf(fine, { protocolVersion: '2025-03-26' }), 'CG_HOST_UNREACHABLE'],
    ['elicitation', callOf(fine, { protocolVersion: '2025-06-18' }), 'answered'],
    ['unanswered', callOf(() => ({})), 'CG_HOST_UNREACHABLE'],
    ['answered beside', callOf(() => ({ other: { kind: 'result', result: {} } })), 'CG_HOST_UNREACHABLE'],
    ['no action', callOf(accepts({ content: {} })), 'CG_HOST_UNREACHABLE'],
    [
      'no flat form',
      callOf(accepts({ action: 'accept', content: { deep: { er: 1 } } })),
      'CG_HOST_UNREACHABLE',
    ],
  ] as const) {
    assert.equal(await codeOf(ask(call)), code, why)
  }
})

test('an error of the host is an answer, and what its link refuses stays refused', async () => {
  const refuses = callOf((asked) =>
    Object.fromEntries(
      Object.keys(asked).map((key) => [key, { kind: 'error' as const, code: -1, message: 'no' }] as const),
    ),
  )
  assert.deepEqual(Object.values(await ask(refuses)), [{ kind: 'error', code: -1, message: 'no' }])
  const silent = callOf(() => {
    throw new Refusal('CG_HOST_SILENT')
  })
  assert.equal(await codeOf(ask(silent)), 'CG_HOST_SILENT')
})
