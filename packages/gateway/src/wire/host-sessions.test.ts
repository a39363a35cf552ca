import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Refusal } from '../call/refusal.ts'
import type { KeyRing } from '../ports/key-ring.ts'
import { memoryKeyRing } from '../testing/key-ring.ts'
import { verifies } from '../testing/verifies.ts'
import { createHostSessions, type HostSessions } from './host-sessions.ts'

const HERE = 'https://gate.example/mcp'
const AGREED = { session: 'mine', version: '2025-11-25', capabilities: { roots: {} } }
const DAY = 24 * 3_600_000

const codeOf = (run: () => unknown): string => {
  try {
    run()
    return 'opened'
  } catch (error) {
    return error instanceof Refusal ? error.code : String(error)
  }
}

const opening = (sessions: HostSessions, id: string, resource = HERE): string =>
  codeOf(() => sessions.open(id, resource))

test('an id says what was agreed, on its own endpoint and for a day', () => {
  verifies('eras.sessions')
  let now = 1_800_000_000_000
  const sessions = createHostSessions(memoryKeyRing(), () => now)
  const id = sessions.issue(AGREED, HERE)
  const { nonce, until, ...agreed } = sessions.open(id, HERE)
  assert.deepEqual([agreed, until], [AGREED, now + DAY])
  assert.notEqual(nonce, '')
  assert.equal(opening(sessions, id, `${HERE}/fix`), 'CG_WIRE_SESSION')
  assert.equal(opening(sessions, 'made-up'), 'CG_WIRE_SESSION')
  now += DAY - 1
  assert.equal(opening(sessions, id), 'opened')
  now += 1
  assert.equal(opening(sessions, id), 'CG_WIRE_SESSION')
})

test('an id that was ended opens no more, and another one of the same host goes on', () => {
  verifies('eras.sessions')
  const sessions = createHostSessions(memoryKeyRing(), () => 0)
  const [one, other] = [sessions.issue(AGREED, HERE), sessions.issue(AGREED, HERE)]
  assert.notEqual(one, other)
  sessions.end(sessions.open(one, HERE))
  assert.equal(opening(sessions, one), 'CG_WIRE_SESSION')
  assert.equal(opening(sessions, other), 'opened')
})

test('an id of a key that was revoked opens no more, within half a second, whatever the clock does', () => {
  const ring = memoryKeyRing()
  let revoked = false
  let opened = 0
  const keys: KeyRing = {
    seal: ring.seal,
    open: (...asked) => {
      opened++
      return revoked ? undefined : ring.open(...asked)
    },
  }
  let now = 1_000_000
  const sessions = createHostSessions(keys, () => now)
  const id = sessions.issue(AGREED, HERE)
  for (let i = 0; i < 10; i++) sessions.open(id, HERE)
  assert.equal(opened, 1, 'a burst of calls costs one decryption')
  revoked = true
  for (const step of [500, -10_000]) {
    now += step
    assert.equal(opening(sessions, id), 'CG_WIRE_SESSION')
  }
})

test('capabilities must fit a header: 4,096 bytes do, 4,098 are refused', () => {
  const sessions = createHostSessions(memoryKeyRing(), () => 0)
  const issuing = (bytes: number): string => {
    const capabilities = { x: 'é'.repeat((bytes - 8) / 2) }
    return codeOf(() => sessions.issue({ ...AGREED, capabilities }, HERE))
  }
  assert.equal(issuing(4_096), 'opened')
  assert.equal(issuing(4_098), 'CG_WIRE_PARAMS')
})
