import assert from 'node:assert/strict'
import { test } from 'node:test'
import { receivedCall } from '../../testing/calls.ts'
import { memoryKeyRing } from '../../testing/key-ring.ts'
import { verifies } from '../../testing/verifies.ts'
import { ANSWER_MS, bindingOf, createRequestStates } from './request-state.ts'

const clock = { now: 1_800_000_000_000 }
const states = createRequestStates(memoryKeyRing(), () => clock.now)
const STATE = { upstream: 'opaque', asked: { name: { method: 'elicitation/create', params: {} } } } as const

test('a state opens for the session and the call that it was given to, and for nobody else', () => {
  verifies('bridge.parked-state')
  const binding = bindingOf(receivedCall())
  const sealed = states.seal(STATE, 'alice', binding)
  assert.deepEqual(states.open(sealed, 'alice', binding), {
    ...STATE,
    call: undefined,
    until: clock.now + ANSWER_MS,
  })
  assert.equal(states.open(sealed, 'mallory', binding), undefined)
  for (const other of [
    receivedCall({ args: { text: 'y' } }),
    receivedCall({ requested: 'fix__other' }),
    receivedCall({ method: 'prompts/get' }),
    receivedCall({
      caller: {
        ...receivedCall().caller,
        endpoint: { server: 'fix', resource: 'https://gate.example/mcp/fix' },
      },
    }),
  ]) {
    assert.equal(states.open(sealed, 'alice', bindingOf(other)), undefined)
  }
})

test('a state opens for five minutes, to the millisecond', () => {
  verifies('bridge.parked-state')
  const sealed = states.seal(STATE, 'alice', 'b')
  clock.now += ANSWER_MS - 1
  assert.notEqual(states.open(sealed, 'alice', 'b'), undefined)
  clock.now += 1
  assert.equal(states.open(sealed, 'alice', 'b'), undefined)
})

test('members in another order are the same call: hosts write their arguments anew', () => {
  const one = bindingOf(receivedCall({ args: { a: 1, b: [true] } }))
  assert.equal(bindingOf(receivedCall({ args: { b: [true], a: 1 } })), one)
  assert.notEqual(bindingOf(receivedCall({ args: { a: 1, b: [false] } })), one)
})
