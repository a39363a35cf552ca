import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../testing/verifies.ts'
import type { ScanOptions } from './json-scan.ts'
import {
  type HostHeaders,
  type HostMessage,
  MessageRefused,
  hostScanOptions,
  readHostMessage,
  spokenBy,
} from './host-message.ts'

/** A message of a host; what is a response fails the test. */
function readMessage(bytes: Uint8Array, options: ScanOptions): HostMessage {
  const message = readHostMessage(bytes, options)
  assert.ok(!('response' in message))
  return message
}

const OPTIONS = hostScanOptions(1_048_576)
const read = (text: string): HostMessage => readMessage(Buffer.from(text), OPTIONS)
const NO_HEADERS: HostHeaders = { protocolVersion: undefined, method: undefined, name: undefined }

function refusalOf(run: () => unknown): MessageRefused {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof MessageRefused, String(error))
    return error
  }
  assert.fail('it was not refused')
}

test('a message keeps the bytes of its arguments as they came', () => {
  verifies('wire.rule-4')
  const message = read(
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","arguments": {"a" : 1.50} }}',
  )
  assert.equal(Buffer.from(message.argsBytes).toString(), '{"a" : 1.50}')
  assert.deepEqual([message.id, message.method, message.exactNumbers], [1, 'tools/call', true])
  assert.equal(read('{"jsonrpc":"2.0","method":"notifications/initialized"}').id, undefined)
})

test('a number outside the arguments does not make them inexact', () => {
  const meta = '"_meta":{"x":9007199254740993}'
  assert.equal(
    read(`{"jsonrpc":"2.0","id":1,"method":"m","params":{${meta},"arguments":{"a":1}}}`).exactNumbers,
    true,
  )
  assert.equal(
    read(`{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":{"a":9007199254740993}}}`).exactNumbers,
    false,
  )
})

for (const [name, text, code, id] of [
  ['a batch', '[]', 'CG_WIRE_ENVELOPE', undefined],
  ['a number', '7', 'CG_WIRE_ENVELOPE', undefined],
  ['an empty body', '', 'CG_WIRE_SYNTAX', undefined],
  ['an answer that is a text', '{"jsonrpc":"2.0","id":5,"result":""}', 'CG_WIRE_ENVELOPE', 5],
  ['an answer with more', '{"jsonrpc":"2.0","id":5,"result":{},"extra":1}', 'CG_WIRE_ENVELOPE', 5],
  ['a null id', '{"jsonrpc":"2.0","id":null,"method":"ping"}', 'CG_WIRE_ENVELOPE', undefined],
  [
    'an id too long',
    `{"jsonrpc":"2.0","id":"${'x'.repeat(257)}","method":"ping"}`,
    'CG_WIRE_ENVELOPE',
    undefined,
  ],
  ['an unsafe id', '{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}', 'CG_WIRE_ENVELOPE', undefined],
  ['no version', '{"id":5,"method":"ping"}', 'CG_WIRE_ENVELOPE', 5],
  ['no method', '{"jsonrpc":"2.0","id":5}', 'CG_WIRE_ENVELOPE', 5],
  ['a method too long', `{"jsonrpc":"2.0","id":5,"method":"${'x'.repeat(129)}"}`, 'CG_WIRE_ENVELOPE', 5],
  ['a list of params', '{"jsonrpc":"2.0","id":5,"method":"ping","params":[]}', 'CG_WIRE_PARAMS', 5],
  [
    'metadata that is a text',
    '{"jsonrpc":"2.0","id":5,"method":"ping","params":{"_meta":"x"}}',
    'CG_WIRE_PARAMS',
    5,
  ],
  [
    'a twin of the envelope',
    '{"jsonrpc":"2.0","id":5,"ID":6,"method":"ping"}',
    'CG_WIRE_TWIN_KEY',
    undefined,
  ],
] as const) {
  test(`${name} is refused with ${code}, and the error answers what id there was`, () => {
    const { refusal, id: answered } = refusalOf(() => read(text))
    assert.deepEqual([refusal.code, answered], [code, id])
  })
}

test('no text of a refusal holds a byte of the message', () => {
  verifies('wire.no-oracle')
  for (const text of [
    '{"secret":1}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","secret":1}',
    '{"secret":1,"secret":2}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","params":"secret"}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"secret"}}}',
  ]) {
    const { refusal } = refusalOf(() => spokenBy(read(text), NO_HEADERS))
    assert.doesNotMatch(`${refusal.publicText} ${refusal.internal} ${refusal.message}`, /secret/)
  }
})

test('whatever bytes come, a message is read or refused, and nothing else is thrown', () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const json = fc.json().map((text) => Buffer.from(text))
  const almost = fc
    .json()
    .map((text) => Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"m","params":${text}}`))
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), json, almost), (bytes) => {
      try {
        spokenBy(readMessage(bytes, OPTIONS), NO_HEADERS)
      } catch (error) {
        assert.ok(error instanceof MessageRefused, `seed ${seed}: ${String(error)}`)
      }
    }),
    { seed, numRuns: 300 },
  )
})

const META = 'io.modelcontextprotocol'
const message = (method: string, params: object = {}): HostMessage =>
  read(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))

test('the era stands in the body: headers alone make no message modern', () => {
  verifies('mcp.modern')
  verifies('mcp.legacy')
  const legacy = (method: string, headers: Partial<HostHeaders>) =>
    spokenBy(message(method), { ...NO_HEADERS, ...headers }).era
  assert.equal(legacy('initialize', { method: 'initialize' }), 'legacy')
  assert.equal(legacy('initialize', { protocolVersion: '2026-07-28', method: 'tools/call' }), 'legacy')
  assert.equal(legacy('tools/list', {}), 'legacy')
  assert.equal(
    legacy('tools/list', { protocolVersion: '2024-11-05', method: 'anything', name: 'anything' }),
    'legacy',
  )
  assert.equal(
    refusalOf(() => legacy('tools/list', { protocolVersion: '2026-07-28' })).refusal.code,
    'CG_WIRE_PARAMS',
  )
  assert.equal(
    refusalOf(() => legacy('tools/list', { protocolVersion: '2026' })).refusal.code,
    'CG_WIRE_VERSION',
  )
})

test('a modern message is held against each of its headers', () => {
  verifies('mcp.modern')
  const _meta = { [`${META}/protocolVersion`]: '2026-07-28', [`${META}/clientCapabilities`]: {} }
  const call = message('tools/call', { name: 'fix__\u00e9cho', _meta })
  const good = {
    protocolVersion: '2026-07-28',
    method: 'tools/call',
    name: `=?base64?${Buffer.from('fix__\u00e9cho').toString('base64')}?=`,
  }
  assert.deepEqual(spokenBy(call, good), { era: 'modern', version: '2026-07-28' })
  for (const wrong of [
    { protocolVersion: undefined },
    { protocolVersion: '2025-11-25' },
    { method: undefined },
    { method: 'Tools/Call' },
    { name: undefined },
    { name: 'fix__echo' },
    { name: `${good.name}, ${good.name}` },
  ]) {
    assert.equal(
      refusalOf(() => spokenBy(call, { ...good, ...wrong })).refusal.code,
      'CG_WIRE_HEADER_MISMATCH',
    )
  }
  assert.equal(
    spokenBy(message('tools/list', { _meta }), { ...good, method: 'tools/list', name: undefined }).era,
    'modern',
  )
})
