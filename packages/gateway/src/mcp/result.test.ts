import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../call/json.ts'
import { verifies } from '../testing/verifies.ts'
import { completeResult } from './result.ts'

const complete = (
  text: string,
  era: 'legacy' | 'modern',
  method: 'tools/call' | 'resources/read' = 'tools/call',
): string => {
  const value: JsonObject = JSON.parse(text)
  return Buffer.from(completeResult(Buffer.from(text), value, era, method)).toString()
}

test('a legacy host gets the bytes as they are', () => {
  assert.equal(complete('{ "a":1.50 }', 'legacy'), '{ "a":1.50 }')
})

test('a modern host gets what its version requires before the bytes as they are', () => {
  verifies('mcp.bridge-modern-legacy')
  assert.equal(complete('{ "a":1.50 }', 'modern'), '{"resultType":"complete", "a":1.50 }')
  assert.equal(complete('{}', 'modern'), '{"resultType":"complete"}')
  assert.equal(complete('{ }', 'modern'), '{"resultType":"complete" }')
  assert.equal(
    complete('{"contents":[]}', 'modern', 'resources/read'),
    '{"resultType":"complete","ttlMs":0,"cacheScope":"private","contents":[]}',
  )
})

test('what a server said is never said twice', () => {
  const said = '{"resultType":"input_required","x":1}'
  assert.equal(complete(said, 'modern'), said)
  const read: JsonObject = JSON.parse(complete('{"ttlMs":5,"contents":[]}', 'modern', 'resources/read'))
  assert.deepEqual(read, { resultType: 'complete', cacheScope: 'private', ttlMs: 5, contents: [] })
})
