import { type KeyObject, hash } from 'node:crypto'
import type { Proof } from '../../call/call.ts'
import { Refusal } from '../../call/refusal.ts'
import { SignatureFault, isSignedBy, readSignature } from '../../net/message-signature.ts'

/**
 * Holds a request to its message signature (RFC 9421): made by the key that its DPoP proof proves, over all that means something.
 * @param keyThumbprint of that key
 * @param nowS seconds since the epoch
 * @returns how its nonce is claimed, used once; undefined: the request carries no signature
 * @throws Refusal CG_IDENTITY_MESSAGE
 */
export function checkMessage(
  { httpMethod, url, headers, body }: Proof,
  keyThumbprint: string,
  key: KeyObject,
  nowS: number,
  { clockSkewS }: { readonly clockSkewS: number },
): { readonly id: string; readonly exp: number } | undefined {
  const signature = inMessage(() => readSignature({ method: httpMethod, targetUri: url, headers, body }))
  if (signature === undefined) return undefined
  const { created, expires, nonce, keyId } = signature
  if (keyId !== keyThumbprint) throw wrong('`keyid` is not the key that the token is bound to')
  if (created > nowS + clockSkewS) throw wrong('`created` is in the future')
  if (nowS >= expires + clockSkewS) throw wrong(`it ended ${Math.round(nowS - expires)} s ago`)
  if (!isSignedBy(signature, key)) throw wrong('it does not hold')
  const id = hash('sha256', JSON.stringify(['message', keyThumbprint, nonce]), 'hex').slice(0, 32)
  return { id, exp: Math.ceil(expires + clockSkewS) }
}

function inMessage<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof SignatureFault) throw wrong(error.message)
    throw error
  }
}

function wrong(what: string): Refusal {
  return new Refusal('CG_IDENTITY_MESSAGE', { internal: `message signature: ${what}` })
}
