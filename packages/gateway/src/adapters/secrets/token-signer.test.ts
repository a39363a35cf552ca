import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Pkcs11Reference } from '../../ports/secret-reference.ts'
import { SecretUnavailable } from '../../ports/secrets.ts'
import { signerContract } from '../../ports/signer.contract.ts'
import { verifies } from '../../testing/verifies.ts'
import { createSecrets } from './index.ts'
import { reference } from './testing/bench.ts'
import { skip, token } from './testing/soft-hsm.ts'
import { openTokenSigner } from './token-signer.ts'

const KINDS = { EdDSA: 'EC:edwards25519', ES256: 'EC:prime256v1' } as const

function keyOf(text: string): Pkcs11Reference {
  const found = reference(text)
  assert.ok(found.kind === 'pkcs11')
  return found
}

for (const [alg, kind] of [
  ['EdDSA', KINDS.EdDSA],
  ['ES256', KINDS.ES256],
] as const) {
  signerContract(`${alg} key in a token`, skip, async (t) => {
    const { secrets, made, describe } = token(t)
    // Others beside it: pkcs11-tool signs with the first key that it finds when it is not told which.
    made(KINDS.ES256, '0a')
    made(KINDS.EdDSA, '0b')
    const key = keyOf(made(kind, '01'))
    assert.match(describe('01'), /sensitive, always sensitive, never extractable/)
    const open = () => openTokenSigner(secrets, key, alg)
    return { signer: await open(), restart: open }
  })
}

async function failure(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => assert.fail('it went well'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof SecretUnavailable, String(error))
  assert.ok(!error.message.includes('1234') && error.cause === undefined)
  return error.message
}

test(
  'a key that is not there, behind another PIN, of another kind or with the public half of another one is never given away',
  { skip },
  async (t) => {
    verifies('secrets.hsm.signing')
    const { secrets, made, put, tool } = token(t)
    const ed = made(KINDS.EdDSA, '01')
    const ec = made(KINDS.ES256, '02')
    const fails = (text: string, alg: 'EdDSA' | 'ES256' = 'EdDSA') =>
      failure(openTokenSigner(secrets, keyOf(text), alg))
    assert.match(await fails(ed.replace('id=%01', 'id=%7f')), /no public key of this id/)
    assert.match(await fails(ec.replace('id=%02', 'id=%7f'), 'ES256'), /no public key of this id/)
    assert.match(await fails(ec), /no public key of this id/)
    assert.match(await fails(ed.replace('the%20gate', 'other')), /no slot holds a token of this name/)
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const der = put('other.der', publicKey.export({ format: 'der', type: 'spki' }))
    tool('--delete-object', '--type=pubkey', '--id=02')
    assert.match(await fails(ec, 'ES256'), /no public key of this id/)
    tool(`--write-object=${der}`, '--type=pubkey', '--id=02')
    assert.match(await fails(ec, 'ES256'), /gave a signature that its public key does not verify/)
    tool('--delete-object', '--type=privkey', '--id=01')
    assert.match(await fails(ed), /holds no private key of this id/)
    put('wrong', '4321')
    // At once: a token counts wrong PINs, and locks itself after a few.
    const wrong = Array.from({ length: 8 }, () => fails(ed.replace('file:pin', 'file:wrong')))
    const said = (await Promise.all(wrong)).map((text) => /is not tried again/.test(text))
    assert.deepEqual(said.toSorted(), [false, ...Array<boolean>(7).fill(true)])
  },
)

/** A signer over a token that can be pulled out and replaced by a program, on a clock of the test. */
async function pulled(t: TestContext) {
  const bench = token(t)
  const key = keyOf(bench.made(KINDS.EdDSA, '01'))
  const secrets = createSecrets({
    folder: bench.folder,
    environment: bench.environment,
    programMs: 3_000,
  })
  t.after(() => secrets.close())
  let asked = 0
  let now = 0
  const changes: (string | undefined)[] = []
  const counted = {
    publicKey: secrets.publicKey,
    sign: (...args: Parameters<typeof secrets.sign>) => {
      asked++
      return secrets.sign(...args)
    },
  }
  const signer = await openTokenSigner(
    counted,
    key,
    'EdDSA',
    (problem) => changes.push(problem),
    () => now,
  )
  return {
    ...bench,
    sign: async () => signer.sign(Buffer.from('text')),
    pass: (ms: number) => void (now += ms),
    asked: () => asked,
    changes,
  }
}

test(
  'a token that is pulled out fails the signature, is left alone for a second, and signs once it is back',
  { skip },
  async (t) => {
    verifies('secrets.hsm.signing')
    const { sign, pass, asked, pull, changes } = await pulled(t)
    const back = pull()
    const before = asked()
    for (let i = 0; i < 5; i++) assert.match(await failure(sign()), /no slot holds a token of this name/)
    assert.equal(asked(), before + 1)
    back()
    assert.match(await failure(sign()), /no slot/)
    pass(1_000)
    assert.equal((await sign()).length, 64)
    assert.equal((await sign()).length, 64)
    // Told once, and once that it is over.
    assert.deepEqual(
      changes.map((problem) => problem === undefined || /no slot holds/.test(problem)),
      [true, true],
    )
    assert.equal(changes[1], undefined)
  },
)

test(
  'a token that hangs, or signs nonsense, fails the signature in time, and signs once it is mended',
  { skip },
  async (t) => {
    verifies('secrets.hsm.signing')
    const { sign, pass, folder, environment } = await pulled(t)
    const program = join(folder, 'bin', 'pkcs11-tool')
    mkdirSync(join(folder, 'bin'))
    const path = environment.PATH
    environment.PATH = `${join(folder, 'bin')}:${path}`
    for (const [script, why] of [
      ['sleep 30', /took longer than 3000 ms/],
      ['head -c 64 /dev/zero', /gave a signature that its public key does not verify/],
      ['head -c 65 /dev/urandom', /does not verify/],
      ['printf short', /gave 5 bytes, which is no signature/],
      ['exit 0', /gave 0 bytes/],
      ['head -c 5000 /dev/zero', /wrote more than 1024 bytes/],
      ['echo "CKR_DEVICE_REMOVED" >&2; exit 1', /exited with code 1/],
    ] as const) {
      writeFileSync(program, `#!/bin/sh\n${script}\n`)
      chmodSync(program, 0o755)
      assert.match(await failure(sign()), why, script)
      pass(1_000)
    }
    rmSync(program)
    environment.PATH = path
    assert.equal((await sign()).length, 64)
  },
)
