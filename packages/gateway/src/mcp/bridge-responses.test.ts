import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InputRequest, InputResponse } from '../call/input.ts'
import type { Json, JsonObject } from '../call/json.ts'
import { verifies } from '../testing/verifies.ts'
import { inputResponsesOf, legacyResponse, readInputResponse, rootsResponse } from './bridge-responses.ts'

const FORM: InputRequest = {
  method: 'elicitation/create',
  params: { mode: 'form', message: 'm', requestedSchema: {} },
}
const VISIT: InputRequest = {
  method: 'elicitation/create',
  params: { mode: 'url', message: 'm', url: 'https://a.example/' },
}
const SAMPLE: InputRequest = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } }
const ROOTS: InputRequest = { method: 'roots/list', params: {} }
const TEXT = { type: 'text', text: 'Paris' }
const SAMPLED = { role: 'assistant', content: TEXT, model: 'm-1', stopReason: 'endTurn' }
const REFUSED: InputResponse = { kind: 'error', code: -1, message: 'user rejected' }

function read(request: InputRequest, result: JsonObject): JsonObject | string {
  const response = readInputResponse(request, { kind: 'result', result })
  if ('problem' in response) return response.problem
  assert.equal(response.kind, 'result')
  return response.kind === 'result' ? response.result : {}
}

test('an answer to a form passes with its content, and without it when the user did not accept', () => {
  verifies('bridge.questions')
  const content = { name: 'Ada', age: 36, sure: true, colours: ['red'] }
  assert.deepEqual(read(FORM, { action: 'accept', content, _meta: {}, extra: 1 }), {
    action: 'accept',
    content,
  })
  assert.deepEqual(read(FORM, { action: 'accept' }), { action: 'accept' })
  for (const action of ['decline', 'cancel']) assert.deepEqual(read(FORM, { action, content }), { action })
  assert.deepEqual(read(VISIT, { action: 'accept', content }), { action: 'accept' })
})

test('an answer that is none to its question is refused', () => {
  for (const action of [undefined, 'ACCEPT', null, 1]) {
    assert.match(
      String(read(FORM, action === undefined ? {} : { action })),
      /neither accepts, declines nor cancels/,
    )
  }
  for (const content of [null, 'x', [], { a: {} }, { a: null }, { a: [1] }] as Json[]) {
    assert.match(String(read(FORM, { action: 'accept', content })), /no flat form/, JSON.stringify(content))
  }
  for (const part of [
    { role: 'system' },
    { content: 'Paris' },
    { content: [{}] },
    { model: 7 },
    { stopReason: null },
  ]) {
    assert.match(
      String(read(SAMPLE, { ...SAMPLED, ...part })),
      /no role, content and model/,
      JSON.stringify(part),
    )
  }
  assert.match(String(read(ROOTS, { roots: [] })), /never asked/)
})

test('an answer to sampling passes in known members, a reason to stop may be missing', () => {
  assert.deepEqual(read(SAMPLE, { ...SAMPLED, _meta: {}, extra: 1 }), SAMPLED)
  const { stopReason: _, ...without } = SAMPLED
  assert.deepEqual(read(SAMPLE, without), without)
  assert.deepEqual(read(SAMPLE, { ...SAMPLED, content: [TEXT, TEXT] }), { ...SAMPLED, content: [TEXT, TEXT] })
})

test('an error of a host passes to a legacy server as it is', () => {
  assert.deepEqual(readInputResponse(SAMPLE, REFUSED), REFUSED)
  assert.deepEqual(legacyResponse(REFUSED, '2024-11-05'), REFUSED)
})

test('a server of before 2025-11-25 gets one part, or an error where there is not one', () => {
  verifies('bridge.questions')
  const answer = (content: Json): InputResponse => ({ kind: 'result', result: { ...SAMPLED, content } })
  assert.deepEqual(legacyResponse(answer([TEXT]), '2025-06-18'), answer(TEXT))
  assert.deepEqual(legacyResponse(answer(TEXT), '2025-06-18'), answer(TEXT))
  assert.deepEqual(legacyResponse(answer([TEXT]), '2025-11-25'), answer([TEXT]))
  for (const content of [[], [TEXT, TEXT]]) {
    const { kind, ...error } = legacyResponse(answer(content), '2025-06-18')
    assert.equal(kind, 'error')
    assert.equal('code' in error && error.code, -32603)
  }
  const form: InputResponse = { kind: 'result', result: { action: 'accept', content: { a: ['x', 'y'] } } }
  assert.deepEqual(legacyResponse(form, '2025-06-18'), form)
})

test('a modern server gets answers by key; a failed elicitation is cancelled, another failure ends the call', () => {
  verifies('bridge.questions')
  const sampled: InputResponse = { kind: 'result', result: SAMPLED }
  assert.deepEqual(
    inputResponsesOf({ a: FORM, b: SAMPLE, c: VISIT }, { a: REFUSED, b: sampled, stray: sampled }),
    {
      inputResponses: { a: { action: 'cancel' }, b: SAMPLED, c: { action: 'cancel' } },
    },
  )
  assert.deepEqual(inputResponsesOf({ b: SAMPLE }, { b: REFUSED }), {
    problem: 'the host did not answer `sampling/createMessage`',
  })
  assert.deepEqual(inputResponsesOf({ b: SAMPLE }, {}), {
    problem: 'the host did not answer `sampling/createMessage`',
  })
  assert.deepEqual(inputResponsesOf({ toString: SAMPLE }, {}), {
    problem: 'the host did not answer `sampling/createMessage`',
  })
  assert.deepEqual(inputResponsesOf({ r: ROOTS }, { r: rootsResponse(['file:///srv/a']) }), {
    inputResponses: { r: { roots: [{ uri: 'file:///srv/a' }] } },
  })
})
