import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { benchOf } from './testing/bench.ts'
import { verifies } from '../../testing/verifies.ts'

const MAX = 65_536

test('a file gives its text without one newline at the end, by absolute and relative path and through a link', async (t) => {
  const { put, value, folder } = benchOf(t)
  const path = put('key', 'hunter2\n')
  assert.equal(await value(`file:${path}`), 'hunter2')
  assert.equal(await value('file:key'), 'hunter2')
  symlinkSync(path, join(folder, 'link'))
  assert.equal(await value('file:link'), 'hunter2')
  put('windows', 'a\r\n')
  assert.equal(await value('file:windows'), 'a')
  put('pem', 'a\nb\n\n')
  assert.equal(await value('file:pem'), 'a\nb\n')
})

test('a file that its group or others may use is refused, one of the gate alone is read', async (t) => {
  verifies('secrets.files-private')
  const { put, failure, value } = benchOf(t)
  for (const mode of [0o640, 0o604, 0o620, 0o601, 0o644]) {
    const octal = `0${mode.toString(8)}`
    // chmod, because the umask takes bits from the mode of a new file.
    chmodSync(put(octal, 'x'), mode)
    const { kind, message } = await failure(`file:${octal}`)
    assert.equal(kind, 'refused')
    assert.match(message, new RegExp(`\`file:${octal}\` has mode ${octal}, .* set 0600 or 0400`))
  }
  for (const mode of [0o600, 0o400])
    assert.equal(await value(`file:${basename(put(`${mode}`, 'x', mode))}`), 'x')
})

test('a missing, empty, long, binary or irregular file is refused; the longest one is read', async (t) => {
  const { put, failure, value, folder } = benchOf(t)
  put('empty', '')
  put('newline', '\n')
  put('long', 'x'.repeat(MAX + 1))
  put('longer', 'x'.repeat(4 * MAX))
  put('longest', `${'x'.repeat(MAX)}\n`)
  put('binary', Buffer.from([0x61, 0xff, 0xfe]))
  mkdirSync(join(folder, 'dir'), { mode: 0o700 })
  execFileSync('mkfifo', ['-m', '600', join(folder, 'pipe')])
  const rows: readonly [string, RegExp][] = [
    ['absent', /cannot be read: ENOENT; create the file/],
    ['empty', /is empty/],
    ['newline', /is empty/],
    ['long', /longer than 65536 bytes/],
    ['longer', /longer than 65536 bytes/],
    ['binary', /not UTF-8 text/],
    ['dir', /not a regular file/],
    ['pipe', /not a regular file/],
    ['longest/x', /cannot be read: ENOTDIR/],
  ]
  for (const [name, says] of rows) assert.match((await failure(`file:${name}`)).message, says, name)
  assert.equal((await value('file:longest')).length, MAX)
})

test('a variable that is set gives its value; one that is not, or is inherited by objects, is refused', async (t) => {
  const { failure, value } = benchOf(t, { environment: { CRM_KEY: 'from the environment', EMPTY: '' } })
  assert.equal(await value('env:CRM_KEY'), 'from the environment')
  assert.match((await failure('env:ABSENT')).message, /`env:ABSENT` is not set/)
  assert.match((await failure('env:constructor')).message, /is not set/)
  assert.match((await failure('env:EMPTY')).message, /is empty/)
})

const script = (code: string, ...args: string[]) =>
  `exec:${JSON.stringify([process.execPath, '-e', code, ...args])}`

test('a program gives its output; its arguments reach it as they are, no shell reads them', async (t) => {
  const { value, folder } = benchOf(t)
  assert.equal(
    await value('exec:["printf","%s\\\\n","a b $HOME `id`; touch pwned"]'),
    'a b $HOME `id`; touch pwned',
  )
  assert.equal(existsSync(join(folder, 'pwned')), false)
  // The gate's stdin is the host's wire in stdio mode: a program that reads it sees nothing.
  assert.equal(
    await value(script('process.stdin.resume().on("end", () => console.log(process.cwd()))')),
    folder,
  )
})

test('a program sees four variables of the gate and no other', async (t) => {
  const environment = {
    PATH: process.env['PATH'],
    HOME: '/h',
    LANG: 'C',
    TMPDIR: '/t',
    CRM_KEY: 'k',
    NODE_OPTIONS: '-x',
  }
  const { value } = benchOf(t, { environment })
  const seen: unknown = JSON.parse(
    // Node hands the one on coverage to every child by itself.
    await value(
      script(
        'console.log(JSON.stringify(Object.keys(process.env).filter((name) => name !== "NODE_V8_COVERAGE").sort()))',
      ),
    ),
  )
  assert.deepEqual(seen, ['HOME', 'LANG', 'PATH', 'TMPDIR'])
})

test('a program that fails, writes nothing or too much, or is not there is named with its exit code', async (t) => {
  const { failure, value } = benchOf(t)
  const rows: readonly [string, RegExp][] = [
    [script('process.exit(7)'), /`exec:.*node.*` exited with code 7; run it by hand/],
    [script('process.kill(process.pid, "SIGTERM")'), /was ended by SIGTERM/],
    [script(''), /is empty/],
    [script(`process.stdout.write("x".repeat(${MAX + 3}))`), /wrote more than 65538 bytes/],
    [script(`process.stdout.write("x".repeat(${MAX + 1}))`), /longer than 65536 bytes/],
    ['exec:["/nowhere/program"]', /could not be started: ENOENT/],
  ]
  for (const [text, says] of rows) assert.match((await failure(text)).message, says, text)
  assert.equal((await value(script(`process.stdout.write("x".repeat(${MAX}))`))).length, MAX)
})

test('a program that hangs is ended with all that it started', async (t) => {
  const { failure, folder } = benchOf(t, { programMs: 300 })
  const { kind, message } = await failure('exec:["sh","-c","sleep 1000 & echo $! > pid; wait"]')
  assert.equal(kind, 'down')
  assert.match(message, /took longer than 300 ms/)
  await gone(Number(readFileSync(join(folder, 'pid'), 'utf8')))
})

test('close ends a program that runs, and every later read is refused', async (t) => {
  const { secrets, failure, folder } = benchOf(t)
  const running = failure('exec:["sh","-c","echo $$ > pid; sleep 1000"]')
  for (let i = 0; i < 300 && !existsSync(join(folder, 'pid')); i++) await sleep(10)
  await secrets.close()
  assert.match((await running).message, /was stopped, the gate closes/)
  await gone(Number(readFileSync(join(folder, 'pid'), 'utf8')))
  writeFileSync(join(folder, 'key'), 'x', { mode: 0o600 })
  assert.match((await failure('file:key')).message, /secrets are closed/)
  unlinkSync(join(folder, 'key'))
})

/** A killed process may wait a moment to be reaped by whoever inherits it: then it is a zombie, which runs nothing. */
async function gone(pid: number): Promise<void> {
  assert.ok(pid > 1)
  for (let i = 0; i < 300; i++) {
    if (!existsSync(`/proc/${pid}`) || /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
      return
    await sleep(10)
  }
  assert.fail(`process ${pid} lives on`)
}
