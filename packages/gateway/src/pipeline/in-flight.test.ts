import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Refusal } from '../call/refusal.ts'
import { identifiedCall } from '../testing/calls.ts'
import { verifies } from '../testing/verifies.ts'
import { InFlight } from './in-flight.ts'

const call = (id: string, session: string, requestId: string | number) =>
  identifiedCall({ id, requestId, session: { id: session, calls: 1, labels: [], key: 'session' } })

test('a host cancels the one call of its own session that it names, and nobody else’s', () => {
  verifies('call.cancel')
  const inFlight = new InFlight(() => 0)
  const mine = inFlight.begin(call('a', 'mine', 1), 1_000)
  const theirs = inFlight.begin(call('b', 'theirs', 1), 1_000)
  assert.equal(inFlight.cancel('nobody', 1), false)
  assert.equal(inFlight.cancel('mine', '1'), false, 'a text is no number')
  assert.equal(inFlight.cancel('mine', 1), true)
  assert.deepEqual([mine.controller.signal.aborted, theirs.controller.signal.aborted], [true, false])
  inFlight.end(mine)
  inFlight.end(theirs)
  assert.equal(inFlight.size, 0)
})

test('of two calls of one session with one id neither is cancelled: a wrong cancel is worse than a late one', () => {
  const inFlight = new InFlight(() => 0)
  const both = [inFlight.begin(call('a', 's', 1), 1_000), inFlight.begin(call('b', 's', 1), 1_000)]
  assert.equal(inFlight.cancel('s', 1), false)
  assert.ok(both.every(({ controller }) => !controller.signal.aborted))
  const [first] = both
  if (first !== undefined) inFlight.end(first)
  assert.equal(inFlight.cancel('s', 1), true)
})

test('deadlines pass one by one, and a call that has ended is left alone', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let now = 0
  const inFlight = new InFlight(() => now)
  const early = inFlight.begin(call('a', 's', 1), 100)
  const late = inFlight.begin(call('b', 's', 2), 1_000)
  now = 100
  t.mock.timers.tick(100)
  assert.deepEqual([early.controller.signal.aborted, late.controller.signal.aborted], [true, false])
  assert.equal((early.controller.signal.reason as Refusal).code, 'CG_CALL_DEADLINE')
  inFlight.end(early)
  inFlight.end(late)
  now = 2_000
  t.mock.timers.tick(100)
  assert.equal(late.controller.signal.aborted, false)
})

test('all calls end at once when the gate stops', () => {
  const inFlight = new InFlight(() => 0)
  const both = [inFlight.begin(call('a', 's', 1), 1), inFlight.begin(call('b', 't', 1), 1)]
  inFlight.abortAll(new Refusal('CG_WIRE_DRAINING'))
  assert.ok(both.every(({ controller }) => controller.signal.aborted))
  assert.equal(inFlight.abort('nothing', new Refusal('CG_CALL_CANCELLED')), false)
})

test('a call that waits for its host keeps the rest of its time, also when two waits overlap', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let now = 0
  const inFlight = new InFlight(() => now)
  const entry = inFlight.begin(call('a', 's', 1), 1_000)
  const { signal } = entry.controller
  const at = (ms: number): boolean => {
    now = ms
    t.mock.timers.tick(100)
    return signal.aborted
  }
  const first = inFlight.wait('a', 60_000)
  now = 5_000
  const second = inFlight.wait('a', 60_000)
  first()
  assert.equal(at(50_000), false, 'the second question is open still')
  second()
  assert.equal(at(50_999), false)
  assert.equal(at(51_001), true, 'a second of life was left, not another minute')
})

test('a wait that nobody ends has an end of its own, and a call that is gone waits for nothing', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let now = 0
  const inFlight = new InFlight(() => now)
  const { controller } = inFlight.begin(call('a', 's', 1), 1_000)
  inFlight.wait('a', 5_000)
  inFlight.wait('nobody', 5_000)()
  now = 4_999
  t.mock.timers.tick(100)
  assert.equal(controller.signal.aborted, false)
  now = 5_001
  t.mock.timers.tick(100)
  assert.equal(controller.signal.aborted, true)
})
