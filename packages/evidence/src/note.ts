import { createPublicKey, hash, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** Algorithm byte of Ed25519 in a key hash. Source: C2SP signed-note. */
const ED25519 = 1
const ED25519_BYTES = 32

/** Largest note that is read, in bytes. */
export const MAX_NOTE_BYTES = 64 * 1024

/** A public key that may vouch for a log: what `name+hash+key` says. */
export interface VerifierKey {
  readonly name: string
  /** First 4 bytes of SHA-256(name, newline, algorithm, key). */
  readonly id: Buffer
  readonly publicKey: KeyObject
}

/** A private key that signs notes under a name. */
export interface NoteSigner {
  readonly name: string
  readonly privateKey: KeyObject
}

/** A note is malformed, or a key text is: the message says what and where. */
export class NoteError extends Error {
  override readonly name = 'NoteError'
}

/** Text of the public half of a key, such as `gate.example+1a2b3c4d+AQ...`. Source: C2SP signed-note. */
export function verifierKeyText(name: string, publicKey: KeyObject): string {
  const key = typedKey(publicKey)
  return `${checkedName(name)}+${keyId(name, key).toString('hex')}+${key.toString('base64')}`
}

/** Reads a verifier key text. @throws NoteError when it is malformed, its hash does not fit or it is not Ed25519 */
export function parseVerifierKey(text: string): VerifierKey {
  const match = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/u.exec(text.trim())
  const [, name, id, encoded] = match ?? []
  if (name === undefined || id === undefined || encoded === undefined) {
    throw new NoteError(
      'verifier key: expected `name+hash+base64`, as the log prints it into its file `vkey`',
    )
  }
  const key = strictBase64(encoded)
  if (key?.length !== ED25519_BYTES + 1 || key[0] !== ED25519) {
    throw new NoteError(
      `verifier key of \`${name}\`: expected an Ed25519 key (algorithm byte 1 and 32 bytes)`,
    )
  }
  const computed = keyId(name, key)
  if (computed.toString('hex') !== id) {
    throw new NoteError(
      `verifier key of \`${name}\`: hash is \`${id}\`, its key gives \`${computed.toString('hex')}\``,
    )
  }
  const x = key.subarray(1).toString('base64url')
  return {
    name,
    id: computed,
    publicKey: createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }),
  }
}

/** Signs a text. @throws NoteError unless it ends with a newline and holds no control characters */
export function signNote(text: string, { name, privateKey }: NoteSigner): string {
  return noteOf(text, name, createPublicKey(privateKey), sign(null, Buffer.from(text), privateKey))
}

/**
 * A note of a text and its signature, for keys that sign elsewhere.
 * @throws NoteError unless the text ends with a newline and holds no control characters
 */
export function noteOf(text: string, name: string, publicKey: KeyObject, signature: Buffer): string {
  checkText(text)
  const id = keyId(checkedName(name), typedKey(publicKey))
  return `${text}\n\u2014 ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`
}

/**
 * Text of a signed note. Signatures of unknown keys are ignored, as the format asks.
 * @throws NoteError when the note is malformed, the key did not sign it, or its signature is wrong
 */
export function openNote(note: Buffer, key: VerifierKey): string {
  const { text, signatures } = parseNote(note)
  const own = signatures.filter((one) => one.name === key.name && one.id.equals(key.id))
  if (own.length === 0)
    throw new NoteError(`note: no signature of \`${key.name}\` (${key.id.toString('hex')})`)
  if (!own.every((one) => verify(null, Buffer.from(text), key.publicKey, one.signature))) {
    throw new NoteError(`note: the signature of \`${key.name}\` does not fit the text`)
  }
  return text
}

interface NoteSignature {
  readonly name: string
  readonly id: Buffer
  readonly signature: Buffer
}

/** Splits a note into its text and signature lines, without verifying. @throws NoteError when it is malformed */
export function parseNote(note: Buffer): {
  readonly text: string
  readonly signatures: readonly NoteSignature[]
} {
  if (note.length > MAX_NOTE_BYTES)
    throw new NoteError(`note: ${note.length} bytes (at most ${MAX_NOTE_BYTES})`)
  let all: string
  try {
    all = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(note)
  } catch (cause) {
    throw new NoteError('note: not valid UTF-8', { cause })
  }
  const blank = all.lastIndexOf('\n\n')
  if (blank < 0 || !all.endsWith('\n')) throw new NoteError('note: no blank line before the signatures')
  const text = all.slice(0, blank + 1)
  checkText(text)
  const lines = all.slice(blank + 2, -1).split('\n')
  return { text, signatures: lines.map(parseSignature) }
}

function parseSignature(line: string): NoteSignature {
  const match = /^\u2014 ([^+\s]+) ([A-Za-z0-9+/]+=*)$/u.exec(line)
  const [, name, encoded] = match ?? []
  const bytes = encoded === undefined ? undefined : strictBase64(encoded)
  if (name === undefined || bytes === undefined || bytes.length < 5)
    throw new NoteError('note: malformed signature line')
  return { name, id: bytes.subarray(0, 4), signature: bytes.subarray(4) }
}

/** Bytes of base64 text. @returns undefined unless the text is the one encoding of its bytes: no flipped spare bits */
export function strictBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

function checkText(text: string): void {
  // eslint-disable-next-line no-control-regex
  if (!text.endsWith('\n') || /[\u0000-\u0009\u000b-\u001f]/.test(text)) {
    throw new NoteError('note: text must end with a newline and hold no other control characters')
  }
}

function checkedName(name: string): string {
  if (!/^[^+\s]+$/u.test(name))
    throw new NoteError(`key name \`${name}\`: no white space, no plus, not empty`)
  return name
}

function typedKey(publicKey: KeyObject): Buffer {
  const { x } = publicKey.export({ format: 'jwk' })
  if (publicKey.asymmetricKeyType !== 'ed25519' || x === undefined)
    throw new TypeError('note key: expected Ed25519')
  return Buffer.concat([Buffer.of(ED25519), Buffer.from(x, 'base64url')])
}

function keyId(name: string, key: Buffer): Buffer {
  return hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), key]), 'buffer').subarray(0, 4)
}
