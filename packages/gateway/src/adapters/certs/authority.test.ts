import assert from 'node:assert/strict'
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { verdictOn } from '../../../../../test/harness/handshake.ts'
import { verifies } from '../../testing/verifies.ts'
import { openLocalAuthority } from './authority.ts'
import { certificatesIn, inspectCertificate } from '../../net/certificate.ts'
import type { LeafRequest } from './names.ts'

const DAY = 86_400_000

const BILLING: LeafRequest = {
  name: 'billing',
  kind: 'client',
  uris: ['spiffe://acme.example/agent/billing'],
  dns: ['billing.acme.example'],
  ips: [],
  days: 30,
}
const GATE: LeafRequest = {
  name: 'gate',
  kind: 'server',
  uris: [],
  dns: ['localhost', '*.acme.example'],
  ips: ['127.0.0.1', '::1'],
  days: 90,
}

function bench(t: TestContext) {
  const top = mkdtempSync(join(tmpdir(), 'callgate-certs-'))
  t.after(() => rmSync(top, { recursive: true, force: true }))
  const folder = join(top, 'state', 'certs')
  const clock = { now: Date.now() }
  const read = (...path: string[]): string => readFileSync(join(folder, ...path), 'latin1')
  return { folder, clock, read, authority: openLocalAuthority(folder, () => clock.now) }
}

const facts = (pem: string) => inspectCertificate(pem, 0)

test('a client of the authority opens a listener that trusts it, through rotations, until it is revoked', async (t) => {
  verifies('play2.rotation')
  const { authority, read } = bench(t)
  const shown = () => ({ pem: read('leaves', 'billing.pem'), keyPem: read('leaves', 'billing.pem') })
  const verdict = (leaf: { pem: string; keyPem: string }) =>
    verdictOn({ shown: [leaf], trusted: [{ pem: read('ca.pem') }], lists: [read('crl.pem')] })

  await authority.init()
  await authority.issue(BILLING)
  const first = shown()
  assert.equal(await verdict(first), 'accepted')

  assert.equal((await authority.rotate({ all: true, ca: true })).length, 2)
  const second = shown()
  assert.notEqual(facts(first.pem).serial, facts(second.pem).serial)
  assert.notEqual(new X509Certificate(first.pem).issuer, new X509Certificate(second.pem).issuer)
  assert.deepEqual([await verdict(first), await verdict(second)], ['accepted', 'accepted'])

  await authority.issue({ ...BILLING, name: 'other' })
  const { row, revoked } = await authority.revoke('billing')
  // The one before the rotation counts until it expires, so it goes as well.
  assert.deepEqual([row.flags, revoked], [['revoked'], 2])
  assert.deepEqual([await verdict(first), await verdict(second)], ['CERT_REVOKED', 'CERT_REVOKED'])
  const other = read('leaves', 'other.pem')
  assert.equal(await verdict({ pem: other, keyPem: other }), 'accepted')

  assert.equal((await authority.revoke('billing')).revoked, 0)
  assert.deepEqual(
    (await authority.rotate({ all: true, ca: false })).map(({ name }) => name),
    ['other'],
  )
  assert.deepEqual((await authority.issue(BILLING)).flags, [])
  assert.equal(await verdict(shown()), 'accepted')
  assert.equal(await verdict(second), 'CERT_REVOKED')
})

test('authority and leaves say what they are for, and no more', async (t) => {
  const { authority, clock, read } = bench(t)
  await authority.init()
  await authority.issue(GATE)
  const ca = new X509Certificate(read('ca.pem'))
  const leaf = new X509Certificate(read('leaves', 'gate.pem'))
  assert.ok(ca.verify(ca.publicKey) && leaf.verify(ca.publicKey) && leaf.checkIssued(ca))
  assert.deepEqual([ca.ca, leaf.ca], [true, false])
  assert.equal(facts(ca.toString()).lifetimeDays, 365)
  const { notBefore, notAfter, uris, dns, ips, usages, lifetimeDays } = facts(leaf.toString())
  assert.deepEqual([uris, dns, ips.length, lifetimeDays], [[], GATE.dns, 2, 90])
  assert.deepEqual(usages, ['1.3.6.1.5.5.7.3.1'])
  assert.ok(Math.abs(clock.now - 300_000 - notBefore) <= 1_000)
  assert.equal(notAfter - notBefore, 90 * DAY)
  assert.deepEqual(leaf.publicKey.asymmetricKeyDetails, { namedCurve: 'prime256v1' })
  // 128 random bits behind a leading byte.
  assert.match(leaf.serialNumber, /^01[0-9A-F]{32}$/)
})

test('every file is 0600, and a reader during rotations always sees a key and the certificate to it', async (t) => {
  const { authority, folder, read } = bench(t)
  await authority.init()
  await authority.issue(BILLING)
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  assert.deepEqual(files.toSorted(), [
    'authorities.pem',
    'ca.pem',
    'crl.pem',
    'issued',
    'issued/billing.pem',
    'leaves',
    'leaves/billing.pem',
  ])
  for (const file of files) {
    const { mode } = statSync(join(folder, file))
    assert.equal(mode & 0o777, file.endsWith('.pem') ? 0o600 : 0o700, file)
  }
  assert.ok(!/PRIVATE/.test(read('ca.pem') + read('crl.pem') + read('issued', 'billing.pem')))

  const seen = new Set<string>()
  const state = { rotating: true }
  const look = async (): Promise<void> => {
    while (state.rotating) {
      const pem = read('leaves', 'billing.pem')
      assert.ok(new X509Certificate(pem).checkPrivateKey(createPrivateKey(pem)))
      seen.add(facts(pem).serial)
      await new Promise(setImmediate)
    }
  }
  const looking = look()
  for (let i = 0; i < 5; i++) await authority.rotate({ all: true, ca: false })
  state.rotating = false
  await looking
  assert.ok(seen.size >= 2, `saw ${seen.size} generations`)
})

test('rotate makes anew what has less than a third of its life left, and nothing before', async (t) => {
  verifies('play2.rotation')
  const { authority, clock, read } = bench(t)
  await authority.init()
  await authority.issue(BILLING)
  await authority.issue(GATE)
  clock.now += 19 * DAY
  assert.deepEqual(await authority.rotate({ all: false, ca: false }), [])
  clock.now += 2 * DAY
  const before = facts(read('leaves', 'billing.pem'))
  assert.deepEqual(
    (await authority.status())
      .filter(({ path }) => path !== undefined)
      .map(({ name, flags }) => [name, flags]),
    [
      ['billing', ['expires soon']],
      ['gate', []],
    ],
  )
  const made = await authority.rotate({ all: false, ca: false })
  assert.deepEqual(
    made.map(({ name, daysLeft }) => [name, daysLeft]),
    [['billing', 29]],
  )
  const after = facts(read('leaves', 'billing.pem'))
  assert.deepEqual([after.uris, after.dns, after.usages], [before.uris, before.dns, before.usages])
  assert.deepEqual(certificatesIn(read('issued', 'billing.pem')).length, 2)
  // The first one has expired by now and need not be revocable any more.
  clock.now += 25 * DAY
  await authority.rotate({ all: false, ca: false })
  assert.deepEqual(certificatesIn(read('issued', 'billing.pem')).length, 2)
})

test('a new authority comes in time, after the leaves that are due, and the old one is trusted until it ends', async (t) => {
  const { authority, clock, read } = bench(t)
  await authority.init()
  const old = new X509Certificate(read('ca.pem'))
  clock.now += 230 * DAY
  await authority.issue(BILLING)
  clock.now += 21 * DAY
  // 114 days are left: less than a third.
  const made = await authority.rotate({ all: false, ca: false })
  assert.deepEqual(
    made.map(({ kind }) => kind),
    ['client', 'ca'],
  )
  assert.ok(new X509Certificate(read('leaves', 'billing.pem')).checkIssued(old))
  assert.equal(certificatesIn(read('ca.pem')).length, 2)
  clock.now += 25 * DAY
  await authority.rotate({ all: false, ca: false })
  const leaf = new X509Certificate(read('leaves', 'billing.pem'))
  assert.ok(!leaf.checkIssued(old) && leaf.checkIssued(new X509Certificate(read('ca.pem'))))
  clock.now += 100 * DAY
  await authority.rotate({ all: false, ca: true })
  const [first = '', second = '', ...more] = certificatesIn(read('ca.pem'))
  assert.deepEqual(more, [])
  assert.ok(![first, second].some((pem) => new X509Certificate(pem).fingerprint256 === old.fingerprint256))
})

test('an authority that would end before the leaf gives out none, and rotate first makes a new one', async (t) => {
  const { authority, clock } = bench(t)
  await authority.init()
  await authority.issue(GATE)
  clock.now += 300 * DAY
  await assert.rejects(
    authority.issue({ ...BILLING, days: 90 }),
    /the authority ends before `billing` would; run/,
  )
  assert.equal((await authority.issue(BILLING)).name, 'billing')
  const made = await authority.rotate({ all: false, ca: false })
  assert.deepEqual(
    made.map(({ kind }) => kind),
    ['ca', 'server'],
  )
  assert.equal((await authority.issue({ ...BILLING, name: 'b', days: 90 })).name, 'b')
})

test('status signs the revocation list again when half of its life is over, and keeps what it revokes', async (t) => {
  const { authority, clock, read } = bench(t)
  await authority.init()
  await authority.issue(BILLING)
  await authority.revoke('billing')
  const list = read('crl.pem')
  clock.now += 3 * DAY
  await authority.status()
  assert.equal(read('crl.pem'), list)
  clock.now += DAY
  const rows = await authority.status()
  assert.notEqual(read('crl.pem'), list)
  assert.deepEqual(
    rows.map(({ kind, daysLeft, flags }) => [kind, daysLeft, flags]),
    [
      ['ca', 360, []],
      ['crl', 7, []],
      ['client', 25, ['revoked']],
    ],
  )
  // Long after the next one was due, too.
  clock.now += 20 * DAY
  assert.deepEqual((await authority.status()).at(-1)?.flags, ['expires soon', 'revoked'])
})

test('a folder that was damaged is refused: a lost list would bring revoked certificates back', async (t) => {
  const { authority, folder, read } = bench(t)
  await assert.rejects(authority.status(), /holds no authority; run `callgate certs init`/)
  await assert.rejects(authority.issue(BILLING), /holds no authority/)
  await authority.init()
  await assert.rejects(authority.init(), /holds an authority already; to renew it, run/)
  const list = read('crl.pem')
  unlinkSync(join(folder, 'crl.pem'))
  await assert.rejects(authority.status(), /lacks the list of an authority; restore it/)
  await assert.rejects(authority.rotate({ all: true, ca: false }), /lacks the list of an authority/)
  writeFileSync(join(folder, 'crl.pem'), list)
  await authority.status()

  const strange = bench(t)
  await strange.authority.init()
  writeFileSync(join(folder, 'crl.pem'), strange.read('crl.pem'))
  await assert.rejects(authority.status(), /lacks the list of an authority/)
  writeFileSync(join(folder, 'authorities.pem'), read('ca.pem'))
  await assert.rejects(authority.status(), /authorities.pem` is damaged; restore it/)
})

test('two processes at once do not lose a revocation: the later one is told to wait', async (t) => {
  const { authority, folder, clock } = bench(t)
  await authority.init()
  await authority.issue(BILLING)
  await authority.issue({ ...BILLING, name: 'other' })
  const second = openLocalAuthority(folder, () => clock.now)
  const both = await Promise.allSettled([authority.revoke('billing'), second.revoke('other')])
  for (const [i, name] of ['billing', 'other'].entries()) {
    const ended = both[i]
    if (ended?.status !== 'rejected') continue
    assert.match(String(ended.reason), /is being written by another process; wait until it has ended/)
    await authority.revoke(name)
  }
  assert.equal(both.filter(({ status }) => status === 'rejected').length, 1)
  const leaves = (await authority.status()).filter(({ path }) => path !== undefined)
  assert.deepEqual(
    leaves.map(({ flags }) => flags),
    [['revoked'], ['revoked']],
  )
})

test('what a certificate should not say is refused before anything is written', async (t) => {
  const { authority, folder } = bench(t)
  await authority.init()
  const refused: readonly [Partial<LeafRequest>, RegExp][] = [
    [{ name: '../ca' }, /^Error: name `..\/ca` is not allowed \(expected/],
    [{ name: '' }, /name `` is not allowed/],
    [{ name: '-a' }, /name `-a` is not allowed/],
    [{ name: 'a'.repeat(65) }, /is not allowed/],
    [{ days: 91 }, /life is `91` days \(expected an integer from 1 to 90\)/],
    [{ days: 0 }, /life is `0` days/],
    [{ days: 1.5 }, /life is `1.5` days/],
    [{ uris: ['https://acme.example/a'] }, /URI `https:\/\/acme.example\/a` is no SPIFFE id/],
    [{ uris: ['spiffe://acme.example'] }, /is no SPIFFE id/],
    [{ uris: ['spiffe://ACME.example/a'] }, /is no SPIFFE id/],
    [{ uris: ['spiffe://acme.example/a/../b'] }, /is no SPIFFE id/],
    [{ uris: ['spiffe://acme.example/a', 'spiffe://acme.example/b'] }, /names one workload; give one URI/],
    [{ uris: [], dns: [] }, /`billing` would name nobody; a client is known by/],
    [{ dns: ['*.acme.example'] }, /DNS name `\*.acme.example` is not allowed in a client certificate/],
    [{ dns: ['a b'] }, /DNS name `a b` is not allowed/],
    [{ dns: ['127.0.0.1'] }, /DNS name `127.0.0.1` is not allowed/],
    [{ ips: ['127.0.0.1'] }, /`127.0.0.1` does not belong in a client certificate/],
    [{ kind: 'server' }, /`spiffe:\/\/acme.example\/agent\/billing` does not belong in a server certificate/],
    [{ kind: 'server', uris: [], ips: ['127.0.0.1/8'] }, /address `127.0.0.1\/8` is none/],
    [{ kind: 'server', uris: [], dns: [] }, /would name nobody; a server is known by/],
  ]
  for (const [change, message] of refused) {
    await assert.rejects(authority.issue({ ...BILLING, ...change }), (error) => message.test(String(error)))
  }
  await assert.rejects(authority.revoke('billing'), /there is no certificate `billing`; none was issued/)
  await assert.rejects(authority.revoke('../ca'), /is not allowed/)
  assert.deepEqual(readdirSync(folder).toSorted(), ['authorities.pem', 'ca.pem', 'crl.pem'])

  for (const near of [
    { name: 'a'.repeat(64) },
    { name: '0-9', days: 90 },
    { name: 'x', uris: ['spiffe://acme.example/a/...b'] },
    { name: 'd', uris: [], dns: ['x-1.acme.example'] },
  ]) {
    await authority.issue({ ...BILLING, ...near })
  }
  await assert.rejects(
    authority.issue({ ...BILLING, name: 'd' }),
    /`d` has a certificate; run `callgate certs rotate`/,
  )
  await assert.rejects(authority.revoke('e'), /there is no certificate `e`; there are `0-9`, `a+`, `d`, `x`/)
})
