// The attacks on JWTs that have names, over the wire, against keys of three kinds. Sources: RFC 8725, CVEs in the rows.
import assert from 'node:assert/strict'
import { constants, createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { corpusRows } from '../packages/gateway/src/testing/corpora.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { TestGate } from './harness/gate.ts'

const ISSUER = 'https://id.example'
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 })
const ed = generateKeyPairSync('ed25519')
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const folder = mkdtempSync(join(tmpdir(), 'callgate-attacks-'))
let gate: TestGate

before(async () => {
  const jwk = (key: typeof ec.publicKey, kid: string, alg: string): object => ({
    ...key.export({ format: 'jwk' }),
    kid,
    alg,
    use: 'sig',
  })
  const keys = [
    jwk(ec.publicKey, 'ec', 'ES256'),
    jwk(rsa.publicKey, 'rsa', 'RS256'),
    jwk(ed.publicKey, 'ed', 'EdDSA'),
  ]
  const file = join(folder, 'jwks.json')
  writeFileSync(file, JSON.stringify({ keys }))
  gate = await TestGate.start({
    servers: '{}',
    identity: `issuers: [{ issuer: "${ISSUER}", jwks: "${file}" }]\nreplay: once\nmissesPerPeer: { perSecond: 10000, burst: 10000 }`,
  })
})
after(async () => {
  await gate.close()
  rmSync(folder, { recursive: true, force: true })
})

const encode = (value: string | Buffer): string => Buffer.from(value).toString('base64url')

function claims(change: object = {}): object {
  const iat = Math.floor(Date.now() / 1_000)
  const times = { iat, nbf: iat, exp: iat + 300 }
  return {
    iss: ISSUER,
    sub: 'u',
    aud: `${gate.url}/mcp`,
    ...times,
    jti: randomUUID(),
    client_id: 'c',
    ...change,
  }
}

type Signing = (signed: string) => Buffer
const byEc: Signing = (signed) =>
  sign('sha256', Buffer.from(signed), { key: ec.privateKey, dsaEncoding: 'ieee-p1363' })
const byRsa: Signing = (signed) =>
  sign('sha256', Buffer.from(signed), { key: rsa.privateKey, padding: constants.RSA_PKCS1_PADDING })
const byEd: Signing = (signed) => sign(null, Buffer.from(signed), ed.privateKey)
const byHmac =
  (secret: string | Buffer, hash = 'sha256'): Signing =>
  (signed) =>
    createHmac(hash, secret).update(signed).digest()
const blank: Signing = () => Buffer.alloc(0)

/** A token with this header; what is left out of it is that of a good one by the EC key. */
function token(header: object, by: Signing, payload = JSON.stringify(claims())): string {
  const head = JSON.stringify({ alg: 'ES256', kid: 'ec', typ: 'at+jwt', ...header })
  const signed = `${encode(head)}.${encode(payload)}`
  return `${signed}.${encode(by(signed))}`
}

async function outcome(text: string): Promise<string> {
  const answer = await gate.rpc('tools/list', {}, { token: text })
  return answer.status === 200 ? 'served' : `${answer.status} ${String(answer.json()['code'])}`
}

const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' })
const ALGORITHM = '401 CG_IDENTITY_ALGORITHM'
const MALFORMED = '401 CG_IDENTITY_MALFORMED'
const UNKNOWN = '401 CG_IDENTITY_KEY_UNKNOWN'
const SIGNATURE = '401 CG_IDENTITY_SIGNATURE'
const own = stranger.publicKey.export({ format: 'jwk' })
const byStranger: Signing = (signed) =>
  sign('sha256', Buffer.from(signed), { key: stranger.privateKey, dsaEncoding: 'ieee-p1363' })

const ATTACKS: readonly (readonly [string, () => string, string])[] = [
  ...['none', 'None', 'NONE', 'nOnE'].map(
    (alg) => [`alg ${alg}`, () => token({ alg }, blank), ALGORITHM] as const,
  ),
  ['alg none that keeps a signature', () => token({ alg: 'none' }, byEc), ALGORITHM],
  ['no alg', () => token({ alg: undefined }, byEc), ALGORITHM],
  [
    'HS256 with the RSA public key as secret (CVE-2015-9235)',
    () => token({ alg: 'HS256', kid: 'rsa' }, byHmac(pem)),
    ALGORITHM,
  ],
  [
    'HS512 with the RSA public key as secret',
    () => token({ alg: 'HS512', kid: 'rsa' }, byHmac(pem, 'sha512')),
    ALGORITHM,
  ],
  ['RS256 for the EC key', () => token({ alg: 'RS256' }, byRsa), ALGORITHM],
  ['ES256 for the RSA key', () => token({ kid: 'rsa' }, byEc), ALGORITHM],
  ['EdDSA for the EC key', () => token({ alg: 'EdDSA' }, byEd), ALGORITHM],
  ['PS256 for a key of RS256', () => token({ alg: 'PS256', kid: 'rsa' }, byRsa), ALGORITHM],
  ['a blank secret', () => token({ alg: 'HS256' }, byHmac('')), ALGORITHM],
  ['an embedded jwk (CVE-2018-0114)', () => token({ jwk: own }, byStranger), MALFORMED],
  ['jku', () => token({ jku: 'https://evil.example/jwks.json' }, byStranger), MALFORMED],
  ['x5u', () => token({ x5u: 'https://evil.example/cert.pem' }, byStranger), MALFORMED],
  ['x5c', () => token({ x5c: ['MIIB'] }, byStranger), MALFORMED],
  ['crit', () => token({ crit: ['exp'], exp: 1 }, byEc), MALFORMED],
  ['b64: false (RFC 7797)', () => token({ b64: false, crit: ['b64'] }, byEc), MALFORMED],
  ['a kid that is a path', () => token({ kid: '../../../../dev/null' }, byHmac('')), UNKNOWN],
  [
    'a kid that is a path, with the blank HMAC that it would give',
    () => token({ alg: 'HS256', kid: '/dev/null' }, byHmac('')),
    ALGORITHM,
  ],
  ['a kid that is SQL', () => token({ kid: "x' UNION SELECT 'secret' -- " }, byEc), UNKNOWN],
  ['a kid that is a command', () => token({ kid: 'ec|id' }, byEc), UNKNOWN],
  ['a kid of every object', () => token({ kid: '__proto__' }, byEc), UNKNOWN],
  ['a kid of another key of the issuer', () => token({ kid: 'ed' }, byEc), ALGORITHM],
  ['no kid', () => token({ kid: undefined }, byEc), MALFORMED],
  ['a psychic signature, r and s zero (CVE-2022-21449)', () => token({}, () => Buffer.alloc(64)), SIGNATURE],
  [
    'r and s the order of the curve',
    () =>
      token({}, () => {
        const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
        return Buffer.concat([order, order])
      }),
    SIGNATURE,
  ],
  ['no signature', () => token({}, blank), SIGNATURE],
  [
    'a signature in DER',
    () => token({}, (signed) => sign('sha256', Buffer.from(signed), ec.privateKey)),
    SIGNATURE,
  ],
  ['alg twice in the header', () => duplicated('header'), MALFORMED],
  ['sub twice in the payload', () => duplicated('payload'), MALFORMED],
  [
    'an odd-case twin of exp',
    () => token({}, byEc, JSON.stringify(claims({ Exp: 9_999_999_999 }))),
    MALFORMED,
  ],
  ['five parts, as of a JWE', () => `${token({}, byEc)}.AAAA.AAAA`, MALFORMED],
  ['an ID token', () => token({ typ: 'id+jwt' }, byEc), MALFORMED],
  ['a proof in place of a token', () => token({ typ: 'dpop+jwt' }, byEc), MALFORMED],
]

function duplicated(where: 'header' | 'payload'): string {
  const head = '{"alg":"ES256","kid":"ec","typ":"at+jwt"}'
  const body = JSON.stringify(claims())
  const signed =
    where === 'header'
      ? `${encode(head.replace('{', '{"alg":"none",'))}.${encode(body)}`
      : `${encode(head)}.${encode(body.replace('{', '{"sub":"admin",'))}`
  return `${signed}.${encode(byEc(signed))}`
}

test('the tokens that the attacks are made of are served by each kind of key', async () => {
  assert.equal(await outcome(token({}, byEc)), 'served')
  assert.equal(await outcome(token({ alg: 'RS256', kid: 'rsa' }, byRsa)), 'served')
  assert.equal(await outcome(token({ alg: 'EdDSA', kid: 'ed' }, byEd)), 'served')
})

for (const [name, make, expected] of ATTACKS) {
  test(`refused: ${name}`, async () => {
    verifies('play7.broken-auth')
    assert.equal(await outcome(make()), expected)
  })
}

test('no secret of a list of weak ones opens anything', async (t) => {
  verifies('play7.broken-auth')
  const rows = corpusRows(t, 'jwt/weak-hmac-secrets.jsonl')
  if (rows === undefined) return
  const seen = new Set<string>()
  for (const row of rows) {
    const secret = String(row['secret'] ?? row['text'] ?? row['value'])
    seen.add(await outcome(token({ alg: 'HS256' }, byHmac(secret))))
  }
  t.diagnostic(`${rows.length} secrets`)
  assert.deepEqual([...seen], [ALGORITHM])
})
