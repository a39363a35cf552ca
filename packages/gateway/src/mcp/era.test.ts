import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  encodeHeaderValue,
  eraOf,
  isReservedMetaKey,
  modernHeaders,
  modernMeta,
  withoutReservedMeta,
  traceMeta,
} from './era.ts'
import { decodeHeaderValue } from './param-headers.ts'

test('each version has one era, an unknown one has none', () => {
  for (const version of ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])
    assert.equal(eraOf(version), 'legacy')
  assert.equal(eraOf('2026-07-28'), 'modern')
  for (const version of ['2026-07-29', '', '__proto__', 'toString']) assert.equal(eraOf(version), undefined)
})

test('keys of the protocol are reserved, vendor and trace keys are not', () => {
  for (const era of ['legacy', 'modern'] as const) {
    for (const key of [
      'progressToken',
      'io.modelcontextprotocol/clientInfo',
      'IO.ModelContextProtocol/x',
      'dev.mcp/x',
      'com.mcp.tools/x',
    ]) {
      assert.equal(isReservedMetaKey(key, era), true, key)
    }
    for (const key of ['traceparent', 'vendor/x', 'com.example.mcp/x', 'mcp', 'modelcontextprotocol']) {
      assert.equal(isReservedMetaKey(key, era), era === 'legacy' && key.startsWith('tools.'), key)
    }
  }
  assert.equal(isReservedMetaKey('modelcontextprotocol.io/x', 'legacy'), true)
  assert.equal(isReservedMetaKey('modelcontextprotocol.io/x', 'modern'), false)
})

test('meta is passed on without reserved members, `__proto__` as the plain member that it is', () => {
  const meta = JSON.parse(
    '{"a":1,"progressToken":2,"io.modelcontextprotocol/logLevel":"debug","__proto__":{"x":1}}',
  )
  assert.equal(JSON.stringify(withoutReservedMeta(meta, 'modern')), '{"a":1,"__proto__":{"x":1}}')
  assert.equal(JSON.stringify(withoutReservedMeta(meta, 'legacy')), '{"a":1,"__proto__":{"x":1}}')
})

test('modern metadata names version, capabilities and client', () => {
  assert.deepEqual(modernMeta({ name: 'callgate', version: '1' }, {}), {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'callgate', version: '1' },
  })
})

test('standard headers repeat what the body says', () => {
  assert.deepEqual(modernHeaders('tools/call', { name: 'echo' }), {
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': 'echo',
  })
  assert.equal(modernHeaders('resources/read', { uri: 'a://b' })['mcp-name'], 'a://b')
  assert.equal(modernHeaders('tools/list', { name: 'x' })['mcp-name'], undefined)
  assert.equal(modernHeaders('tools/call', { name: 'näm' })['mcp-name'], '=?base64?bsOkbQ==?=')
})

test('a header value is visible ASCII whatever the name, and comes back', () => {
  const seed = Date.now()
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (value) => {
      fc.pre(value.isWellFormed())
      const header = encodeHeaderValue(value)
      assert.match(header, /^[\x20-\x7e]+$/)
      assert.equal(header.trim(), header)
      assert.equal(decodeHeaderValue(header), value)
    }),
    { seed, numRuns: 300 },
  )
})

test('what looks wrapped is wrapped again, and is a literal unless it is wrapped exactly', () => {
  const sly = '=?base64?YQ==?='
  assert.equal(decodeHeaderValue(encodeHeaderValue(sly)), sly)
  assert.equal(decodeHeaderValue('=?base64?YQ==?='), 'a')
  for (const literal of ['=?BASE64?YQ==?=', '=?base64?YQ=='])
    assert.equal(decodeHeaderValue(literal), literal)
  for (const bad of ['=?base64?YQ?=', '=?base64?YR==?=', '=?base64?/w==?=', '=?base64?Y Q==?=']) {
    assert.equal(decodeHeaderValue(bad), undefined, bad)
  }
})

test("of a host's `_meta` only a valid trace context goes on, without baggage", () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  assert.deepEqual(traceMeta({ traceparent, tracestate: 'a=b', baggage: 'c=d', 'vendor/x': 1 }), {
    traceparent,
    tracestate: 'a=b',
  })
  assert.deepEqual(traceMeta({ traceparent, tracestate: 'x'.repeat(513) }), { traceparent })
  assert.deepEqual(traceMeta({ traceparent, tracestate: 'a=b\n' }), { traceparent })
  for (const bad of ['00-xyz', 7, `${traceparent} `, 'http://169.254.169.254/']) {
    assert.deepEqual(traceMeta({ traceparent: bad, tracestate: 'a=b' }), {})
  }
})
