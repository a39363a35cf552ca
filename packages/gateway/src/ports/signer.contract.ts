import assert from 'node:assert/strict'
import { verify } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { verifies } from '../testing/verifies.ts'
import type { Signer } from './signer.ts'

/** A signer under test. */
export interface SignerBench {
  readonly signer: Signer
  /** Opens it anew, as after a restart. */
  restart(): Promise<Signer>
}

/** What every Signer must hold. @param skip why it cannot be run here; false: it can */
export function signerContract(
  name: string,
  skip: string | false,
  make: (t: TestContext) => Promise<SignerBench>,
): void {
  test(`${name}: what it signs verifies by its public key, and nothing else does`, { skip }, async (t) => {
    verifies('secrets.hsm.signing')
    const { signer } = await make(t)
    for (const text of ['', 'a', 'a line\nand another\n', 'x'.repeat(1_000), '\0\u2014 é']) {
      const bytes = Buffer.from(text)
      const signature = await signer.sign(bytes)
      assert.ok(holds(signer, bytes, signature), JSON.stringify(text.slice(0, 20)))
      assert.ok(!holds(signer, Buffer.from(`${text}!`), signature))
    }
  })

  test(`${name}: signs many at once, each its own bytes`, { skip }, async (t) => {
    const { signer } = await make(t)
    const all = Array.from({ length: 12 }, (_, i) => Buffer.from(`text ${i}`))
    const signatures = await Promise.all(all.map(async (bytes) => signer.sign(bytes)))
    for (const [i, bytes] of all.entries())
      assert.ok(holds(signer, bytes, signatures[i] ?? Buffer.alloc(0)), `${i}`)
  })

  test(`${name}: after a restart it is the same key under the same name`, { skip }, async (t) => {
    const { signer, restart } = await make(t)
    const again = await restart()
    assert.match(signer.kid, /^[0-9a-f]{8}$/)
    assert.deepEqual([again.kid, again.alg], [signer.kid, signer.alg])
    const bytes = Buffer.from('before and after')
    assert.ok(holds(again, bytes, await signer.sign(bytes)))
    assert.ok(holds(signer, bytes, await again.sign(bytes)))
  })
}

/** By node:crypto alone: no code of ours says whether a signature of ours is good. */
function holds({ alg, publicKey }: Signer, bytes: Buffer, signature: Buffer): boolean {
  assert.ok(alg === 'EdDSA' || alg === 'ES256', alg)
  return verify(
    alg === 'EdDSA' ? null : 'sha256',
    bytes,
    { key: publicKey, dsaEncoding: 'ieee-p1363' },
    signature,
  )
}
