import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { judgeHost, normalizeHost } from './address.ts'

const LINK_LOCAL = [
  '169.254.169.254',
  '169.254.0.1',
  'fe80::1',
  'febf::1',
  '::ffff:169.254.169.254',
  '::ffff:0:169.254.169.254',
  '::169.254.169.254',
  '64:ff9b::169.254.169.254',
  '64:ff9b:1::169.254.169.254',
  '2002:a9fe:a9fe::1',
  '2001:0:a9fe:a9fe::1',
  'fd00:ec2::254',
  'fd20:ce::254',
  '100.100.100.200',
  '168.63.129.16',
  'metadata.google.internal',
  'metadata',
]
const PRIVATE = [
  '127.0.0.1',
  '10.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '100.64.0.1',
  '0.0.0.0',
  '0.1.2.3',
  '255.255.255.255',
  '224.0.0.1',
  '240.0.0.1',
  '192.0.2.1',
  '198.18.0.1',
  '::',
  '::1',
  'fc00::1',
  'fd12:3456::1',
  'ff02::1',
  '2001:db8::1',
  '3fff::1',
  '4000::1',
  '::ffff:10.0.0.1',
  '64:ff9b::10.0.0.1',
  'fe80::1%eth0',
  'localhost',
  'a.localhost',
  'db.internal',
  'printer.local',
  'intranet',
]
const GLOBAL = [
  '1.1.1.1',
  '172.15.255.255',
  '172.32.0.1',
  '169.253.255.255',
  '100.63.255.255',
  '100.128.0.1',
  '168.63.129.17',
  '2606:4700::1111',
  '64:ff9b::8.8.8.8',
  'example.com',
  'local.example.com',
  'metadata.example.com',
]

test('link-local and metadata hosts are link-local in every embedding', () => {
  for (const host of LINK_LOCAL) {
    const judged = judgeHost(host)
    assert.equal(judged.isLinkLocal && judged.isPrivate, true, host)
  }
})

test('private, loopback, reserved and inside names are private and not link-local', () => {
  for (const host of PRIVATE.filter((one) => !one.startsWith('fe80'))) {
    const judged = judgeHost(host)
    assert.deepEqual([judged.isPrivate, judged.isLinkLocal], [true, false], host)
  }
})

test('the neighbours of every range are global', () => {
  for (const host of GLOBAL) {
    const judged = judgeHost(host)
    assert.deepEqual([judged.isPrivate, judged.isLinkLocal], [false, false], host)
  }
})

test('a host has one form whatever its base, width, escapes and dots', () => {
  for (const host of [
    '2852039166',
    '0xa9fea9fe',
    '0251.0376.0251.0376',
    '169.254.43518',
    '１６９.254.169.254',
    '%31%36%39.254.169.254',
    '169.254.169.254.',
  ]) {
    assert.equal(normalizeHost(host), '169.254.169.254', host)
  }
  assert.equal(normalizeHost('EXAMPLE.com..'), 'example.com')
  assert.equal(normalizeHost('a b'), undefined)
  assert.equal(normalizeHost('a@b'), undefined)
})

test('every IPv4 address is judged alike in dotted, integer and mapped form', () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), (value) => {
      const dotted = [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
      assert.equal(normalizeHost(String(value)), dotted)
      assert.equal(normalizeHost(`0x${value.toString(16)}`), dotted)
      const plain = judgeHost(dotted)
      const mapped = judgeHost(normalizeHost(`[::ffff:${dotted}]`) ?? '')
      assert.equal(mapped.isLinkLocal, plain.isLinkLocal)
      assert.equal(mapped.isPrivate, true)
    }),
    { numRuns: 300 },
  )
})
