import { hkdfSync, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeOnce } from './make-once.ts'

const KEY_BYTES = 32

/**
 * Keys of the keyed hashes in records, one a tenant, derived (RFC 5869) from one secret that is made at first start.
 * Without the secret a record tells nothing of a payload; with it an operator can test a value that he knows.
 * @throws Error when the file exists and does not hold 32 bytes in base64
 */
export function openMacKeys(path: string): (tenant: string) => Buffer {
  const secret = openSecret(path)
  const keys = new Map<string, Buffer>()
  return (tenant) => {
    let key = keys.get(tenant)
    if (key === undefined) {
      key = Buffer.from(hkdfSync('sha256', secret, '', `callgate evidence mac ${tenant}`, KEY_BYTES))
      keys.set(tenant, key)
    }
    return key
  }
}

function openSecret(path: string): Buffer {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  if (!existsSync(path)) makeOnce(path, `${randomBytes(KEY_BYTES).toString('base64')}\n`)
  const secret = Buffer.from(readFileSync(path, 'utf8').trim(), 'base64')
  if (secret.length !== KEY_BYTES)
    throw new Error(`\`${path}\` does not hold a key of ${KEY_BYTES} bytes in base64`)
  return secret
}
