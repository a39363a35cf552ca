import assert from 'node:assert/strict'
import { generateKeyPairSync, hash } from 'node:crypto'
import { test } from 'node:test'
import { jwtVerify } from 'jose'
import { signActor, signCaller, signSubject } from './assertion.ts'
import { canSign, signJwt } from './jwt.ts'
import { KEY_ALGORITHMS, type KeyAlgorithm } from './options.ts'
import { GATE, GATE_PUBLIC, principal } from './testing/bench.ts'
import { verifies } from '../../testing/verifies.ts'

const ed = generateKeyPairSync('ed25519')
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 })
const short = generateKeyPairSync('rsa', { modulusLength: 1_024 })
const PAIRS: Readonly<Record<KeyAlgorithm, typeof ed>> = {
  EdDSA: ed,
  Ed25519: ed,
  ES256: p256,
  ES384: p384,
  PS256: rsa,
  RS256: rsa,
}

test('every algorithm signs what another implementation verifies, for a minute and with a jti of its own', async () => {
  for (const alg of KEY_ALGORITHMS) {
    const { privateKey, publicKey } = PAIRS[alg]
    const jwt = signJwt({ key: privateKey, alg, kid: 'k' }, 'x+jwt', { sub: 'é' })
    const { payload, protectedHeader } = await jwtVerify(jwt, publicKey, { algorithms: [alg], typ: 'x+jwt' })
    assert.deepEqual(protectedHeader, { alg, typ: 'x+jwt', kid: 'k' })
    assert.equal(payload.sub, 'é')
    assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 60)
    assert.notEqual(signJwt({ key: privateKey, alg }, 'x+jwt', {}).split('.')[1], jwt.split('.')[1])
  }
})

test('no key signs by an algorithm that it is not for, and no short or public key signs at all', () => {
  for (const alg of KEY_ALGORITHMS) {
    for (const { privateKey, publicKey } of [ed, p256, p384, rsa, short]) {
      const fits = PAIRS[alg].privateKey === privateKey
      assert.equal(canSign({ key: privateKey, alg }), fits, alg)
      assert.equal(canSign({ key: publicKey, alg }), false)
      if (!fits) assert.throws(() => signJwt({ key: privateKey, alg }, 'x', {}), TypeError)
    }
  }
})

test('a caller assertion names the caller, the server, the tool and the hash of the sent bytes, and nothing else', async () => {
  verifies('identity.caller-assertion')
  const args = Buffer.from('{ "id" :1}')
  const { payload } = await jwtVerify(signCaller(GATE, 'crm', principal(), 'update', args), GATE_PUBLIC)
  const { iat, exp, jti, ...claims } = payload
  assert.ok(iat !== undefined && exp !== undefined && jti !== undefined)
  assert.deepEqual(claims, {
    iss: GATE.issuer,
    aud: 'crm',
    sub: 'ada',
    sub_id: { format: 'iss_sub', iss: 'https://idp.example', sub: 'ada' },
    act: { sub: 'planner' },
    client_id: 'desk',
    tenant: 'acme',
    tool: 'update',
    args_sha256: hash('sha256', args, 'base64url'),
  })
  const none = await jwtVerify(signCaller(GATE, 'crm', principal(), 'ping', undefined), GATE_PUBLIC)
  assert.equal(none.payload['args_sha256'], hash('sha256', '', 'base64url'))
})

test('an assertion for one purpose is of another type than those for the others', async () => {
  const all = await Promise.all([
    signCaller(GATE, 'crm', principal(), 'update', undefined),
    signSubject(GATE, 'https://idp.example/token', principal()),
    signActor(GATE, 'https://idp.example/token', principal()),
  ])
  const types = await Promise.all(
    all.map(async (jwt) => (await jwtVerify(jwt, GATE_PUBLIC)).protectedHeader.typ),
  )
  assert.equal(new Set(types).size, 3)
  const bare = await jwtVerify(await signSubject(GATE, 'a', principal({ grants: [] })), GATE_PUBLIC)
  assert.equal(bare.payload['scope'], undefined)
})
