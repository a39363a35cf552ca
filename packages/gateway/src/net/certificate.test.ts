import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { type Name, makeCa, makeCertificate } from '../../../../test/harness/pki.ts'
import { alternativeNames, certificatesIn, inspectCertificate } from './certificate.ts'

const DAY = 86_400_000
const root = makeCa()

test('a certificate is read with its names by kind, its use and its days', () => {
  const names: Name[] = [
    { uri: 'spiffe://acme.example/agent/x' },
    { dns: 'x.acme.example' },
    { ip: '192.0.2.1' },
    { email: 'x@acme.example' },
    { dn: 'x' },
  ]
  const { pem, serial } = makeCertificate({
    issuer: root,
    subject: ['a', 'b'],
    from: 0,
    until: 10 * DAY,
    names,
  })
  const now = Date.now()
  const { notBefore, notAfter, ...facts } = inspectCertificate(pem, now)
  assert.deepEqual(facts, {
    subject: 'CN=a, CN=b',
    serial: serial.toString('hex'),
    ca: false,
    usages: ['1.3.6.1.5.5.7.3.2'],
    uris: ['spiffe://acme.example/agent/x'],
    dns: ['x.acme.example'],
    ips: ['192.0.2.1'],
    lifetimeDays: 10,
    daysLeft: 9,
  })
  assert.equal(notAfter - notBefore, 10 * DAY)
  assert.equal(inspectCertificate(pem, notAfter + 1).daysLeft, -1)
})

test('a life of 90 days is 90, and one second more is 91', () => {
  const life = (until: number): number =>
    inspectCertificate(makeCertificate({ issuer: root, from: 0, until }).pem, 0).lifetimeDays
  assert.equal(life(90 * DAY), 90)
  assert.equal(life(90 * DAY + 1_000), 91)
})

test('a name that holds a comma and another kind stays one name (CVE-2021-44532)', () => {
  for (const forged of ['http://x/, DNS:bank.example', 'a", DNS:bank.example', 'a\\", DNS:bank.example']) {
    const { pem } = makeCertificate({ issuer: root, names: [{ uri: forged }, { dns: 'mine.example' }] })
    const { uris, dns } = inspectCertificate(pem, 0)
    assert.deepEqual([uris, dns], [[forged], ['mine.example']])
  }
})

test('any names of a certificate come back as they were put in, in their order', () => {
  const text = fc.string({
    unit: fc.integer({ min: 1, max: 127 }).map((c) => String.fromCharCode(c)),
    maxLength: 30,
  })
  const kind = fc.constantFrom('dns', 'uri', 'email')
  const types: Readonly<Record<string, string>> = { dns: 'DNS', uri: 'URI', email: 'email' }
  const { keys } = makeCertificate({ issuer: root })
  fc.assert(
    fc.property(fc.array(fc.tuple(kind, text), { minLength: 1, maxLength: 5 }), (entries) => {
      const names = entries.map(([of, value]): Name =>
        of === 'dns' ? { dns: value } : of === 'uri' ? { uri: value } : { email: value },
      )
      const { pem } = makeCertificate({ issuer: root, key: keys, names })
      assert.deepEqual(
        alternativeNames(new X509Certificate(pem).subjectAltName ?? ''),
        entries.map(([of, value]) => ({ type: types[of], value })),
      )
    }),
    { numRuns: 200 },
  )
})

test('a text of another form is refused rather than guessed at', () => {
  assert.deepEqual(alternativeNames(''), [])
  assert.deepEqual(alternativeNames('DNS:a, IP Address:127.0.0.1'), [
    { type: 'DNS', value: 'a' },
    { type: 'IP Address', value: '127.0.0.1' },
  ])
  for (const text of [
    'a',
    'DNS:a,URI:b',
    'DNS:"a',
    'DNS:"a"b',
    'DNS:a, ',
    'DNS:"\\x"',
    'DNS:a"b"',
    ', DNS:a',
  ]) {
    assert.throws(() => alternativeNames(text), /cannot be told apart/, text)
  }
})

test('the certificates of a file are found among keys and notes', () => {
  const { pem, keyPem } = makeCertificate({ issuer: root })
  assert.deepEqual(certificatesIn(`note\n${keyPem}${pem}\n${root.pem}`), [pem.trim(), root.pem.trim()])
  assert.deepEqual(certificatesIn(keyPem), [])
})
