import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { benchOf } from './testing/bench.ts'
import { verifies } from '../../testing/verifies.ts'

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
const skip = missing.length === 0 ? false : `install the Debian packages ${missing.join(' and ')}`

/** A token of SoftHSM with one private data object; it is found by the HOME of the child. */
function token(t: TestContext) {
  const environment = { PATH: process.env['PATH'] }
  const home = { HOME: '' }
  const bench = benchOf(t, { environment: Object.assign(home, environment), programMs: 20_000 })
  home.HOME = bench.folder
  const tokens = join(bench.folder, 'tokens')
  mkdirSync(tokens)
  mkdirSync(join(bench.folder, '.config/softhsm2'), { recursive: true })
  writeFileSync(
    join(bench.folder, '.config/softhsm2/softhsm2.conf'),
    `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  )
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { env: { ...home, PIN: '1234' }, stdio: 'pipe' })
  run('softhsm2-util', '--init-token', '--free', '--label=the gate', '--pin=1234', '--so-pin=5678')
  const data = bench.put('data', 'from the token\n')
  const login = [`--module=${MODULE}`, '--token-label=the gate', '--login', '--pin=env:PIN']
  run('pkcs11-tool', ...login, `--write-object=${data}`, '--type=data', '--label=--crm', '--private')
  bench.put('pin', '1234\n')
  const text = (name = 'the%20gate', object = '--crm', pin = 'pin') =>
    `pkcs11:token=${name};object=${object};type=data?module-path=${MODULE}&pin-source=file:${pin}`
  return { ...bench, text }
}

test('a data object of a token is read to the last byte; what is not there is named', { skip }, async (t) => {
  verifies('secrets.hsm')
  const { value, failure, text } = token(t)
  assert.equal(await value(text()), 'from the token\n')
  assert.match(
    (await failure(text('other'))).message,
    /exited with code 1; no slot holds a token of this name/,
  )
  assert.match((await failure(text('the%20gate', 'crm'))).message, /holds no data object of this name/)
  const foreign = text().replace(/module-path=[^&]*/, 'module-path=/nowhere/lib.so')
  assert.match((await failure(foreign)).message, /`module-path` cannot be loaded/)
})

test('a PIN that the token refused is not tried again, another one in the file is', { skip }, async (t) => {
  verifies('secrets.hsm')
  const { value, failure, text, put } = token(t)
  put('wrong', '4321')
  assert.match(
    (await failure(text('the%20gate', '--crm', 'wrong'))).message,
    /refused the PIN of `file:wrong`$/,
  )
  // Other references, so that no pause stands in between: the PIN itself is remembered.
  for (let i = 0; i < 12; i++) {
    const { message } = await failure(text('the%20gate', `o${i}`, 'wrong'))
    assert.match(message, /is not tried again lest the token locks/)
  }
  put('wrong', '1234')
  assert.match((await failure(text('the%20gate', 'o', 'wrong'))).message, /holds no data object/)
  assert.equal(await value(text()), 'from the token\n')
})
