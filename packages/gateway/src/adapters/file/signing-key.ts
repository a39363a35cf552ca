import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { LocalSigner } from '../../ports/signer.ts'
import { systemCode } from './evidence-errors.ts'
import { makeOnce } from './make-once.ts'

/**
 * Reads a signing key (`state/keys/*.key`, PKCS #8 PEM), or makes it at the first start: Ed25519, mode 0600.
 * Two processes that start together end with the same key.
 * @throws Error when others may read the file, or when it holds no Ed25519 key
 */
export async function loadSigningKey(path: string): Promise<LocalSigner> {
  try {
    return await readSigningKey(path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const { privateKey } = generateKeyPairSync('ed25519')
  makeOnce(path, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  return readSigningKey(path)
}

/** Reads a signing key that is there. @throws Error as loadSigningKey, and the system's when there is none */
export async function readSigningKey(path: string): Promise<LocalSigner> {
  const pem = await readFile(path)
  const { mode } = await stat(path)
  if ((mode & 0o077) !== 0) {
    throw new Error(
      `signing key \`${path}\` has mode ${(mode & 0o777).toString(8)} (expected 600); run \`chmod 600\``,
    )
  }
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey(pem)
  } catch (cause) {
    throw new Error(`signing key \`${path}\` is not a PEM private key; restore it from a backup`, { cause })
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new Error(`signing key \`${path}\` is \`${privateKey.asymmetricKeyType}\` (expected ed25519)`)
  }
  return localSigner(privateKey)
}

/** An Ed25519 key in memory as a signer. */
export function localSigner(privateKey: KeyObject): LocalSigner {
  const publicKey = createPublicKey(privateKey)
  const { x = '' } = publicKey.export({ format: 'jwk' })
  const kid = hash('sha256', Buffer.from(x, 'base64url'), 'hex').slice(0, 8)
  return { alg: 'EdDSA', publicKey, kid, sign: (bytes) => sign(null, bytes, privateKey) }
}
