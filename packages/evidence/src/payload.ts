import { createHmac, hash, webcrypto } from 'node:crypto'
import { MAX_DEPTH, sortedKeys } from './canonical.ts'

/** Payloads over this many bytes are hashed as bytes, off the main thread. Source: ARCHITECTURE.md section 4. */
export const MAX_SCALAR_PAYLOAD_BYTES = 256 * 1024

const CHUNK_SCALARS = 64

// Domains keep the three uses of one key apart: a chunk of scalars, a root over chunks, a payload of one chunk.
const CHUNK = 'callgate.chunk.1\n'
const ROOT = 'callgate.root.1\n'
const SINGLE = 'callgate.single.1\n'
const BYTES = 'callgate.bytes.1\n'

/**
 * Keyed root over all scalars of a JSON value, integers and booleans included, so that who holds the key can tell
 * whether a record speaks of given arguments and nobody else can guess them. Equal values have equal roots whatever
 * the order of their members; empty arrays and objects count as one scalar each, so `{}` and `[]` differ.
 *
 * Scalars are written as path, type and value in canonical order (members by UTF-16 code units), in chunks of 64:
 * one HMAC-SHA256 per chunk, and the root is the HMAC over the chunks' MACs. With one chunk its MAC is the root.
 * @throws TypeError for what JSON cannot hold and for nesting beyond 64 levels
 */
export function keyedRoot(key: Buffer, value: unknown): { readonly scalars: number; readonly root: string } {
  const secret = secretOf(key)
  const walk: Walk = { secret, macs: [], chunk: '', inChunk: 0, scalars: 0 }
  visit(walk, '', value, 0)
  if (walk.macs.length === 0) return { root: mac(secret, SINGLE + walk.chunk), scalars: walk.scalars }
  if (walk.inChunk > 0) closeChunk(walk)
  return { root: mac(secret, `${ROOT}${walk.scalars}\n${walk.macs.join('\n')}`), scalars: walk.scalars }
}

/** Keyed root over raw bytes, for payloads over MAX_SCALAR_PAYLOAD_BYTES; computed in the thread pool. */
export async function keyedBytesRoot(
  key: Buffer,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<{ readonly scalars: null; readonly root: string }> {
  // A key of its own, so that no byte payload can stand for a chunk of scalars.
  const raw = createHmac('sha256', secretOf(key).key).update(BYTES).digest()
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  const imported = await webcrypto.subtle.importKey('raw', raw, hmac, false, ['sign'])
  const root = Buffer.from(await webcrypto.subtle.sign('HMAC', imported, bytes))
  return { root: root.toString('hex'), scalars: null }
}

interface Walk {
  readonly secret: Secret
  readonly macs: string[]
  chunk: string
  inChunk: number
  scalars: number
}

function visit(walk: Walk, path: string, value: unknown, depth: number): void {
  if (depth > MAX_DEPTH) throw new TypeError(`payload: nested deeper than ${MAX_DEPTH} levels`)
  switch (typeof value) {
    case 'string':
      // Lone surrogates would all become U+FFFD in UTF-8; JSON.stringify keeps them apart.
      if (value.isWellFormed()) add(walk, path, 's', value)
      else add(walk, path, 'w', JSON.stringify(value))
      return
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError('payload: a number is not finite')
      add(walk, path, 'n', String(value))
      return
    case 'boolean':
      add(walk, path, 'b', value ? '1' : '0')
      return
    case 'object':
      if (value === null) add(walk, path, 'z', '')
      else if (Array.isArray(value)) visitArray(walk, path, value, depth)
      else visitObject(walk, path, value, depth)
      return
    default:
      throw new TypeError(`payload: ${typeof value} is not JSON`)
  }
}

function visitArray(walk: Walk, path: string, value: readonly unknown[], depth: number): void {
  if (value.length === 0) add(walk, path, 'a', '')
  for (let i = 0; i < value.length; i++) visit(walk, `${path}[${i}]`, value[i], depth + 1)
}

function visitObject(walk: Walk, path: string, value: object, depth: number): void {
  const keys = sortedKeys(value)
  if (keys.length === 0) add(walk, path, 'o', '')
  for (const key of keys) {
    // Lengths make every path and value unambiguous whatever characters they hold.
    const name = key.isWellFormed() ? `.${key.length}:${key}` : `!${JSON.stringify(key)}`
    visit(walk, path + name, Reflect.get(value, key), depth + 1)
  }
}

function add(walk: Walk, path: string, type: string, value: string): void {
  walk.chunk += `${path.length}:${path}${type}${value.length}:${value}\n`
  walk.scalars++
  if (++walk.inChunk === CHUNK_SCALARS) closeChunk(walk)
}

function closeChunk(walk: Walk): void {
  walk.macs.push(mac(walk.secret, CHUNK + walk.chunk))
  walk.chunk = ''
  walk.inChunk = 0
}

/**
 * HMAC-SHA256 of a text by a payload key, in hex: how a single value is recorded without being told.
 * @throws TypeError for a key under 32 bytes
 */
export function keyedHash(key: Buffer, text: string): string {
  return mac(secretOf(key), text)
}

const BLOCK_BYTES = 64

/**
 * HMAC (RFC 2104) from two one-shot hashes over prepared pads: a third cheaper than a Hmac object for the short texts
 * of a record. The tests hold it against node:crypto's.
 */
function mac(secret: Secret, text: string): string {
  const input = Buffer.allocUnsafe(BLOCK_BYTES + Buffer.byteLength(text))
  input.set(secret.inner, 0)
  input.write(text, BLOCK_BYTES)
  const outer = Buffer.allocUnsafe(BLOCK_BYTES + 32)
  outer.set(secret.outer, 0)
  outer.write(hash('sha256', input, 'latin1'), BLOCK_BYTES, 'latin1')
  return hash('sha256', outer, 'hex')
}

/** The key, and its two padded blocks. */
interface Secret {
  readonly key: Buffer
  readonly inner: Buffer
  readonly outer: Buffer
}

// Padded once per key buffer, not once per text.
const secrets = new WeakMap<Buffer, Secret>()

function secretOf(key: Buffer): Secret {
  const known = secrets.get(key)
  if (known !== undefined) return known
  if (key.length < 32) throw new TypeError(`payload key: ${key.length} bytes (at least 32)`)
  const block = Buffer.alloc(BLOCK_BYTES)
  block.set(key.length > BLOCK_BYTES ? hash('sha256', key, 'buffer') : key)
  const secret = { key, inner: block.map((byte) => byte ^ 0x36), outer: block.map((byte) => byte ^ 0x5c) }
  secrets.set(key, { ...secret, inner: Buffer.from(secret.inner), outer: Buffer.from(secret.outer) })
  return secretOf(key)
}
