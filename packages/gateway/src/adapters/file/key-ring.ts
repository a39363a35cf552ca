import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { MAX_SEALED_BYTES } from '../../ports/key-ring.ts'
import type { KeyRing, SealPurpose } from '../../ports/key-ring.ts'
import { makeFirstSealKey, namesOfSealKeys, readSealKeys } from './seal-keys.ts'
import type { SealKey } from './seal-keys.ts'

/** How a key ring is kept. */
export interface KeyRingOptions {
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
  /** Milliseconds between looks for a rotated key. Default 500. */
  readonly lookMs?: number
  /** Told when the keys cannot be read again; the ring goes on with those it has. */
  readonly onProblem?: (problem: string) => void
  /** Told the kid when another key has become the current one. */
  readonly onRotated?: (kid: string) => void
}

const ALGORITHM = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16
const KEY_BYTES = 32
/** Kid, dot, and base64url of nonce, ciphertext and tag. */
const SEALED = /^([0-9a-f]{16})\.([A-Za-z0-9_-]+)$/
const MAX_SEALED_CHARS = 17 + Math.ceil(((NONCE_BYTES + MAX_SEALED_BYTES + TAG_BYTES) * 4) / 3)

/** A key of the ring, with one subkey a purpose (RFC 5869), derived when it is loaded. */
interface RingKey {
  readonly subkeys: Readonly<Record<SealPurpose, KeyObject>>
  readonly until: number | undefined
}

interface Loaded {
  readonly current: string
  readonly keys: ReadonlyMap<string, RingKey>
}

/**
 * Opens the keys in a folder (`state/keys`), makes the first one where there is none, and takes a rotated one within `lookMs`.
 * @throws Error when a key file is open to others, belongs to somebody else or holds no key
 */
export async function openKeyRing(
  directory: string,
  options: KeyRingOptions = {},
): Promise<KeyRing & { close(): void }> {
  const now = options.now ?? Date.now
  await makeFirstSealKey(directory, now())
  let names = await namesOfSealKeys(directory)
  let ring = load(directory, await readSealKeys(directory, names))

  /** A key file never changes, so the names tell everything. */
  async function look(): Promise<void> {
    const seen = await namesOfSealKeys(directory)
    if (seen.join() === names.join()) return
    const before = ring.current
    ring = load(directory, await readSealKeys(directory, seen))
    names = seen
    if (ring.current !== before) options.onRotated?.(ring.current)
  }

  let looking = false
  let told: string | undefined
  const timer = setInterval(() => {
    if (looking) return
    looking = true
    look()
      .then(() => (told = undefined))
      .catch((error: unknown) => {
        const problem = error instanceof Error ? error.message : String(error)
        if (problem !== told) options.onProblem?.(problem)
        told = problem
      })
      .finally(() => (looking = false))
  }, options.lookMs ?? 500).unref()

  return {
    seal(purpose, plaintext, aad) {
      if (plaintext.length > MAX_SEALED_BYTES) {
        throw new TypeError(`\`plaintext\` has ${plaintext.length} bytes (at most ${MAX_SEALED_BYTES})`)
      }
      const { current, keys } = ring
      const key = keys.get(current)?.subkeys[purpose]
      if (key === undefined) throw new TypeError('`purpose` has no key')
      // Random nonces: 2^32 seals stay below a chance of 2^-32 for two alike (NIST SP 800-38D section 8.3).
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES })
      cipher.setAAD(Buffer.from(aad))
      const parts = [nonce, cipher.update(plaintext), cipher.final()]
      return `${current}.${Buffer.concat([...parts, cipher.getAuthTag()]).toString('base64url')}`
    },

    open(purpose, sealed, aad) {
      if (sealed.length > MAX_SEALED_CHARS) return undefined
      const [, kid = '', text = ''] = SEALED.exec(sealed) ?? []
      const key = ring.keys.get(kid)
      if (key === undefined || (key.until !== undefined && now() >= key.until)) return undefined
      const bytes = Buffer.from(text, 'base64url')
      // The last character has bits that carry nothing: one value must have one text.
      if (bytes.length < NONCE_BYTES + TAG_BYTES || bytes.toString('base64url') !== text) return undefined
      const decipher = createDecipheriv(ALGORITHM, key.subkeys[purpose], bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      })
      decipher.setAAD(Buffer.from(aad))
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
      try {
        return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
      } catch {
        // final() says by an error that the tag does not fit.
        return undefined
      }
    },

    close: () => clearInterval(timer),
  }
}

function load(directory: string, keys: readonly SealKey[]): Loaded {
  const [newest] = keys
  if (newest === undefined) throw new Error(`\`${directory}\` holds no seal key any more; restart the gate`)
  return {
    current: newest.kid,
    keys: new Map(keys.map(({ kid, secret, until }) => [kid, { subkeys: subkeysOf(secret), until }])),
  }
}

function subkeysOf(secret: Buffer): Record<SealPurpose, KeyObject> {
  const subkey = (purpose: SealPurpose) =>
    createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', `callgate seal ${purpose}`, KEY_BYTES)))
  return {
    session: subkey('session'),
    'request-state': subkey('request-state'),
    task: subkey('task'),
    'dpop-nonce': subkey('dpop-nonce'),
    consent: subkey('consent'),
    idempotency: subkey('idempotency'),
    approval: subkey('approval'),
    'approval-page': subkey('approval-page'),
  }
}
