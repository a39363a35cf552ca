import { execFileSync } from 'node:child_process'
import { type KeyObject, createPublicKey } from 'node:crypto'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { benchOf } from './bench.ts'

const MODULE = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
].find((path) => existsSync(path))

function isInPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

const missing = [
  ...(MODULE === undefined || !isInPath('softhsm2-util') ? ['softhsm2'] : []),
  ...(isInPath('pkcs11-tool') ? [] : ['opensc']),
]
/** Why there is no SoftHSM here; false: there is one. */
export const skip = missing.length === 0 ? false : `install the Debian packages ${missing.join(' and ')}`

/** A token of SoftHSM with one private data object; it is found by the HOME of the child. */
export function token(t: TestContext) {
  const environment: { HOME: string; PATH: string | undefined } = { HOME: '', PATH: process.env['PATH'] }
  const bench = benchOf(t, { environment, programMs: 8_000 })
  environment.HOME = bench.folder
  const tokens = join(bench.folder, 'tokens')
  mkdirSync(tokens)
  mkdirSync(join(bench.folder, '.config/softhsm2'), { recursive: true })
  writeFileSync(
    join(bench.folder, '.config/softhsm2/softhsm2.conf'),
    `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  )
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { env: { ...environment, PIN: '1234' }, stdio: 'pipe' })
  run('softhsm2-util', '--init-token', '--free', '--label=the gate', '--pin=1234', '--so-pin=5678')
  const data = bench.put('data', 'from the token\n')
  const login = [`--module=${MODULE}`, '--token-label=the gate', '--login', '--pin=env:PIN']
  run('pkcs11-tool', ...login, `--write-object=${data}`, '--type=data', '--label=--crm', '--private')
  bench.put('pin', '1234\n')
  const text = (name = 'the%20gate', object = '--crm', pin = 'pin') =>
    `pkcs11:token=${name};object=${object};type=data?module-path=${MODULE}&pin-source=file:${pin}`
  const keyText = (id: string) =>
    text('the%20gate', '').replace('object=;type=data', `id=%${id};type=private`)
  const tool = (...args: string[]) => run('pkcs11-tool', ...login, ...args)
  /** Makes a key pair that no program can read out of the token. @returns the reference of its private half */
  const made = (kind: string, id: string): string => {
    tool('--keypairgen', `--key-type=${kind}`, `--id=${id}`, '--sensitive')
    return keyText(id)
  }
  /** The same. @returns its public half too */
  const key = (kind: string, id: string): { publicKey: KeyObject; reference: string } => {
    const reference = made(kind, id)
    const der = join(bench.folder, `${id}.der`)
    run('pkcs11-tool', ...login, '--read-object', '--type=pubkey', `--id=${id}`, `--output-file=${der}`)
    return {
      publicKey: createPublicKey({ key: readFileSync(der), format: 'der', type: 'spki' }),
      reference,
    }
  }
  /** Brings a key of our own into the token, for kinds whose public half pkcs11-tool cannot write. */
  const imported = (privateKey: KeyObject, id: string): { publicKey: KeyObject; reference: string } => {
    const pem = bench.put(`${id}.pem`, privateKey.export({ type: 'pkcs8', format: 'pem' }))
    run('softhsm2-util', `--import=${pem}`, '--token=the gate', '--label=key', `--id=${id}`, '--pin=1234')
    return { publicKey: createPublicKey(privateKey), reference: keyText(id) }
  }
  /** What pkcs11-tool says of one private key; it lists all of them, whatever id it is given. */
  const describe = (id: string): string => {
    const all = String(tool('--list-objects', '--type=privkey')).split(/^(?=Private Key Object)/m)
    return all.find((one) => new RegExp(`^ +ID: +${id}$`, 'm').test(one)) ?? ''
  }
  /** Takes the token away, as one that is pulled out. @returns puts it back */
  const pull = (): (() => void) => {
    renameSync(tokens, `${tokens}.away`)
    mkdirSync(tokens)
    return () => {
      rmSync(tokens, { recursive: true })
      renameSync(`${tokens}.away`, tokens)
    }
  }
  return { ...bench, environment, text, made, key, imported, describe, run, tool, pull }
}
