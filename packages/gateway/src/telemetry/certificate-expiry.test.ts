import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../testing/verifies.ts'
import { CertificateExpiry } from './certificate-expiry.ts'

const DAY_MS = 86_400_000
const START = Date.UTC(2026, 0, 1)

/** A watch with a clock, and what it told: event and days left. */
function bench() {
  const told: string[] = []
  let now = START
  const expiry = new CertificateExpiry(
    (event, { use, name, days }) => void told.push(`${event} ${use} ${name} ${days}`),
    () => now,
  )
  const take = (): string[] => told.splice(0)
  const at = (days: number): string[] => {
    now = START + days * DAY_MS
    expiry.check()
    return take()
  }
  return { expiry, take, at }
}

const life = (name: string, from: number, to: number) => ({
  name,
  notBefore: START + from * DAY_MS,
  notAfter: START + to * DAY_MS,
})

test('a certificate is told once at 30, 14, 7, 3 and 1 days before its end, and at it', () => {
  verifies('play2.rotation.expiry')
  const { expiry, at, take } = bench()
  expiry.hold('listener.tls.cert', [life('gate', 0, 90)])
  assert.deepEqual(take(), [])
  const said = Array.from({ length: 93 }, (_, day) => at(day)).flat()
  assert.deepEqual(
    said,
    ['expiring 30', 'expiring 14', 'expiring 7', 'expiring 3', 'expiring 1', 'expired 0'].map((each) => {
      const [event, days] = each.split(' ')
      return `tls.${event} listener.tls.cert gate ${days}`
    }),
  )
})

test('at a start the nearest limit is told alone; a renewed certificate begins anew, and the same one read again does not', () => {
  verifies('play2.rotation.expiry')
  const { expiry, at, take } = bench()
  expiry.hold('servers.crm.tls.cert', [life('gate', -84, 6)])
  assert.deepEqual(take(), ['tls.expiring servers.crm.tls.cert gate 6'])
  expiry.hold('servers.crm.tls.cert', [life('gate', -84, 6)])
  assert.deepEqual(take(), [])
  expiry.hold('servers.crm.tls.cert', [life('gate', 0, 90)])
  assert.deepEqual([...take(), ...at(5)], [])
  expiry.hold('listener.tls.cert', [life('old', -90, 1)])
  assert.deepEqual(take(), ['tls.expired listener.tls.cert old -4'])
})

test('what lives for a day by design is told when less than a third of its life is left', () => {
  const { expiry, at, take } = bench()
  expiry.hold('servers.a.tls.cert', [life('svid', 0, 1)])
  assert.deepEqual([...take(), ...at(0.6)], [])
  assert.deepEqual(at(0.7), ['tls.expiring servers.a.tls.cert svid 0'])
  assert.deepEqual(at(0.9), [])
  assert.deepEqual(at(1), ['tls.expired servers.a.tls.cert svid 0'])
})

test('the metric holds each end in seconds, of two of one name the first, and no label breaks its line', () => {
  verifies('play2.rotation.expiry')
  const { expiry } = bench()
  expiry.hold('listener.tls.clientCa', [life('CA', 0, 90), life('CA', 0, 30)])
  expiry.hold('servers.a.tls.cert', [life('C="x"\n\\', 0, 60)])
  const seconds = (days: number): number => (START + days * DAY_MS) / 1_000
  assert.deepEqual(expiry.metrics().split('\n').slice(1), [
    '# TYPE callgate_certificate_expiry_timestamp_seconds gauge',
    `callgate_certificate_expiry_timestamp_seconds{use="listener.tls.clientCa",name="CA"} ${seconds(30)}`,
    `callgate_certificate_expiry_timestamp_seconds{use="servers.a.tls.cert",name="C=\\"x\\"\\n\\\\"} ${seconds(60)}`,
    '',
  ])
})
