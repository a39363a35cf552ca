import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InputRequest } from '../call/input.ts'
import type { Json, JsonObject } from '../call/json.ts'
import { verifies } from '../testing/verifies.ts'
import type { ClientCapability } from './bridge-capabilities.ts'
import { MAX_QUESTION_BYTES, legacyRequest, modernRequest, readInputRequest } from './bridge-requests.ts'

const ALL: ReadonlySet<ClientCapability> = new Set([
  'elicitation.form',
  'elicitation.url',
  'sampling',
  'sampling.tools',
  'sampling.context',
])

const FORM = {
  message: 'Who are you?',
  requestedSchema: {
    type: 'object',
    properties: { name: { type: 'string', minLength: 1 } },
    required: ['name'],
  },
}
const URL_MODE = {
  mode: 'url',
  message: 'Log in',
  url: 'https://crm.example/login?x=1',
  elicitationId: 'e-1',
}
const TEXT = { type: 'text', text: 'hi' }
const SAMPLE = { messages: [{ role: 'user', content: TEXT }], maxTokens: 10 }

function read(method: string, params: JsonObject, allowed = ALL): InputRequest {
  const request = readInputRequest(method, params, allowed)
  assert.ok('method' in request, JSON.stringify(request))
  return request
}

function refused(method: string, params: JsonObject, allowed = ALL): string {
  const request = readInputRequest(method, params, allowed)
  assert.ok('problem' in request, JSON.stringify(request))
  return request.problem
}

test('questions of both eras come to one form, without what belongs to one hop', () => {
  verifies('bridge.questions')
  const meta = { _meta: { progressToken: 1 }, task: { ttl: 5 }, vendor: 'x' }
  assert.deepEqual(read('elicitation/create', { ...FORM, ...meta }), {
    method: 'elicitation/create',
    params: { mode: 'form', ...FORM },
  })
  assert.deepEqual(read('elicitation/create', { ...URL_MODE, ...meta }), {
    method: 'elicitation/create',
    params: URL_MODE,
  })
  assert.deepEqual(read('sampling/createMessage', { ...SAMPLE, ...meta, temperature: 0.5 }), {
    method: 'sampling/createMessage',
    params: { ...SAMPLE, temperature: 0.5 },
  })
  assert.deepEqual(read('roots/list', meta), { method: 'roots/list', params: {} })
})

test('a method that no host answers is refused', () => {
  for (const method of ['tools/call', 'ping', '', 'toString', 'elicitation/Create']) {
    assert.equal(refused(method, {}), 'the server asks by a method that no host answers')
  }
})

test('what was not declared to the server is refused, and what was passes', () => {
  verifies('bridge.capability-rule')
  const cases: [string, JsonObject, ClientCapability[]][] = [
    ['elicitation/create', FORM, ['elicitation.form']],
    ['elicitation/create', URL_MODE, ['elicitation.url']],
    ['sampling/createMessage', SAMPLE, ['sampling']],
    ['sampling/createMessage', { ...SAMPLE, tools: [] }, ['sampling', 'sampling.tools']],
  ]
  for (const [method, params, needs] of cases) {
    read(method, params, new Set(needs))
    for (const missing of needs) {
      const others = new Set([...ALL].filter((capability) => capability !== missing))
      assert.equal(refused(method, params, others), `\`${method}\` asks what was not declared to the server`)
    }
  }
})

test('context of other servers is asked for only where it was declared; the question itself passes without it', () => {
  const asks = { ...SAMPLE, includeContext: 'allServers' }
  assert.deepEqual(read('sampling/createMessage', asks).params, asks)
  assert.deepEqual(read('sampling/createMessage', asks, new Set(['sampling'])).params, SAMPLE)
})

test('a form is flat: fields of text, number, yes or no, and choices', () => {
  const form = (field: Json): JsonObject => ({
    ...FORM,
    requestedSchema: { type: 'object', properties: { field } },
  })
  for (const field of [
    { type: 'string', format: 'email', default: 'a@b.example' },
    { type: 'number', minimum: 1 },
    { type: 'integer' },
    { type: 'boolean', default: true },
    { type: 'string', enum: ['a', 'b'], enumNames: ['A', 'B'] },
    { type: 'string', oneOf: [{ const: 'a', title: 'A' }] },
    { type: 'array', items: { type: 'string', enum: ['a'] }, minItems: 1 },
    { type: 'array', items: { anyOf: [{ const: 'a', title: 'A' }] } },
  ]) {
    read('elicitation/create', form(field))
  }
  for (const field of [
    { type: 'object', properties: {} },
    { type: 'array', items: { type: 'object' } },
    { type: 'array', items: [{ type: 'string' }] },
    { type: 'array' },
    { type: ['string', 'object'] },
    { $ref: '#/x' },
    {},
    null,
    'string',
    [],
  ] as Json[]) {
    assert.equal(
      refused('elicitation/create', form(field)),
      '`elicitation/create` asks for more than a flat form',
    )
  }
  for (const requestedSchema of [
    undefined,
    null,
    [],
    {},
    { type: 'object' },
    { type: 'array', properties: {} },
    { type: 'object', properties: [] },
  ]) {
    refused('elicitation/create', {
      message: 'm',
      ...(requestedSchema === undefined ? {} : { requestedSchema }),
    })
  }
  assert.equal(refused('elicitation/create', { ...FORM, message: 7 }), '`elicitation/create` has no message')
  for (const mode of ['FORM', 7, null]) refused('elicitation/create', { ...FORM, mode })
})

test('a user is sent to web addresses alone, and to none that shows itself as another', () => {
  const visit = (url: Json): JsonObject => ({ ...URL_MODE, url })
  for (const url of [
    'https://crm.example/',
    'http://127.0.0.1:8080/x?y#z',
    'https://bücher.example/ü',
    'https://[::1]/',
  ]) {
    assert.equal(read('elicitation/create', visit(url)).params['url'], url)
  }
  for (const url of [
    'javascript:alert(1)',
    'file:///etc/passwd',
    'data:text/html,x',
    'vscode://x/y',
    'crm.example',
    '//crm.example',
    '',
    7,
    null,
    'https://bank.example@evil.example/',
    'https://:x@evil.example/',
    'https://evil.example/\u202eexe',
    'ht\ntps://evil.example/',
    ' https://evil.example/',
    'https:\\\\evil.example',
    'https://',
    `https://crm.example/${'x'.repeat(8_192)}`,
  ]) {
    assert.equal(
      refused('elicitation/create', visit(url)),
      '`elicitation/create` names no web URL',
      String(url),
    )
  }
})

test('sampling has messages of role and content, and a number of tokens', () => {
  const sample = (message: Json): JsonObject => ({ ...SAMPLE, messages: [message] })
  read(
    'sampling/createMessage',
    sample({ role: 'assistant', content: [TEXT, { type: 'image', data: '', mimeType: 'image/png' }] }),
  )
  read('sampling/createMessage', { ...SAMPLE, messages: [] })
  for (const message of [
    null,
    'hi',
    {},
    { role: 'system', content: TEXT },
    { role: 'user' },
    { role: 'user', content: 'hi' },
    { role: 'user', content: [TEXT, {}] },
  ]) {
    assert.equal(
      refused('sampling/createMessage', sample(message)),
      '`sampling/createMessage` has no messages of role and content',
    )
  }
  refused('sampling/createMessage', { maxTokens: 1 })
  assert.equal(
    refused('sampling/createMessage', { ...SAMPLE, maxTokens: '10' }),
    '`sampling/createMessage` has no number as maxTokens',
  )
})

test('a question has a longest length', () => {
  const ofLength = (bytes: number): JsonObject => {
    const empty = { ...FORM, message: '' }
    return { ...empty, message: 'x'.repeat(bytes - JSON.stringify(empty).length) }
  }
  read('elicitation/create', ofLength(MAX_QUESTION_BYTES))
  assert.match(refused('elicitation/create', ofLength(MAX_QUESTION_BYTES + 1)), /longer than 4194304 bytes/)
})

test('a modern host gets no elicitation id, a legacy one gets the one of the server or ours', () => {
  verifies('bridge.questions')
  const { elicitationId: _, ...modern } = URL_MODE
  const request = read('elicitation/create', URL_MODE)
  assert.deepEqual(modernRequest(request).params, modern)
  assert.deepEqual(legacyRequest(request, '2025-11-25', 'ours'), { params: URL_MODE })
  assert.deepEqual(legacyRequest(modernRequest(request), '2025-11-25', 'ours'), {
    params: { ...modern, elicitationId: 'ours' },
  })
})

test('a legacy host gets a question in the words of its version, and none that its version cannot carry', () => {
  verifies('bridge.questions')
  const form = read('elicitation/create', FORM)
  assert.deepEqual(legacyRequest(form, '2025-11-25', 'e'), { params: { mode: 'form', ...FORM } })
  assert.deepEqual(legacyRequest(form, '2025-06-18', 'e'), { params: FORM })
  for (const version of ['2025-03-26', '2024-11-05']) {
    assert.deepEqual(legacyRequest(form, version, 'e'), {
      problem: `\`elicitation/create\` cannot be asked of a host of version \`${version}\``,
    })
  }
  assert.ok('problem' in legacyRequest(read('elicitation/create', URL_MODE), '2025-06-18', 'e'))

  const parts = read('sampling/createMessage', {
    ...SAMPLE,
    messages: [
      { role: 'user', content: [TEXT, { type: 'text', text: 'there' }] },
      { role: 'assistant', content: TEXT },
    ],
  })
  assert.deepEqual(legacyRequest(parts, '2025-11-25', 'e'), { params: parts.params })
  assert.deepEqual(legacyRequest(parts, '2024-11-05', 'e'), {
    params: {
      ...SAMPLE,
      messages: [
        { role: 'user', content: TEXT },
        { role: 'user', content: { type: 'text', text: 'there' } },
        { role: 'assistant', content: TEXT },
      ],
    },
  })
  const tools = read('sampling/createMessage', { ...SAMPLE, tools: [] })
  assert.ok('params' in legacyRequest(tools, '2025-11-25', 'e'))
  assert.ok('problem' in legacyRequest(tools, '2025-06-18', 'e'))
  assert.deepEqual(legacyRequest(read('roots/list', {}), '2025-11-25', 'e'), {
    problem: 'roots are never asked of a host',
  })
})
