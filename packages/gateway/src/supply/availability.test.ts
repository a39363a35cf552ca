import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../testing/verifies.ts'
import { Availability, type AvailabilityEvent } from './availability.ts'

const GONE = { reason: 'unavailable', why: 'gone' } as const

function bench(): { availability: Availability; told: AvailabilityEvent[] } {
  const told: AvailabilityEvent[] = []
  return { availability: new Availability((event) => void told.push(event)), told }
}

test('a server that is away is told once, not each try, and once when it is back', (t) => {
  verifies('hosts.unavailable-told')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { availability, told } = bench()
  availability.found('good', undefined)
  for (let i = 0; i < 5; i++) {
    availability.found('dead', GONE)
    t.mock.timers.tick(10_000)
  }
  assert.deepEqual(told, [{ event: 'server.unavailable', server: 'dead', ...GONE }])
  availability.found('dead', undefined)
  assert.deepEqual(told.slice(1), [{ event: 'server.available', server: 'dead' }])
})

test('a server that flaps is told to go and to come once in ten seconds, and that it stays away is told after them', (t) => {
  verifies('hosts.unavailable-told')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { availability, told } = bench()
  for (let i = 0; i < 99; i++) {
    availability.found('fix', i % 2 === 0 ? GONE : undefined)
    t.mock.timers.tick(100)
  }
  const events = (): string[] => told.map(({ event }) => event)
  assert.deepEqual(events(), ['server.unavailable', 'server.available'])
  t.mock.timers.tick(10_000)
  assert.deepEqual(events(), ['server.unavailable', 'server.available', 'server.unavailable'])
  availability.found('fix', undefined)
  availability.found('fix', GONE)
  availability.stop()
  t.mock.timers.tick(60_000)
  assert.equal(told.length, 4, 'what waits to be told when the gate stops is dropped')
})
