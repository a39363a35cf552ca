import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { InputRequests } from '../call/input.ts'
import type { Json, JsonObject } from '../call/json.ts'
import { verifies } from '../testing/verifies.ts'
import type { ClientCapability } from './bridge-capabilities.ts'
import {
  MAX_INPUT_KEY_BYTES,
  MAX_INPUT_REQUESTS,
  MAX_REQUEST_STATE_BYTES,
  answerRoots,
  inputRequiredResult,
  isInputRequired,
  matchResponses,
  readInputRequired,
  readRetry,
  urlElicitationsOf,
} from './mrtr.ts'

const ALL: ReadonlySet<ClientCapability> = new Set(['elicitation.form', 'elicitation.url', 'sampling'])
const FORM = {
  method: 'elicitation/create',
  params: {
    mode: 'form',
    message: 'm',
    requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
  },
} as const
const SAMPLE = {
  method: 'sampling/createMessage',
  params: { messages: [{ role: 'user', content: { type: 'text', text: 'hi' } }], maxTokens: 1 },
} as const
const ROOTS = { method: 'roots/list', params: {} } as const

function asks(inputRequests: Json, rest: JsonObject = {}): JsonObject {
  return { resultType: 'input_required', inputRequests, ...rest }
}

function read(result: JsonObject, allowed = ALL) {
  const required = readInputRequired(result, allowed)
  assert.ok('requests' in required, JSON.stringify(required))
  return required
}

function refused(result: JsonObject, allowed = ALL): string {
  const required = readInputRequired(result, allowed)
  assert.ok('problem' in required, JSON.stringify(required))
  return required.problem
}

test('a result asks for input by its type alone', () => {
  assert.equal(isInputRequired(asks({})), true)
  for (const resultType of ['complete', 'INPUT_REQUIRED', 'task', null, ['input_required']])
    assert.equal(isInputRequired({ resultType }), false)
  assert.equal(isInputRequired({ inputRequests: {}, requestState: '' }), false)
})

test('questions and state are read, each alone or both', () => {
  verifies('bridge.mrtr')
  assert.deepEqual(
    read(asks({ a: FORM, b: SAMPLE, c: { method: 'roots/list' } }, { requestState: 's', _meta: {} })),
    {
      requests: { a: FORM, b: SAMPLE, c: ROOTS },
      requestState: 's',
    },
  )
  assert.deepEqual(read(asks({ a: FORM })), { requests: { a: FORM }, requestState: undefined })
  assert.deepEqual(read({ resultType: 'input_required', requestState: '' }), {
    requests: {},
    requestState: '',
  })
})

test('an answer that asks for nothing, or not as the specification says, is refused', () => {
  assert.match(refused({ resultType: 'input_required' }), /neither questions nor state/)
  assert.match(refused(asks({})), /neither questions nor state/)
  for (const odd of [null, [], 'x', 7]) assert.match(refused(asks(odd)), /not an object/)
  for (const entry of [
    null,
    'x',
    [],
    {},
    { method: 7 },
    { method: 'roots/list', params: null },
    { method: 'roots/list', params: [] },
  ]) {
    assert.match(
      refused(asks({ a: entry })),
      /no method, or params that are no object/,
      JSON.stringify(entry),
    )
  }
  assert.match(refused(asks({ a: { method: 'tools/call' } })), /no host answers/)
  assert.match(refused(asks({ a: FORM, b: { method: 'elicitation/create' } })), /no message/)
  for (const requestState of [null, 7, {}])
    assert.match(refused(asks({ a: FORM }, { requestState })), /not a string/)
})

test('one question that was not declared refuses the whole answer', () => {
  verifies('bridge.capability-rule')
  assert.match(refused(asks({ a: FORM, b: SAMPLE }), new Set(['elicitation.form'])), /not declared/)
  read(asks({ a: FORM }), new Set(['elicitation.form']))
  assert.match(refused(asks({ a: FORM }), new Set()), /not declared/)
})

test('count, keys and state have caps, and what just fits passes', () => {
  verifies('bridge.mrtr')
  const questions = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, ROOTS] as const))
  read(asks(questions(MAX_INPUT_REQUESTS)))
  assert.match(refused(asks(questions(MAX_INPUT_REQUESTS + 1))), /at most 16 members/)
  // Two quotation marks belong to the JSON text.
  const key = 'k'.repeat(MAX_INPUT_KEY_BYTES - 2)
  read(asks({ [key]: ROOTS }))
  assert.match(refused(asks({ [`${key}k`]: ROOTS })), /at most 16 members/)
  const state = 's'.repeat(MAX_REQUEST_STATE_BYTES - 2)
  read(asks({ a: ROOTS }, { requestState: state }))
  assert.match(refused(asks({ a: ROOTS }, { requestState: `${state}s` })), /at most 32768 bytes/)
  assert.match(refused(asks({ a: ROOTS }, { requestState: '\u0001'.repeat(6_000) })), /at most 32768 bytes/)
})

test('keys that are names of the language are keys like others', () => {
  const requests: JsonObject = JSON.parse(
    `{"__proto__":${JSON.stringify(FORM)},"constructor":${JSON.stringify(SAMPLE)},"problem":${JSON.stringify(ROOTS)}}`,
  )
  const required = read(asks(requests))
  assert.deepEqual(Object.keys(required.requests), ['__proto__', 'constructor', 'problem'])
  const matched = matchResponses(required.requests, {})
  assert.deepEqual(matched, { responses: {}, missing: ['__proto__', 'constructor', 'problem'] })
})

test('a modern host gets the questions as they were read, and reading them again changes nothing', () => {
  const result = inputRequiredResult({ a: FORM, b: SAMPLE }, 'sealed')
  assert.deepEqual(result, {
    resultType: 'input_required',
    inputRequests: { a: FORM, b: SAMPLE },
    requestState: 'sealed',
  })
  assert.deepEqual(read(result), { requests: { a: FORM, b: SAMPLE }, requestState: 'sealed' })
})

test('the members of a retry are read, and a first call has none', () => {
  assert.deepEqual(readRetry({ name: 'x' }), { inputResponses: undefined, requestState: undefined })
  assert.deepEqual(readRetry({ inputResponses: { a: {} }, requestState: 's' }), {
    inputResponses: { a: {} },
    requestState: 's',
  })
  assert.deepEqual(readRetry({ requestState: 's' }), { inputResponses: undefined, requestState: 's' })
  for (const requestState of [null, 7, {}]) assert.ok('problem' in readRetry({ requestState }))
  const many = Object.fromEntries(
    Array.from({ length: MAX_INPUT_REQUESTS + 1 }, (_, i) => [`k${i}`, {}] as const),
  )
  for (const inputResponses of [null, [], 'x', many, { a: 7 }, { a: {}, stray: 'x' }])
    assert.ok('problem' in readRetry({ inputResponses }), JSON.stringify(inputResponses))
})

test('answers are laid beside their questions: unknown ones are left out, open questions are named, a wrong one is refused', () => {
  verifies('bridge.mrtr')
  const requests: InputRequests = { a: FORM, b: SAMPLE }
  const accepted = { action: 'accept', content: { name: 'Ada' } }
  assert.deepEqual(matchResponses(requests, { a: accepted, stray: { x: 1 } }), {
    responses: { a: { kind: 'result', result: accepted } },
    missing: ['b'],
  })
  assert.deepEqual(matchResponses(requests, {}), { responses: {}, missing: ['a', 'b'] })
  assert.ok('problem' in matchResponses(requests, { a: { action: 'maybe' } }))
  assert.ok('problem' in matchResponses(requests, { a: 'accept' }))
})

test('roots are answered by the operator, and a server that was told of none may not ask', () => {
  verifies('bridge.capability-rule')
  const requests: InputRequests = { a: FORM, r: ROOTS }
  assert.deepEqual(answerRoots(requests, ['file:///srv']), {
    own: { r: { kind: 'result', result: { roots: [{ uri: 'file:///srv' }] } } },
    rest: { a: FORM },
  })
  assert.ok('problem' in answerRoots(requests, undefined))
  assert.deepEqual(answerRoots({ a: FORM }, undefined), { own: {}, rest: { a: FORM } })
})

test('an error that asks for visits becomes questions, one of another code stays an error', () => {
  const visit = { mode: 'url', message: 'Log in', url: 'https://crm.example/login', elicitationId: 'e-1' }
  const error = (elicitations: Json, code = -32042): JsonObject => ({
    code,
    message: 'm',
    data: { elicitations },
  })
  assert.deepEqual(urlElicitationsOf(error([visit, visit]), ALL), {
    requests: {
      '1': { method: 'elicitation/create', params: visit },
      '2': { method: 'elicitation/create', params: visit },
    },
  })
  assert.equal(urlElicitationsOf(error([visit], -32041), ALL), undefined)
  for (const elicitations of [
    null,
    [],
    {},
    ['x'],
    [visit, FORM.params],
    [{ ...visit, url: 'javascript:x' }],
  ]) {
    const read = urlElicitationsOf(error(elicitations), ALL)
    assert.ok(read !== undefined && 'problem' in read, JSON.stringify(elicitations))
  }
  const undeclared = urlElicitationsOf(error([visit]), new Set(['elicitation.form']))
  assert.ok(undeclared !== undefined && 'problem' in undeclared)
})

test('no JSON makes the reading throw, and what is read holds only what was declared', () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const params = fc.oneof(
    fc.constantFrom<Json>(FORM.params, SAMPLE.params, {}, null, {
      ...FORM.params,
      mode: 'url',
      url: 'https://a.example/',
    }),
    fc.jsonValue().map((value): Json => JSON.parse(JSON.stringify(value))),
  )
  const method = fc.constantFrom('elicitation/create', 'sampling/createMessage', 'roots/list', 'tools/call')
  const entry = fc.oneof(fc.record({ method, params }), params)
  const capabilities = fc.subarray<ClientCapability>(['elicitation.form', 'elicitation.url', 'sampling'])
  let read = 0
  fc.assert(
    fc.property(fc.dictionary(fc.string(), entry, { maxKeys: 4 }), capabilities, (inputRequests, allowed) => {
      const required = readInputRequired(asks(inputRequests), new Set(allowed))
      if ('problem' in required) return
      read++
      for (const { method: asked, params: given } of Object.values(required.requests)) {
        const needs =
          asked === 'sampling/createMessage'
            ? 'sampling'
            : given['mode'] === 'url'
              ? 'elicitation.url'
              : 'elicitation.form'
        assert.ok(asked === 'roots/list' || allowed.includes(needs))
      }
    }),
    { seed, numRuns: 500, verbose: 1 },
  )
  assert.ok(read > 0)
})
