import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TASKS_CAPABILITIES } from '../../mcp/bridge-capabilities.ts'
import { answerOf } from '../../testing/calls.ts'
import { verifies } from '../../testing/verifies.ts'
import { initializeParams, readDiscover, readInitialize } from './handshake.ts'

const capabilities = { tools: {}, ...TASKS_CAPABILITIES }

test('extensions are of the modern era: a legacy server is told of none and believed none', () => {
  verifies('bridge.tasks')
  const told = { clientInfo: {}, capabilities: { sampling: {}, ...TASKS_CAPABILITIES } }
  assert.deepEqual(initializeParams({ ...told, roots: undefined })['capabilities'], { sampling: {} })
  assert.deepEqual(initializeParams({ ...told, roots: ['file:///srv'] })['capabilities'], {
    sampling: {},
    roots: {},
  })
  const legacy = readInitialize(answerOf({ protocolVersion: '2025-11-25', capabilities }), 'old')
  assert.deepEqual(legacy.capabilities, { tools: {} })
  const modern = readDiscover(answerOf({ supportedVersions: ['2026-07-28'], capabilities }))
  assert.deepEqual(modern?.capabilities, capabilities)
})
