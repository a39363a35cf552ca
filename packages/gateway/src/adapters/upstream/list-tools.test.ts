import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../call/json.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { readMessage, type Connection } from './connection.ts'
import { listTools } from './list-tools.ts'
import { DEFAULT_LIMITS } from './options.ts'

/** A server that says the same page over and over, as often as its cursor is followed. */
function serverOf(page: JsonObject): Connection {
  const bytes = Buffer.from(JSON.stringify(page))
  return {
    handshake: {
      era: 'legacy',
      protocolVersion: '2025-11-25',
      serverInfo: {},
      capabilities: { tools: {} },
      instructions: undefined,
    },
    alive: true,
    request: () => Promise.resolve({ kind: 'result', bytes, value: page, upstreamMs: 0 }),
    listen: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
}

const list = (page: JsonObject, limits: Partial<typeof DEFAULT_LIMITS>) =>
  listTools(
    serverOf(page),
    { server: 'fix', limits: { ...DEFAULT_LIMITS, ...limits } },
    new AbortController().signal,
  )

test('definitions over the cap are refused, and exactly as many bytes pass', async () => {
  const page = { tools: [{ name: 'a', description: 'x'.repeat(100) }] }
  const bytes = JSON.stringify(page).length
  assert.equal((await list(page, { maxToolsBytes: bytes })).length, 1)
  await assert.rejects(
    list(page, { maxToolsBytes: bytes - 1 }),
    (error) =>
      error instanceof UpstreamFailed &&
      error.fault === 'too_large' &&
      error.message === `tools of server \`fix\` are over a cap: they take more than ${bytes - 1} bytes`,
  )
})

test('a list that never ends is refused by its pages, one of very many tools by their number', async () => {
  const endless = { tools: [], nextCursor: 'more' }
  await assert.rejects(list(endless, { maxPages: 3 }), /more than 3 pages/)
  const many = { tools: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] }
  await assert.rejects(list(many, { maxTools: 2 }), /more than 2 tools/)
  assert.equal((await list(many, { maxTools: 3 })).length, 3)
})

test('a page of four thousand tools is read, and one with more members than a message may have is refused', () => {
  const { maxBytes, maxDepth, maxKeys } = DEFAULT_LIMITS
  const properties = { path: { type: 'string', description: 'where it is' }, all: { type: 'boolean' } }
  const tool = {
    name: 'tool',
    description: 'x'.repeat(1_000),
    inputSchema: { type: 'object', properties, required: ['path'], additionalProperties: false },
    annotations: { readOnlyHint: true },
  }
  const read = (tools: readonly object[]) =>
    readMessage(Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools } })), 'fix', {
      maxBytes,
      maxDepth,
      maxKeys,
    })
  assert.equal(read(Array.from({ length: 4_000 }, () => tool)).kind, 'response')
  assert.throws(
    () => read(Array.from({ length: 100_001 }, () => ({ name: 'a' }))),
    (error) => error instanceof UpstreamFailed && error.fault === 'protocol',
  )
})
