import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ReasonCode } from '../call/reason-code.ts'
import { Refusal } from '../call/refusal.ts'
import { registry } from '../errors/registry.ts'
import { isReservedCode } from '../mcp/jsonrpc.ts'
import { verifies } from '../testing/verifies.ts'
import { type RefusedContext, refusalToWire } from './refusal-to-wire.ts'

const context = (change: Partial<RefusedContext> = {}): RefusedContext => ({
  method: 'tools/call',
  era: 'modern',
  evidence: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
  resourceMetadata: 'https://gate.example/.well-known/oauth-protected-resource/mcp',
  proofAlgorithms: ['ES256', 'EdDSA'],
  ...change,
})
/** Areas of codes that are HTTP's, or of paths beside `/mcp`. */
const BEFORE_ROWS: ReadonlySet<string | undefined> = new Set(['WIRE', 'IDENTITY', 'ENROL', 'CONSENT'])
const CODES = Object.keys(registry) as ReasonCode[]

test('every refusal of a later row is a tool result for a tool, and an error of ours for anything else', () => {
  verifies('wire.policy-denial')
  for (const code of CODES) {
    const area = code.split('_')[1]
    if (BEFORE_ROWS.has(area) || code === 'CG_CATALOG_UNKNOWN_TOOL') continue
    for (const era of ['legacy', 'modern'] as const) {
      const tool = refusalToWire(new Refusal(code, { internal: 'secret' }), context({ era }))
      assert.ok(tool.shape === 'tool', code)
      assert.equal(tool.text, `${code}: ${registry[code].publicText} [evidence 01ARZ3NDEKTSV4RRFFQ69G5FAV]`)
      const read = refusalToWire(
        new Refusal(code, { internal: 'secret' }),
        context({ era, method: 'resources/read' }),
      )
      assert.ok(read.shape === 'error' && read.status === 200 && !isReservedCode(read.code), code)
      assert.deepEqual(read.data, { code, evidence: '01ARZ3NDEKTSV4RRFFQ69G5FAV' })
    }
  }
})

test('an unknown tool keeps the code of the protocol, HTTP 200', () => {
  const wire = refusalToWire(new Refusal('CG_CATALOG_UNKNOWN_TOOL'), context())
  assert.ok(wire.shape === 'error')
  assert.deepEqual([wire.status, wire.code], [200, -32_602])
})

test('nothing that only the operator may read is in any shape, and every status of HTTP is its own', () => {
  verifies('wire.no-oracle')
  for (const code of CODES) {
    for (const method of ['tools/call', 'prompts/get', 'tools/list', undefined]) {
      const wire = refusalToWire(
        new Refusal(code, { internal: 'secret', cause: new Error('secret') }),
        context({ method }),
      )
      assert.doesNotMatch(JSON.stringify(wire), /secret|stack/, code)
      if (wire.shape === 'http') assert.equal(wire.status, registry[code].status)
    }
  }
})

test('a refusal of identity is HTTP with one challenge, but for too many requests', () => {
  for (const code of CODES.filter((each) => each.startsWith('CG_IDENTITY_'))) {
    const wire = refusalToWire(new Refusal(code, { retryAfterS: 1.2 }), context())
    assert.ok(wire.shape === 'http')
    const challenges = wire.headers.filter((each) => each === 'WWW-Authenticate').length
    assert.equal(challenges, wire.status === 429 ? 0 : 1, code)
    assert.equal(wire.headers[wire.headers.indexOf('Retry-After') + 1], '2')
    assert.equal(wire.problem.code, code)
    // RFC 6750 section 3: no quote, no backslash, ASCII alone inside the quotes.
    for (const value of wire.headers) assert.match(value, /^[\x20-\x7e]*$/)
  }
})

test('a description cannot break out of its quotes', () => {
  const wire = refusalToWire(new Refusal('CG_IDENTITY_EXPIRED', { publicText: 'a "b" \\ c' }), context())
  assert.ok(wire.shape === 'http')
  assert.match(String(wire.headers[1]), /error_description="a 'b' ' c", resource/)
})

test('params and methods are HTTP errors for modern hosts and plain errors for legacy ones', () => {
  for (const [code, status] of [
    ['CG_WIRE_PARAMS', 400],
    ['CG_WIRE_METHOD', 404],
  ] as const) {
    const statusFor = (era: 'legacy' | 'modern' | undefined): number => {
      const wire = refusalToWire(new Refusal(code), context({ era, method: 'vendor/thing' }))
      return wire.shape === 'tool' ? 0 : wire.status
    }
    assert.deepEqual([statusFor('legacy'), statusFor('modern'), statusFor(undefined)], [200, status, status])
  }
})

test('a limit tells when to come back', () => {
  const wire = refusalToWire(new Refusal('CG_UPSTREAM_BUSY', { retryAfterS: 3 }), context())
  assert.ok(wire.shape === 'tool')
  assert.match(wire.text, /\(retry_after: 3 s\)/)
})

test('a challenge names the scopes that are needed, and nothing that could end the header or forge a member', () => {
  const scopes = [
    'crm.read',
    'tools/call:crm.read',
    'prompts/get:crm.a" error="b',
    'prompts/get:crm.a\r\nx: y',
    'a b',
  ]
  const wire = refusalToWire(new Refusal('CG_IDENTITY_SCOPE', { scopes }), {
    method: 'tools/call',
    era: 'modern',
    evidence: undefined,
    resourceMetadata: 'https://gate.example/x',
    proofAlgorithms: [],
  })
  assert.ok(wire.shape === 'http')
  assert.equal(wire.status, 403)
  const challenge = wire.headers[wire.headers.indexOf('WWW-Authenticate') + 1] ?? ''
  assert.match(
    challenge,
    /^Bearer error="insufficient_scope", scope="crm\.read tools\/call:crm\.read", error_description=/,
  )
  const none = refusalToWire(new Refusal('CG_IDENTITY_SCOPE', { scopes: ['a b'] }), context())
  assert.ok(none.shape === 'http')
  assert.doesNotMatch(none.headers.join(' '), / scope=/, 'an empty scope is none (RFC 6750 section 3)')
})
