import { randomBytes } from 'node:crypto'
import { mkdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { LONGEST_SEALED_MS } from '../../ports/key-ring.ts'
import { realDisk, replaceDurably } from './disk.ts'
import { systemCode } from './evidence-errors.ts'
import { type Exposed, readPrivate } from './private-file.ts'

/** One key of the ring, as it lies in `state/keys/seal-<kid>.json`. A key file never changes: keys are added and removed. */
export interface SealKey {
  /** 16 hex digits. */
  readonly kid: string
  readonly secret: Buffer
  /** Milliseconds since the epoch. The newest key is the current one. */
  readonly madeAt: number
  /** Milliseconds since the epoch from which on it opens nothing more; undefined for the current key. */
  readonly until: number | undefined
}

const KEY_BYTES = 32
const NAME = /^seal-([0-9a-f]{16})\.json$/
const MAX_FILE_BYTES = 1_024
/** Keys at once. Rotating faster than keys end would otherwise grow what every start reads. */
const MAX_KEYS = 32

/** Names of the key files in a folder, in order; none when there is no folder. */
export async function namesOfSealKeys(directory: string): Promise<string[]> {
  return (await realDisk.list(directory)).filter((name) => NAME.test(name)).toSorted()
}

/**
 * Reads key files, the newest key first.
 * @throws Error when one is open to others, belongs to somebody else or holds no key
 */
export async function readSealKeys(directory: string, names: readonly string[]): Promise<SealKey[]> {
  const read = await Promise.all(names.map((name) => readKey(directory, name)))
  const keys = read.filter((key) => key !== undefined)
  keys.sort((a, b) => b.madeAt - a.madeAt || (a.kid < b.kid ? 1 : -1))
  return keys.map((key, i) => {
    const newer = keys[i - 1]
    return { ...key, until: newer === undefined ? undefined : newer.madeAt + LONGEST_SEALED_MS }
  })
}

/** Makes a key where there is none. Two processes that start together make two, and open what either sealed. */
export async function makeFirstSealKey(directory: string, now: number): Promise<void> {
  if ((await namesOfSealKeys(directory)).length === 0) await makeKey(directory, now)
}

/**
 * Makes a new current key, and removes keys that open nothing more.
 * @param revoke removes all older keys as well: what they sealed opens no longer, which ends sessions and parked calls
 * @returns the keys that are left, the newest first
 */
export async function rotateSealKeys(directory: string, now: number, revoke: boolean): Promise<SealKey[]> {
  const names = await namesOfSealKeys(directory)
  // What is to be revoked is not read: a key that others could read must not stand in the way of its end.
  const before = revoke ? [] : await readSealKeys(directory, names)
  const ended = revoke
    ? names
    : before.filter(({ until }) => until !== undefined && until <= now).map(({ kid }) => nameOf(kid))
  if (names.length - ended.length >= MAX_KEYS) {
    throw new Error(`\`${directory}\` holds ${MAX_KEYS} keys in use; wait until the oldest has ended`)
  }
  // Newest by its time even when the clock went back, or the rotation would change nothing.
  await makeKey(directory, Math.max(now, (before[0]?.madeAt ?? 0) + 1))
  await Promise.all(ended.map((name) => removeKey(join(directory, name))))
  if (ended.length > 0) await realDisk.syncDirectory(directory)
  return readSealKeys(directory, await namesOfSealKeys(directory))
}

function nameOf(kid: string): string {
  return `seal-${kid}.json`
}

async function makeKey(directory: string, madeAt: number): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const file = { madeAt: new Date(madeAt).toISOString(), key: randomBytes(KEY_BYTES).toString('base64') }
  const path = join(directory, nameOf(randomBytes(8).toString('hex')))
  await replaceDurably(realDisk, path, Buffer.from(`${JSON.stringify(file)}\n`))
}

async function removeKey(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
}

/** @returns undefined when the file was removed since it was listed */
async function readKey(directory: string, name: string): Promise<Omit<SealKey, 'until'> | undefined> {
  const kid = NAME.exec(name)?.[1]
  if (kid === undefined) throw new TypeError(`\`name\` is not that of a key file: \`${name}\``)
  const path = join(directory, name)
  let text: string
  try {
    text = await readPrivate(path, MAX_FILE_BYTES, complain(path))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
  const { madeAt, secret } = parseKey(text)
  if (Number.isNaN(madeAt) || secret.length !== KEY_BYTES) {
    throw new Error(
      `seal key \`${path}\` holds no key of ${KEY_BYTES} bytes; restore it from a backup, or remove it: what it sealed is then lost`,
    )
  }
  return { kid, secret, madeAt }
}

function parseKey(text: string): { madeAt: number; secret: Buffer } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  const file = typeof value === 'object' && value !== null ? value : {}
  return {
    madeAt: 'madeAt' in file && typeof file.madeAt === 'string' ? Date.parse(file.madeAt) : Number.NaN,
    secret: 'key' in file && typeof file.key === 'string' ? Buffer.from(file.key, 'base64') : Buffer.alloc(0),
  }
}

function complain(path: string) {
  return ({ mode, uid, own }: Exposed): string =>
    uid === own
      ? `seal key \`${path}\` has mode ${mode.toString(8)} (expected 600); run \`callgate keys rotate --revoke\` when others may have read it, else \`chmod 600\``
      : `seal key \`${path}\` belongs to user ${uid} (expected ${own}); run this as that user, or \`chown\` the file`
}
