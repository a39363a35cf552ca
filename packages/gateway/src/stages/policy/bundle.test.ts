import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import test from 'node:test'
import { dsseKeyId, sealEnvelope } from '@callgate/evidence'
import * as fc from 'fast-check'
import { verifies } from '../../testing/verifies.ts'
import { BUNDLE_TYPE, BundleRefused, bundleKeys, openBundle, sealBundle } from './bundle.ts'
import { ALLOW_ALL, NOW } from './testing/fixtures.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const keys = new Map([[dsseKeyId(publicKey), publicKey]])
const contents = {
  version: 7,
  createdAt: NOW,
  files: [{ file: 'policy.yaml', text: ALLOW_ALL }],
  cases: [{ file: 'policy.golden.yaml', text: '---\n' }],
}
const payload = {
  v: 1,
  version: 7,
  created: new Date(NOW).toISOString(),
  files: [{ name: 'policy.yaml', text: ALLOW_ALL }],
}

/** What is said of a payload that is signed rightly. */
function told(value: unknown): string {
  const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  try {
    openBundle(Buffer.from(sealEnvelope(BUNDLE_TYPE, bytes, privateKey)), keys)
  } catch (error) {
    assert.ok(error instanceof BundleRefused, String(error))
    return error.message
  }
  return ''
}

test('a bundle opens to what was sealed, named by its place', () => {
  verifies('play3.policy-bundle')
  const opened = openBundle(Buffer.from(sealBundle(contents, privateKey)), keys)
  assert.deepEqual(
    { ...opened, sha256: opened.sha256.length },
    {
      version: 7,
      createdAt: NOW,
      files: [{ file: 'bundle:policy.yaml', text: ALLOW_ALL }],
      cases: [{ file: 'bundle:policy.golden.yaml', text: '---\n' }],
      keyId: dsseKeyId(publicKey),
      sha256: 64,
    },
  )
})

test('signed bytes of another form are no bundle', () => {
  assert.equal(told(payload), '')
  for (const [broken, why] of [
    ['[]', /not a JSON object/],
    ['{"v":1,"v":1}', /not one unambiguous JSON object/],
    [{ ...payload, v: 2 }, /expected `v: 1`/],
    [{ ...payload, more: 1 }, /expected `v: 1`/],
    [{ ...payload, version: 0 }, /has no version/],
    [{ ...payload, version: 1.5 }, /has no version/],
    [{ ...payload, version: '7' }, /has no version/],
    [{ ...payload, created: '2026-11-22' }, /has no time/],
    [{ ...payload, created: 7 }, /has no time/],
    [{ ...payload, files: [] }, /has no rule file/],
    [{ ...payload, files: {} }, /not a list/],
    [{ ...payload, files: [null] }, /no name of its own/],
    [{ ...payload, files: [...payload.files, ...payload.files] }, /no name of its own/],
    [{ ...payload, files: [{ name: 'a\nb', text: '' }] }, /no name of its own/],
    [{ ...payload, files: [{ name: 'a', text: 7 }] }, /no text/],
    [{ ...payload, cases: [{ name: 'a' }] }, /no text/],
  ] as const)
    assert.match(told(broken), why)
})

test('keys are public ones of Ed25519 and P-256', () => {
  const pem = (key: typeof publicKey, type: 'spki' | 'pkcs8'): string =>
    key.export({ type, format: 'pem' }).toString()
  const other = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  assert.deepEqual([...bundleKeys([{ file: 'a', pem: pem(publicKey, 'spki') }]).keys()], [...keys.keys()])
  for (const [text, why] of [
    [pem(privateKey, 'pkcs8'), /`k` is a private key/],
    [pem(other.publicKey, 'spki'), /neither an Ed25519 nor a P-256 key/],
    ['no key', /`k` is no public key/],
  ] as const)
    assert.throws(() => bundleKeys([{ file: 'k', pem: text }]), why)
})

test('fuzz: whatever bytes are offered, nothing but what was signed comes out of them', () => {
  const sealed = Buffer.from(sealBundle(contents, privateKey))
  const whole = JSON.stringify(openBundle(sealed, keys))
  const cut = fc.integer({ min: 0, max: sealed.length - 2 }).map((at) => sealed.subarray(0, at))
  const flipped = fc.tuple(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, bits]) => {
    const bytes = Buffer.from(sealed)
    bytes[at] = (bytes[at] ?? 0) ^ bits
    return bytes
  })
  const any = fc.oneof(
    cut,
    flipped,
    fc.uint8Array({ maxLength: 64 }).map(Buffer.from),
    fc.json().map(Buffer.from),
  )
  fc.assert(
    fc.property(any, (bytes) => {
      try {
        assert.equal(JSON.stringify(openBundle(bytes, keys)), whole)
      } catch (error) {
        assert.ok(error instanceof BundleRefused, String(error))
      }
    }),
    { numRuns: 400 },
  )
})
