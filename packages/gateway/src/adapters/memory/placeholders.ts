import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import type { Placeholders } from '../../ports/placeholders.ts'

/** Bounds of what is kept. */
export interface PlaceholdersOptions {
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
  /** Sessions that are remembered; the one not used for longest is forgotten first. Default 10,000. */
  readonly maxSessions?: number
  /** Values of one session; of further ones the placeholder has the number 0, which stands for nothing. Default 1,000. */
  readonly maxValues?: number
  /** Milliseconds without use after which a session is forgotten. Default 8 hours. */
  readonly idleMs?: number
}

interface Kept {
  readonly found: string
  readonly sealed: Buffer
}

interface Entry {
  readonly key: Buffer
  /** By placeholder. */
  readonly values: Map<string, Kept>
  /** Placeholder by keyed hash of class and value: equal values have one. */
  readonly known: Map<string, string>
  /** Highest number by class. */
  readonly counts: Map<string, number>
  usedAt: number
}

const IV_BYTES = 12
const TAG_BYTES = 16

/**
 * Values of one node, in memory only and sealed (AES-256-GCM) by a key of the session: a restart forgets them, and then calls with
 * their placeholders are refused or pass as they are.
 */
export function createPlaceholders({
  now = Date.now,
  maxSessions = 10_000,
  maxValues = 1_000,
  idleMs = 8 * 3_600_000,
}: PlaceholdersOptions = {}): Placeholders & { readonly size: number } {
  const root = randomBytes(32)
  const sessions = new Map<string, Entry>()

  /** Moves a session to the end of the table, so that those not used for longest stand at its front. */
  function used(key: string): Entry | undefined {
    const entry = sessions.get(key)
    if (entry === undefined) return undefined
    sessions.delete(key)
    if (now() - entry.usedAt > idleMs) return undefined
    entry.usedAt = now()
    sessions.set(key, entry)
    return entry
  }

  function made(key: string): Entry {
    const entry: Entry = {
      key: Buffer.from(hkdfSync('sha256', root, key, 'callgate placeholders', 32)),
      values: new Map(),
      known: new Map(),
      counts: new Map(),
      usedAt: now(),
    }
    sessions.set(key, entry)
    for (const [oldest] of sessions) {
      if (sessions.size <= maxSessions) break
      sessions.delete(oldest)
    }
    return entry
  }

  return {
    get size() {
      return sessions.size
    },
    keep({ key }, found, value) {
      const entry = used(key) ?? made(key)
      const hashed = createHmac('sha256', entry.key).update(`${found}\u0000${value}`).digest('base64')
      const known = entry.known.get(hashed)
      if (known !== undefined) return known
      const name = placeholderName(found)
      if (entry.values.size >= maxValues) return `<${name}_0>`
      const count = (entry.counts.get(name) ?? 0) + 1
      entry.counts.set(name, count)
      const placeholder = `<${name}_${count}>`
      entry.known.set(hashed, placeholder)
      entry.values.set(placeholder, { found, sealed: seal(entry.key, value) })
      return placeholder
    },
    any: ({ key }) => sessions.has(key),
    value({ key }, placeholder) {
      const entry = used(key)
      const kept = entry?.values.get(placeholder)
      if (entry === undefined || kept === undefined) return undefined
      return { found: kept.found, value: open(entry.key, kept.sealed) }
    },
  }
}

/** `secret.github` is a `SECRET`. */
const placeholderName = (found: string): string => (found.split('.', 1)[0] ?? '').toUpperCase()

function seal(key: Buffer, value: string): Buffer {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  return Buffer.concat([iv, cipher.update(value, 'utf8'), cipher.final(), cipher.getAuthTag()])
}

function open(key: Buffer, sealed: Buffer): string {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, IV_BYTES))
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  return Buffer.concat([decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]).toString(
    'utf8',
  )
}
