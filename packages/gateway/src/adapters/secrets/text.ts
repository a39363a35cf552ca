import { SecretUnavailable } from '../../ports/secrets.ts'

/** Longest secret in bytes. Default 65,536, cannot be raised: keys and tokens are far shorter. */
export const MAX_SECRET_BYTES = 65_536

/**
 * The text of a secret as a file or a program gives it: one newline at the end is the editor's, not the secret's.
 * @throws SecretUnavailable for nothing, too much, or bytes that are no UTF-8
 */
export function secretText(label: string, bytes: Uint8Array): string {
  return checkedText(label, decode(label, bytes).replace(/\r?\n$/, ''))
}

/** The text of bytes that are the secret to the last one. @throws SecretUnavailable as secretText */
export function exactText(label: string, bytes: Uint8Array): string {
  return checkedText(label, decode(label, bytes))
}

/** A secret that came as text. @throws SecretUnavailable for nothing and too much */
export function checkedText(label: string, text: string): string {
  if (text === '') throw new SecretUnavailable('refused', `\`${label}\` is empty; put the secret there`)
  if (Buffer.byteLength(text) > MAX_SECRET_BYTES) {
    throw new SecretUnavailable('refused', `\`${label}\` is longer than ${MAX_SECRET_BYTES} bytes`)
  }
  return text
}

function decode(label: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new SecretUnavailable('refused', `\`${label}\` is not UTF-8 text; store binary values as base64`)
  }
}
