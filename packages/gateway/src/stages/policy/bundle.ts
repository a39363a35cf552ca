import { createPublicKey, hash, type KeyObject } from 'node:crypto'
import { DsseError, dsseKeyId, isDsseKey, openEnvelope, sealEnvelope } from '@callgate/evidence'
import { isJsonObject, type JsonObject } from '../../call/json.ts'
import { JsonFault, scanJson } from '../../mcp/json-scan.ts'
import type { PolicyFile } from './load.ts'
import { MAX_FILE_LENGTH } from './yaml-source.ts'

/** DSSE payload type of a policy bundle. */
export const BUNDLE_TYPE = 'application/vnd.callgate.policy-bundle+json'
/** Largest payload, and largest envelope (base64 and signatures), in bytes. */
export const MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
export const MAX_ENVELOPE_BYTES = 6 * 1024 * 1024
/** Most rule files, and most case files, of one bundle. */
const MAX_FILES = 256

const ENVELOPE_SCAN = {
  maxBytes: MAX_ENVELOPE_BYTES,
  maxDepth: 8,
  maxKeys: 128,
  twinKeys: { '': ['payload', 'payloadType', 'signatures'] },
}
const PAYLOAD_SCAN = {
  maxBytes: MAX_PAYLOAD_BYTES,
  maxDepth: 8,
  maxKeys: 4_096,
  twinKeys: { '': ['v', 'version', 'created', 'files', 'cases'] },
}

/** What a signed bundle says. */
export interface BundleContents {
  /** Grows with each bundle: a gate takes none that is older than the one in force. From 1 to 2^53 - 1. */
  readonly version: number
  /** When it was signed, in milliseconds since the epoch. */
  readonly createdAt: number
  /** Rule files, named `bundle:NAME`. */
  readonly files: readonly PolicyFile[]
  /** Golden files, for people and for `policy test`; a gate does not run them. */
  readonly cases: readonly PolicyFile[]
}

/** A bundle whose signature holds. */
export interface PolicyBundle extends BundleContents {
  /** SHA-256 (hex) of the signed bytes. */
  readonly sha256: string
  /** Id of the key whose signature holds. */
  readonly keyId: string
}

/** A bundle that is not to be trusted, or is none. The message says why. */
export class BundleRefused extends Error {
  override readonly name = 'BundleRefused'
}

/**
 * Reads public keys (PEM) whose bundles count, by id.
 * @throws TypeError for one that is neither Ed25519 nor P-256, or no public key
 */
export function bundleKeys(
  pems: readonly { readonly file: string; readonly pem: string }[],
): Map<string, KeyObject> {
  return new Map(
    pems.map(({ file, pem }) => {
      if (pem.includes('PRIVATE KEY'))
        throw new TypeError(
          `\`${file}\` is a private key (expected its public half); keep it off this machine`,
        )
      let key: KeyObject
      try {
        key = createPublicKey(pem)
      } catch {
        throw new TypeError(
          `\`${file}\` is no public key (expected PEM, as \`openssl pkey -pubout\` writes it)`,
        )
      }
      if (!isDsseKey(key)) throw new TypeError(`\`${file}\` is neither an Ed25519 nor a P-256 key`)
      return [dsseKeyId(key), key] as const
    }),
  )
}

/** A signed bundle, as it is put on a server. @throws TypeError for contents that no gate would take */
export function sealBundle({ version, createdAt, files, cases }: BundleContents, key: KeyObject): string {
  const payload = Buffer.from(
    JSON.stringify({
      v: 1,
      version,
      created: new Date(createdAt).toISOString(),
      files: plain(files),
      cases: plain(cases),
    }),
  )
  if (payload.length > MAX_PAYLOAD_BYTES)
    throw new TypeError(`the bundle has ${payload.length} bytes (expected at most ${MAX_PAYLOAD_BYTES})`)
  // What we sign we also read: nobody should learn from a gate that a bundle is none.
  contentsOf(payload)
  return `${sealEnvelope(BUNDLE_TYPE, payload, key)}\n`
}

const plain = (files: readonly PolicyFile[]) => files.map(({ file, text }) => ({ name: file, text }))

/**
 * Opens an envelope: nothing of its payload is read before one of the keys has signed it.
 * @param keys by id
 * @throws BundleRefused
 */
export function openBundle(bytes: Buffer, keys: ReadonlyMap<string, KeyObject>): PolicyBundle {
  if (bytes.length > MAX_ENVELOPE_BYTES)
    throw new BundleRefused(`is ${bytes.length} bytes long (expected at most ${MAX_ENVELOPE_BYTES})`)
  let opened: ReturnType<typeof openEnvelope>
  try {
    opened = openEnvelope(parsed(bytes, ENVELOPE_SCAN, 'envelope'), BUNDLE_TYPE, keys)
  } catch (cause) {
    if (cause instanceof DsseError) throw new BundleRefused(cause.message, { cause })
    throw cause
  }
  const { payload, keyid } = opened
  return { ...contentsOf(payload), sha256: hash('sha256', payload), keyId: keyid }
}

function contentsOf(payload: Buffer): BundleContents {
  const value = parsed(payload, PAYLOAD_SCAN, 'payload')
  const { v, version, created, files, cases = [], ...others } = value
  const [unknown] = Object.keys(others)
  if (v !== 1 || unknown !== undefined)
    throw new BundleRefused('is of a form that this version does not know (expected `v: 1`)')
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1)
    throw new BundleRefused('has no version (expected a whole number from 1 to 2^53 - 1)')
  const createdAt = typeof created === 'string' ? Date.parse(created) : NaN
  if (typeof created !== 'string' || Number.isNaN(createdAt) || new Date(createdAt).toISOString() !== created)
    throw new BundleRefused('has no time (expected `created` such as `2027-01-31T12:00:00.000Z`)')
  const rules = filesOf(files, 'files')
  if (rules.length === 0) throw new BundleRefused('has no rule file')
  return { version, createdAt, files: rules, cases: filesOf(cases, 'cases') }
}

function filesOf(value: unknown, key: string): PolicyFile[] {
  if (!Array.isArray(value) || value.length > MAX_FILES)
    throw new BundleRefused(`\`${key}\` is not a list of at most ${MAX_FILES} files`)
  const seen = new Set<string>()
  return value.map((item: unknown) => {
    const { name, text } = isJsonObject(item) ? item : {}
    if (typeof name !== 'string' || !/^[\w.:/-]{1,128}$/.test(name) || seen.has(name))
      throw new BundleRefused(
        `a file in \`${key}\` has no name of its own (expected letters, digits, \`_.:/-\`)`,
      )
    if (typeof text !== 'string' || text.length > MAX_FILE_LENGTH)
      throw new BundleRefused(`\`${name}\` in \`${key}\` is no text of at most ${MAX_FILE_LENGTH} characters`)
    seen.add(name)
    return { file: `bundle:${name}`, text }
  })
}

function parsed(bytes: Buffer, scan: Parameters<typeof scanJson>[1], what: string): JsonObject {
  try {
    scanJson(bytes, scan)
  } catch (fault) {
    if (!(fault instanceof JsonFault)) throw fault
    throw new BundleRefused(`${what} is not one unambiguous JSON object (${fault.message})`)
  }
  const value: unknown = JSON.parse(bytes.toString('utf8'))
  if (!isJsonObject(value)) throw new BundleRefused(`${what} is not a JSON object`)
  return value
}
