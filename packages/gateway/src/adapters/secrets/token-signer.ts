import { type KeyObject, hash, verify } from 'node:crypto'
import type { Pkcs11Reference } from '../../ports/secret-reference.ts'
import { SecretUnavailable } from '../../ports/secrets.ts'
import type { OwnAlgorithm, Signer } from '../../ports/signer.ts'
import type { RunningSecrets } from './index.ts'

/** Milliseconds after a failure during which the token is left alone: a log without its checkpoint asks four times a second. */
const PAUSE_MS = 1_000

/** Neither a note nor a token begins so: nobody can use a signature of it. */
const PROBE = Buffer.from('callgate asks whether this key signs')

/**
 * A private key that stays in its PKCS #11 token, as a signer. It signs once before it is given away, so a gate whose key is not there,
 * or is another one than its public half says, does not start.
 * @param onChange told when it stops signing, why, and (undefined) when it signs again; holds no secret
 * @param now milliseconds since any fixed moment
 * @throws SecretUnavailable when it cannot be reached, or what it signs does not verify
 */
export async function openTokenSigner(
  secrets: Pick<RunningSecrets, 'sign' | 'publicKey'>,
  reference: Pkcs11Reference,
  alg: OwnAlgorithm,
  onChange: (problem: string | undefined) => void = () => undefined,
  now: () => number = () => performance.now(),
): Promise<Signer> {
  const publicKey = await secrets.publicKey(reference, alg)
  let failed: { readonly error: unknown; readonly until: number } | undefined
  const sign = async (bytes: Uint8Array): Promise<Buffer> => {
    if (failed !== undefined && now() < failed.until) throw failed.error
    try {
      const signature = await secrets.sign(reference, alg, bytes)
      // What a broken token says must never stand in a log or go to an issuer.
      if (!holds(alg, bytes, publicKey, signature))
        throw new SecretUnavailable(
          'down',
          `\`${reference.label}\` gave a signature that its public key does not verify; see whether both halves have this id`,
        )
      if (failed !== undefined) onChange(undefined)
      failed = undefined
      return signature
    } catch (error) {
      const first = failed === undefined
      failed = { error, until: now() + PAUSE_MS }
      if (first) onChange(error instanceof Error ? error.message : 'no reason given')
      throw error
    }
  }
  await sign(PROBE)
  return { alg, publicKey, kid: kidOf(publicKey), sign }
}

function holds(alg: OwnAlgorithm, bytes: Uint8Array, publicKey: KeyObject, signature: Buffer): boolean {
  return alg === 'EdDSA'
    ? verify(null, bytes, publicKey, signature)
    : verify('sha256', bytes, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)
}

function kidOf(publicKey: KeyObject): string {
  const { x } = publicKey.export({ format: 'jwk' })
  const bytes =
    publicKey.asymmetricKeyType === 'ed25519' && x !== undefined
      ? Buffer.from(x, 'base64url')
      : publicKey.export({ format: 'der', type: 'spki' })
  return hash('sha256', bytes, 'hex').slice(0, 8)
}
