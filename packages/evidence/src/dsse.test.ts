import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import test from 'node:test'
import { dsseKeyId, openEnvelope, sealEnvelope } from './dsse.ts'

const TYPE = 'application/vnd.example+json'
const ed = generateKeyPairSync('ed25519')
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const keys = new Map([ed, ec].map(({ publicKey }) => [dsseKeyId(publicKey), publicKey]))
const payload = Buffer.from('{"a":1}')

test('an envelope opens with the key that signed it, by Ed25519 and by P-256', () => {
  for (const { privateKey, publicKey } of [ed, ec]) {
    const opened = openEnvelope(JSON.parse(sealEnvelope(TYPE, payload, privateKey)), TYPE, keys)
    assert.deepEqual([opened.payload, opened.keyid], [payload, dsseKeyId(publicKey)])
  }
})

test('signatures of strangers count for nothing', () => {
  const { signatures, ...rest } = JSON.parse(sealEnvelope(TYPE, payload, ed.privateKey))
  const stranger = { keyid: 'somebody', sig: 'AAAA' }
  assert.ok(openEnvelope({ ...rest, signatures: [stranger, ...signatures] }, TYPE, keys))
  assert.throws(
    () => openEnvelope({ ...rest, signatures: [stranger] }, TYPE, keys),
    /signed by `somebody`, which is none/,
  )
})

test('whatever is changed in an envelope, it does not open', () => {
  const sealed = JSON.parse(sealEnvelope(TYPE, payload, ec.privateKey))
  const [signature] = sealed.signatures
  const other = dsseKeyId(ed.publicKey)
  for (const [broken, told] of [
    [null, /not an object/],
    [[], /not an object/],
    [{ ...sealed, payload: Buffer.from('{"a":2}').toString('base64') }, /does not fit/],
    [{ ...sealed, payload: `${sealed.payload}=` }, /not base64/],
    [{ ...sealed, payload: 7 }, /not base64/],
    [{ ...sealed, payloadType: 'text/plain' }, /payloadType/],
    [{ ...sealed, signatures: [] }, /1 to 16/],
    [{ ...sealed, signatures: Array.from({ length: 17 }, () => signature) }, /1 to 16/],
    [{ ...sealed, signatures: [null] }, /not an object/],
    [{ ...sealed, signatures: [{ ...signature, sig: '' }] }, /does not fit/],
    [{ ...sealed, signatures: [{ ...signature, sig: '!' }] }, /not \{ keyid, sig \}/],
    [{ ...sealed, signatures: [{ ...signature, keyid: other }] }, /does not fit/],
    [{ ...sealed, signatures: [{ ...signature, keyid: 'x y' }] }, /not \{ keyid, sig \}/],
  ] as const)
    assert.throws(() => openEnvelope(broken, TYPE, keys), told)
  assert.throws(() => openEnvelope(sealed, 'text/plain', keys), /payloadType/)
})

test('a key of another kind signs nothing', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  assert.throws(() => sealEnvelope(TYPE, payload, privateKey), TypeError)
})
