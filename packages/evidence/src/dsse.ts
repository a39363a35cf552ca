import { createPublicKey, hash, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { strictBase64 } from './note.ts'

/** Most signatures of one envelope. */
const MAX_SIGNATURES = 16

/** An envelope is malformed, or nobody of those who count has signed it: the message says which. */
export class DsseError extends Error {
  override readonly name = 'DsseError'
}

/** Id of a key: SHA-256 (hex) of its DER, as `openssl pkey -pubin -outform DER | sha256sum` has it. */
export function dsseKeyId(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return hash('sha256', publicKey.export({ type: 'spki', format: 'der' }))
}

/** Whether a key signs by Ed25519 or by ECDSA over P-256 with SHA-256: no other one counts. */
export function isDsseKey({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  return (
    asymmetricKeyType === 'ed25519' ||
    (asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1')
  )
}

/** A payload, signed. Signatures of P-256 are DER, as OpenSSL and key services make them. Source: DSSE 1.0.2. */
export function sealEnvelope(payloadType: string, payload: Buffer, key: KeyObject): string {
  if (!isDsseKey(key)) throw new TypeError('`key` is neither Ed25519 nor P-256')
  const sig = sign(algorithmOf(key), encoded(payloadType, payload), key).toString('base64')
  return JSON.stringify({
    payload: payload.toString('base64'),
    payloadType,
    signatures: [{ keyid: dsseKeyId(key), sig }],
  })
}

/**
 * The payload of an envelope, once one of the keys has signed it. Signatures of others count for nothing.
 * @param keys by id
 * @returns the id of the key whose signature holds
 * @throws DsseError
 */
export function openEnvelope(
  envelope: unknown,
  payloadType: string,
  keys: ReadonlyMap<string, KeyObject>,
): { readonly payload: Buffer; readonly keyid: string } {
  const { payload: text, payloadType: type, signatures } = members(envelope, 'the envelope')
  if (type !== payloadType) throw new DsseError(`payloadType is not \`${payloadType}\``)
  const payload = typeof text === 'string' ? strictBase64(text) : undefined
  if (payload === undefined) throw new DsseError('payload is not base64')
  if (!Array.isArray(signatures) || signatures.length === 0 || signatures.length > MAX_SIGNATURES)
    throw new DsseError(`signatures are not a list of 1 to ${MAX_SIGNATURES}`)
  const signed = encoded(payloadType, payload)
  const strangers: string[] = []
  for (const each of signatures as unknown[]) {
    const { keyid, sig } = members(each, 'a signature')
    const bytes = typeof sig === 'string' ? strictBase64(sig) : undefined
    if (typeof keyid !== 'string' || !/^[\x21-\x7e]{1,128}$/.test(keyid) || bytes === undefined)
      throw new DsseError('a signature is not { keyid, sig }')
    const key = keys.get(keyid)
    if (key === undefined) strangers.push(keyid)
    else if (isDsseKey(key) && verify(algorithmOf(key), signed, key, bytes)) return { payload, keyid }
  }
  throw new DsseError(
    strangers.length === signatures.length
      ? `is signed by \`${strangers[0]}\`, which is none of the ${keys.size} keys that count`
      : 'has a signature that does not fit the payload',
  )
}

/** Pre-authentication encoding: type and payload, each behind its length, so that neither can reach into the other. */
function encoded(payloadType: string, payload: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `),
    payload,
  ])
}

function algorithmOf({ asymmetricKeyType }: KeyObject): 'sha256' | null {
  return asymmetricKeyType === 'ed25519' ? null : 'sha256'
}

function members(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new DsseError(`${what} is not an object`)
  return value as Record<string, unknown>
}
