import assert from 'node:assert/strict'
import { type KeyObject, constants, generateKeyPairSync, verify } from 'node:crypto'
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TokenAlgorithm } from '../../ports/secrets.ts'
import { SecretUnavailable } from '../../ports/secrets.ts'
import { verifies } from '../../testing/verifies.ts'
import { createCredentials } from '../credentials/index.ts'
import { NETWORK, tokenEndpoint } from '../credentials/testing/bench.ts'
import { reference } from './testing/bench.ts'
import { skip, token } from './testing/soft-hsm.ts'

test('a data object of a token is read to the last byte; what is not there is named', { skip }, async (t) => {
  verifies('secrets.hsm')
  const { value, failure, text } = token(t)
  assert.equal(await value(text()), 'from the token\n')
  assert.match(
    (await failure(text('other'))).message,
    /exited with code 1; no slot holds a token of this name/,
  )
  assert.match((await failure(text('the%20gate', 'crm'))).message, /holds no data object of this name/)
  const foreign = text().replace(/module-path=[^&]*/, 'module-path=/nowhere/lib.so')
  assert.match((await failure(foreign)).message, /`module-path` cannot be loaded/)
})

test('a PIN that the token refused is not tried again, another one in the file is', { skip }, async (t) => {
  verifies('secrets.hsm')
  const { value, failure, text, put } = token(t)
  put('wrong', '4321')
  assert.match(
    (await failure(text('the%20gate', '--crm', 'wrong'))).message,
    /refused the PIN of `file:wrong`$/,
  )
  // Other references, so that no pause stands in between: the PIN itself is remembered.
  for (let i = 0; i < 12; i++) {
    const { message } = await failure(text('the%20gate', `o${i}`, 'wrong'))
    assert.match(message, /is not tried again lest the token locks/)
  }
  put('wrong', '1234')
  assert.match((await failure(text('the%20gate', 'o', 'wrong'))).message, /holds no data object/)
  assert.equal(await value(text()), 'from the token\n')
})

const BYTES = Buffer.from('what is signed')

test(
  'a key that no program can read signs in its token, by each algorithm; the signature is what JWS wants',
  { skip },
  async (t) => {
    verifies('secrets.hsm.signing')
    const { secrets, key, imported, describe } = token(t)
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
    const raw = { dsaEncoding: 'ieee-p1363' } as const
    const rsa = key('rsa:2048', '02')
    const keys: readonly [
      { publicKey: KeyObject; reference: string },
      TokenAlgorithm,
      string | null,
      object,
    ][] = [
      [key('EC:prime256v1', '01'), 'ES256', 'sha256', raw],
      [rsa, 'RS256', 'sha256', {}],
      [rsa, 'PS256', 'sha256', pss],
      [imported(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey, '03'), 'ES384', 'sha384', raw],
      [imported(generateKeyPairSync('ed25519').privateKey, '04'), 'EdDSA', null, {}],
    ]
    for (const id of ['01', '02']) assert.match(describe(id), /never extractable/)
    for (const [{ publicKey, reference: text }, algorithm, digest, options] of keys) {
      const found = reference(text)
      assert.ok(found.kind === 'pkcs11')
      const signature = await secrets.sign(found, algorithm, BYTES)
      assert.ok(verify(digest, BYTES, { key: publicKey, ...options }, signature), algorithm)
      const long = Buffer.alloc(5_000, 'long')
      if (algorithm === 'EdDSA')
        await assert.rejects(secrets.sign(found, algorithm, long), /at most 1024 bytes/)
      else
        assert.ok(
          verify(digest, long, { key: publicKey, ...options }, await secrets.sign(found, algorithm, long)),
          `${algorithm}, long`,
        )
      assert.ok(!verify(digest, Buffer.from('another'), { key: publicKey, ...options }, signature), algorithm)
    }
  },
)

test(
  'a key that is not there, of another kind, behind another PIN or read as a secret is refused by name',
  { skip },
  async (t) => {
    verifies('secrets.hsm.signing')
    const { secrets, key, failure, put } = token(t)
    const { reference: text } = key('EC:prime256v1', '01')
    const fails = async (of: string, algorithm: TokenAlgorithm = 'ES256'): Promise<string> => {
      const found = reference(of)
      assert.ok(found.kind === 'pkcs11')
      const error: unknown = await secrets.sign(found, algorithm, BYTES).catch((thrown: unknown) => thrown)
      assert.ok(error instanceof SecretUnavailable, String(error))
      return error.message
    }
    assert.match(await fails(text.replace('id=%01', 'id=%7f')), /no private key of this id/)
    assert.match(await fails(text, 'RS256'), /pkcs11-tool exited with code 1/)
    assert.match((await failure(text)).message, /signs in its token; it stands for no secret/)
    put('wrong', '4321')
    assert.match(await fails(text.replace('file:pin', 'file:wrong')), /refused the PIN of `file:wrong`/)
    assert.match(await fails(text.replace('file:pin', 'file:wrong')), /is not tried again/)
  },
)

test(
  'a token that hangs or says something else fails the signature in time, and the next one holds',
  { skip },
  async (t) => {
    const { folder, environment, secrets, key } = token(t)
    const { publicKey, reference: text } = key('EC:prime256v1', '01')
    const found = reference(text)
    assert.ok(found.kind === 'pkcs11')
    const program = join(folder, 'bin', 'pkcs11-tool')
    mkdirSync(join(folder, 'bin'))
    const path = environment.PATH
    environment.PATH = `${join(folder, 'bin')}:${path}`
    for (const [script, why] of [
      ['sleep 30', /took longer than/],
      ['printf short', /gave 5 bytes, which is no signature/],
      ['head -c 5000 /dev/zero', /wrote more than 1024 bytes/],
    ] as const) {
      writeFileSync(program, `#!/bin/sh\n${script}\n`)
      chmodSync(program, 0o755)
      await assert.rejects(secrets.sign(found, 'ES256', BYTES), why)
    }
    rmSync(program)
    environment.PATH = path
    const signature = await secrets.sign(found, 'ES256', BYTES)
    assert.ok(verify('sha256', BYTES, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature))
  },
)

test('the gate proves itself to a token endpoint by a key that stays in its token', { skip }, async (t) => {
  verifies('secrets.hsm.signing')
  const { secrets, key, run } = token(t)
  const { publicKey, reference: text } = key('EC:prime256v1', '01')
  const endpoint = await tokenEndpoint(publicKey)
  const credentials = createCredentials(
    {
      crm: {
        type: 'client_credentials',
        tokenUrl: endpoint.url,
        clientId: 'gate client',
        auth: { method: 'private_key_jwt', key: text, alg: 'ES256' },
        network: NETWORK,
      },
    },
    {
      gate: undefined,
      readSecret: () => assert.fail('no secret is read'),
      signInToken: async (of, algorithm, bytes) => {
        const found = reference(of)
        assert.ok(found.kind === 'pkcs11')
        return secrets.sign(found, algorithm, bytes)
      },
    },
  )
  t.after(() => credentials.close())
  const headers = await credentials.headersFor('crm', undefined, AbortSignal.timeout(20_000))
  assert.deepEqual(headers, ['authorization', 'Bearer token-1'])
  assert.equal(endpoint.granted[0]?.method, 'private_key_jwt')
  run('softhsm2-util', '--delete-token', '--token=the gate')
  credentials.refused('crm', undefined, headers)
  await assert.rejects(
    Promise.resolve(credentials.headersFor('crm', undefined, AbortSignal.timeout(20_000))),
    /does not sign|cannot be obtained|crm/,
  )
})
