import assert from 'node:assert/strict'
import { constants, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { importJwks } from '../../adapters/keys/jwk.ts'
import { isJsonObject } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import type { VerificationKey } from '../../ports/key-source.ts'
import { corpusRows } from '../../testing/corpora.ts'
import { verifies } from '../../testing/verifies.ts'
import { SIGNATURE_ALGORITHMS, parseJws, verifyJws } from './jws.ts'
import { KEY, encode, refuses, token } from './testing/bench.ts'

// Symmetric by design never verify here, valid as they are: HS256 of the corpus, by row id.
const REFUSED_VALID = [
  'wycheproof-json_web_crypto-1',
  'wycheproof-json_web_key-2',
  'wycheproof-json_web_signature-1',
  'wycheproof-json_web_signature-352',
  'wycheproof-json_web_signature-357',
  'wycheproof-json_web_signature-372',
  'wycheproof-json_web_signature-376',
  'wycheproof-json_web_signature-377',
]

test('Wycheproof: every invalid JWS fails, every valid one with a listed asymmetric algorithm verifies', (t) => {
  verifies('play2.jwt-claims.jws-corpus')
  const refused: string[] = []
  let judged = 0
  let verified = 0
  for (const name of ['signature', 'crypto', 'key']) {
    const rows = corpusRows(t, `jwt/wycheproof-json_web_${name}.jsonl`)
    if (rows === undefined) return
    for (const row of rows) {
      // Rows of json_web_crypto without `jws` are encryption, which the gate does not read.
      if (row['jws'] === undefined) continue
      judged++
      const id = String(row['id'])
      const text = typeof row['jws'] === 'string' ? row['jws'] : JSON.stringify(row['jws'])
      const passed = verdict(text, candidates(row['group_meta']))
      if (row['result'] === 'valid' && !passed) refused.push(id)
      else if (passed) verified++
      assert.ok(
        !(row['result'] === 'invalid' && passed),
        `${id} (${String(row['comment'])}) is invalid and verified`,
      )
    }
  }
  assert.deepEqual(refused.sort(), REFUSED_VALID.toSorted())
  assert.deepEqual({ judged, verified }, { judged: 192, verified: 14 })
})

function candidates(meta: unknown): readonly VerificationKey[] {
  if (!isJsonObject(meta)) return []
  const published: unknown = meta['public'] ?? meta['private']
  const set = isJsonObject(published) && Array.isArray(published['keys']) ? published : { keys: [published] }
  try {
    return [...importJwks(JSON.stringify(set)).keys.values()]
  } catch {
    return []
  }
}

/** Any throw but a Refusal is a fault of ours and fails the test. */
function verdict(text: string, keys: readonly VerificationKey[]): boolean {
  try {
    verifyJws(text, keys)
    return true
  } catch (error) {
    if (error instanceof Refusal) return false
    throw error
  }
}

test('each listed algorithm verifies with its own key and with no other', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  const curves = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }
  const pairs = new Map<string, { publicKey: KeyObject; privateKey: KeyObject }>()
  for (const alg of SIGNATURE_ALGORITHMS) {
    const curve = Object.entries(curves).find(([name]) => name === alg)?.[1]
    if (curve !== undefined) pairs.set(alg, generateKeyPairSync('ec', { namedCurve: curve }))
    else pairs.set(alg, alg.startsWith('Ed') ? generateKeyPairSync('ed25519') : rsa)
  }
  for (const [alg, { privateKey }] of pairs) {
    const signed = `${encode(JSON.stringify({ alg, kid: 'k' }))}.${encode('{}')}`
    const text = `${signed}.${signWith(alg, signed, privateKey).toString('base64url')}`
    for (const [other, { publicKey }] of pairs) {
      const key: VerificationKey = { kid: 'k', alg: other, key: publicKey }
      const sameFamily =
        other.slice(0, 2) === alg.slice(0, 2) && publicKey.equals(pairs.get(alg)?.publicKey ?? privateKey)
      assert.equal(verdict(text, [key]), sameFamily, `${alg} with a key for ${other}`)
      if (other === alg) assert.equal(verdict(text, [{ ...key, alg: undefined }]), true)
      assert.equal(verdict(text, [{ ...key, alg: 'ECDH-ES' }]), false)
    }
  }
})

function signWith(alg: string, signed: string, key: KeyObject): Buffer {
  const data = Buffer.from(signed)
  if (alg.startsWith('Ed')) return sign(null, data, key)
  const hash = `sha${alg.slice(2)}`
  if (alg.startsWith('ES')) return sign(hash, data, { key, dsaEncoding: 'ieee-p1363' })
  if (alg.startsWith('RS')) return sign(hash, data, { key })
  return sign(hash, data, {
    key,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: Number(alg.slice(2)) / 8,
  })
}

test('a PSS salt of another length and an RSA key below 2048 bits are refused', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  const signed = `${encode('{"alg":"PS256","kid":"k"}')}.${encode('{}')}`
  const key: VerificationKey = { kid: 'k', alg: 'PS256', key: publicKey }
  const withSalt = (saltLength: number): string => {
    const signature = sign('sha256', Buffer.from(signed), {
      key: privateKey,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength,
    })
    return `${signed}.${signature.toString('base64url')}`
  }
  for (const saltLength of [0, 20, 31, 33]) {
    await refuses(() => verifyJws(withSalt(saltLength), [key]), 'CG_IDENTITY_SIGNATURE', /does not verify/)
  }
  verifyJws(withSalt(32), [key])
  const short = generateKeyPairSync('rsa', { modulusLength: 1_024 })
  const plain = `${encode('{"alg":"RS256","kid":"k"}')}.${encode('{}')}`
  const text = `${plain}.${signWith('RS256', plain, short.privateKey).toString('base64url')}`
  await refuses(
    () => verifyJws(text, [{ kid: 'k', alg: undefined, key: short.publicKey }]),
    'CG_IDENTITY_ALGORITHM',
    /rsa/,
  )
})

test('an ECDSA signature in DER, too short or too long is refused by its length', async () => {
  const text = token()
  const [head = '', body = '', tail = ''] = text.split('.')
  const raw = Buffer.from(tail, 'base64url')
  for (const bytes of [
    raw.subarray(1),
    Buffer.concat([raw, Buffer.alloc(1)]),
    Buffer.alloc(0),
    Buffer.alloc(71, 0x30),
  ]) {
    const changed = `${head}.${body}.${bytes.toString('base64url')}`
    await refuses(() => verifyJws(changed, [KEY]), 'CG_IDENTITY_SIGNATURE', /expected 64 for `ES256`/)
  }
  verifyJws(text, [KEY])
})

test('headers that bring keys or extensions are refused', async () => {
  for (const name of ['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c', 'zip', 'enc']) {
    const text = token({}, { header: { [name]: name === 'crit' ? ['exp'] : {} } })
    await refuses(() => verifyJws(text, [KEY]), 'CG_IDENTITY_MALFORMED', new RegExp(`header has \`${name}\``))
  }
  verifyJws(token({}, { header: { x5t: 'thumbprint', cty: 'json' } }), [KEY])
  // Without a kid the only candidate is asked; among two the token has to say which.
  const nameless = token({}, { header: { kid: undefined } })
  verifyJws(nameless, [KEY])
  await refuses(
    () => verifyJws(nameless, [KEY, { ...KEY, kid: 'k2' }]),
    'CG_IDENTITY_KEY_UNKNOWN',
    /none of 2 keys/,
  )
  await refuses(() => verifyJws(token({}, { header: { kid: 7 } }), [KEY]), 'CG_IDENTITY_MALFORMED', /`kid`/)
})

test('base64url that is padded, spaced, of the other alphabet or not canonical is refused', async () => {
  const text = token()
  const [head = '', body = '', tail = ''] = text.split('.')
  // 64 bytes end in one character of which four bits are stray: the next character decodes to the same bytes.
  const last = tail.at(-1) ?? ''
  const stray = tail.slice(0, -1) + String.fromCharCode(last.charCodeAt(0) + 1)
  assert.deepEqual(Buffer.from(stray, 'base64url'), Buffer.from(tail, 'base64url'))
  const changed = [
    `${head}.${body}.${stray}`,
    `${head}.${body}.${tail}=`,
    `${head}=.${body}.${tail}`,
    ` ${text}`,
    `${text}\n`,
    `${head}.${body} .${tail}`,
    `${head}.${body}.${tail.slice(0, -2)}+/`,
    `${head}.${body}.${tail}.`,
    `${head}.${body}`,
    '..',
    '',
    `${head}..${tail}.${tail}.x`,
  ]
  for (const wrong of changed) {
    await refuses(() => verifyJws(wrong, [KEY]), 'CG_IDENTITY_MALFORMED', /base64url|three parts|header/)
  }
  verifyJws(text, [KEY])
})

test('whatever text comes, the parser answers with a Refusal or a token', () => {
  const part = fc.oneof(
    fc.string(),
    fc.base64String(),
    fc.jsonValue().map((value) => encode(JSON.stringify(value))),
    fc.constant(encode('{"alg":"ES256","kid":"k"}')),
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.tuple(part, part, part).map((parts) => parts.join('.')),
      ),
      (text) => {
        try {
          assert.ok(SIGNATURE_ALGORITHMS.has(parseJws(text).alg))
        } catch (error) {
          assert.ok(error instanceof Refusal, String(error))
        }
      },
    ),
    { numRuns: 1_000, seed: 20_261_124 },
  )
})
