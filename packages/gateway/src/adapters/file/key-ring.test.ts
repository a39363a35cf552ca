import assert from 'node:assert/strict'
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { keyRingContract } from '../../ports/key-ring.contract.ts'
import { LONGEST_SEALED_MS } from '../../ports/key-ring.ts'
import { verifies } from '../../testing/verifies.ts'
import { openKeyRing } from './key-ring.ts'
import type { KeyRingOptions } from './key-ring.ts'
import { namesOfSealKeys, readSealKeys, rotateSealKeys } from './seal-keys.ts'

const START = 1_800_000_000_000

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'callgate-ring-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return join(path, 'state', 'keys')
}

async function open(t: TestContext, directory: string, options: KeyRingOptions = {}) {
  const ring = await openKeyRing(directory, { now: () => START, lookMs: 5, ...options })
  t.after(() => ring.close())
  return ring
}

async function keysOf(directory: string) {
  return readSealKeys(directory, await namesOfSealKeys(directory))
}

/** Waits for a look of a ring, which sees a rotation in steps. */
async function becomes(holds: () => boolean): Promise<void> {
  for (const until = performance.now() + 5_000; performance.now() < until; await sleep(5)) {
    if (holds()) return
  }
  assert.fail('no look of the ring saw the change')
}

keyRingContract('file key ring', async (t) => {
  verifies('bridge.sealed-state')
  const directory = await folder(t)
  let now = START
  let heard = Promise.withResolvers<void>()
  const options = { now: () => now, onRotated: () => heard.resolve() }
  return {
    ring: await open(t, directory, options),
    async rotate() {
      heard = Promise.withResolvers()
      await rotateSealKeys(directory, now, false)
      await heard.promise
    },
    reopen: () => open(t, directory, options),
    stranger: async () => open(t, await folder(t)),
    setNow: (to) => (now = to),
    startedAt: START,
  }
})

test('the first start makes one key of 256 random bits, mode 0600 in a folder of mode 0700, and later starts keep it', async (t) => {
  const directory = await folder(t)
  await open(t, directory)
  const [name, ...others] = await readdir(directory)
  assert.ok(name !== undefined)
  assert.deepEqual(others, [])
  assert.equal((await stat(directory)).mode & 0o777, 0o700)
  assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600)
  const before = await readFile(join(directory, name), 'utf8')
  assert.equal((await keysOf(directory))[0]?.secret.length, 32)

  await open(t, directory)
  assert.deepEqual(await readdir(directory), [name])
  assert.equal(await readFile(join(directory, name), 'utf8'), before)
})

test('two gates that start together on an empty folder open what either of them sealed once both have looked', async (t) => {
  const directory = await folder(t)
  const rings = await Promise.all([open(t, directory), open(t, directory)])
  const sealed = rings.map((ring) => ring.seal('session', Buffer.from('x'), ''))
  await becomes(() =>
    rings.every((ring) => sealed.every((text) => ring.open('session', text, '') !== undefined)),
  )
})

test('a key file that others may read stops the start with what to do; with mode 600 or 400 it starts', async (t) => {
  const directory = await folder(t)
  await open(t, directory)
  const [name = ''] = await readdir(directory)
  for (const mode of [0o640, 0o604, 0o660, 0o601]) {
    await chmod(join(directory, name), mode)
    await assert.rejects(open(t, directory), (error) => {
      assert.ok(error instanceof Error)
      assert.ok(error.message.includes(`has mode ${mode.toString(8)} (expected 600)`), error.message)
      return true
    })
  }
  for (const mode of [0o600, 0o400]) {
    await chmod(join(directory, name), mode)
    await open(t, directory)
  }
})

test(
  'a key file of another user stops the start',
  { skip: process.getuid?.() !== 0 && 'only root can give a file away' },
  async (t) => {
    const directory = await folder(t)
    await open(t, directory)
    const [name = ''] = await readdir(directory)
    await chown(join(directory, name), 12_345, 0)
    await assert.rejects(open(t, directory), /belongs to user 12345 \(expected 0\)/)
    await chown(join(directory, name), 0, 12_345)
    await open(t, directory)
  },
)

test('a link, a short key, a text that is no JSON and a key without time are refused by name; other files are not read', async (t) => {
  const directory = await folder(t)
  await mkdir(directory, { recursive: true })
  const path = join(directory, 'seal-00112233aabbccdd.json')
  const key = Buffer.alloc(32, 1).toString('base64')
  const bad = [
    '',
    '[]',
    'null',
    '{',
    JSON.stringify({ madeAt: 'never', key }),
    JSON.stringify({ madeAt: '2026-11-22T00:00:00.000Z', key: 'AAAA' }),
  ]
  for (const text of bad) {
    await writeFile(path, text, { mode: 0o600 })
    await assert.rejects(open(t, directory), /seal-00112233aabbccdd\.json.* holds no key of 32 bytes/)
  }
  await writeFile(join(directory, 'target'), JSON.stringify({ madeAt: '2026-11-22T00:00:00.000Z', key }), {
    mode: 0o600,
  })
  await rm(path)
  await symlink(join(directory, 'target'), path)
  await assert.rejects(open(t, directory), { code: 'ELOOP' })

  await rm(path)
  await writeFile(path, JSON.stringify({ madeAt: '2026-11-22T00:00:00.000Z', key }), { mode: 0o600 })
  await writeFile(join(directory, 'seal-00112233aabbccdd.json.new'), 'half a key')
  await writeFile(join(directory, 'seal-XYZ.json'), 'not ours')
  const ring = await open(t, directory)
  assert.ok(ring.seal('session', Buffer.from('x'), '').startsWith('00112233aabbccdd.'))
})

test('a key that cannot be read any more is told once, and the ring goes on with the keys it has', async (t) => {
  const directory = await folder(t)
  const problems: string[] = []
  const told = Promise.withResolvers<void>()
  const ring = await open(t, directory, {
    onProblem: (problem) => {
      problems.push(problem)
      told.resolve()
    },
  })
  const sealed = ring.seal('session', Buffer.from('x'), '')
  await writeFile(join(directory, 'seal-00112233aabbccdd.json'), 'half a key', { mode: 0o600 })
  await told.promise
  await sleep(50)
  assert.equal(problems.length, 1)
  assert.match(problems[0] ?? '', /seal-00112233aabbccdd/)
  assert.deepEqual(ring.open('session', sealed, ''), Buffer.from('x'))
  assert.ok(ring.open('session', ring.seal('session', Buffer.from('y'), ''), ''))
})

test('a rotation removes keys that have ended and keeps the others', async (t) => {
  const directory = await folder(t)
  await open(t, directory)
  const first = (await keysOf(directory))[0]?.kid
  const second = (await rotateSealKeys(directory, START + 1, false))[0]?.kid
  const justBefore = await rotateSealKeys(directory, START + LONGEST_SEALED_MS, false)
  assert.deepEqual(
    justBefore.slice(1).map(({ kid }) => kid),
    [second, first],
  )
  const after = await rotateSealKeys(directory, START + LONGEST_SEALED_MS + 1, false)
  assert.deepEqual(
    after.slice(1).map(({ kid }) => kid),
    [justBefore[0]?.kid, second],
  )
  assert.equal(after[0]?.until, undefined)
})

test('a rotation takes effect even when the clock went back', async (t) => {
  const directory = await folder(t)
  await open(t, directory)
  const before = (await keysOf(directory))[0]
  const after = await rotateSealKeys(directory, START - 3_600_000, false)
  assert.notEqual(after[0]?.kid, before?.kid)
  assert.equal(after[1]?.kid, before?.kid)
  assert.equal(after[1]?.until, START + 1 + LONGEST_SEALED_MS)
})

test('revoking ends all older keys at once, also one that others could read', async (t) => {
  verifies('bridge.key-rotation')
  const directory = await folder(t)
  const ring = await open(t, directory)
  const sealed = ring.seal('session', Buffer.from('x'), '')
  const [name = ''] = await readdir(directory)
  await chmod(join(directory, name), 0o644)
  await assert.rejects(rotateSealKeys(directory, START + 1, false), /has mode 644/)
  const left = await rotateSealKeys(directory, START + 1, true)
  assert.equal(left.length, 1)
  await becomes(() => ring.open('session', sealed, '') === undefined)
  assert.ok(ring.open('session', ring.seal('session', Buffer.from('y'), ''), ''))
})

test('keys in use end at 32: one more rotation says so, and works again once the oldest has ended', async (t) => {
  const directory = await folder(t)
  await open(t, directory)
  for (let i = 1; i < 32; i++) await rotateSealKeys(directory, START + i, false)
  await assert.rejects(rotateSealKeys(directory, START + 40, false), /holds 32 keys in use/)
  assert.equal((await rotateSealKeys(directory, START + 1 + LONGEST_SEALED_MS, false)).length, 32)
})
