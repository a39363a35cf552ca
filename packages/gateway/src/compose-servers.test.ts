import assert from 'node:assert/strict'
import { test } from 'node:test'
import { declaredTo } from './compose-servers.ts'
import { TASKS_CAPABILITIES } from './mcp/bridge-capabilities.ts'
import { verifies } from './testing/verifies.ts'

type Entry = NonNullable<Parameters<typeof declaredTo>[0]>

const entry = (change: object): Entry =>
  ({ clientCapabilities: ['sampling', 'tasks'], command: ['x'], ...change }) as unknown as Entry
const HOST = { sampling: {}, elicitation: {}, ...TASKS_CAPABILITIES }

test('a server is told what its host declared and the operator granted, and tasks only where it offers them', () => {
  verifies('wire.capabilities')
  assert.deepEqual(declaredTo(entry({}), {}, HOST), { sampling: {} })
  assert.deepEqual(declaredTo(entry({}), TASKS_CAPABILITIES, HOST), { sampling: {}, ...TASKS_CAPABILITIES })
  assert.deepEqual(declaredTo(entry({}), TASKS_CAPABILITIES, {}), {})
  assert.deepEqual(declaredTo(entry({ clientCapabilities: [] }), TASKS_CAPABILITIES, HOST), {})
})

test('a server that all sessions share, or that is not configured any more, is told of nothing', () => {
  verifies('wire.capabilities')
  assert.deepEqual(declaredTo(entry({ shared: true }), TASKS_CAPABILITIES, HOST), {})
  assert.deepEqual(declaredTo(entry({ shared: false }), {}, HOST), { sampling: {} })
  assert.deepEqual(declaredTo(undefined, TASKS_CAPABILITIES, HOST), {})
})
