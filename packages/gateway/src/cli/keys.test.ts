import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openKeyRing } from '../adapters/file/key-ring.ts'
import { verifies } from '../testing/verifies.ts'

const LAUNCHER = fileURLToPath(new URL('../../bin/callgate.mjs', import.meta.url))

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function stateFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-keys-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'state')
}

function callgate(state: string, ...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { ...process.env, CALLGATE_STATE: state }
    const child = execFile(process.execPath, [LAUNCHER, 'keys', ...args], { env }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? 1, stdout, stderr }),
    )
  })
}

test('keys rotate changes the key of a running ring, which opens what it sealed before until the key is revoked', async (t) => {
  verifies('bridge.key-rotation')
  const state = stateFolder(t)
  const heard = Promise.withResolvers<string>()
  const ring = await openKeyRing(join(state, 'keys'), { lookMs: 20, onRotated: (kid) => heard.resolve(kid) })
  t.after(() => ring.close())
  const before = ring.seal('session', Buffer.from('sid'), 'aad')

  const rotated = await callgate(state, 'rotate')
  assert.equal(rotated.code, 0, rotated.stderr)
  const kid = await heard.promise
  assert.match(
    rotated.stdout,
    new RegExp(`^${kid} current  made .*\n[0-9a-f]{16} previous made .*, opens until `),
  )
  assert.ok(ring.seal('session', Buffer.from('sid'), 'aad').startsWith(`${kid}.`))
  assert.deepEqual(ring.open('session', before, 'aad'), Buffer.from('sid'))

  const listed = await callgate(state, 'list', '--json')
  const keys: { kid: string; use: string; opensUntil?: string }[] = JSON.parse(listed.stdout)
  assert.deepEqual(
    keys.map(({ kid: id, use, opensUntil }) => [id, use, opensUntil !== undefined]),
    [
      [kid, 'current', false],
      [before.slice(0, 16), 'previous', true],
    ],
  )

  assert.equal((await callgate(state, 'rotate', '--revoke')).code, 0)
  // The new key comes before the old ones go, so a look between the two sees both.
  for (const until = performance.now() + 5_000; performance.now() < until; await sleep(10)) {
    if (ring.open('session', before, 'aad') === undefined) return
  }
  assert.fail('the ring still opens what a revoked key sealed')
})

test('keys prints no secret, and says where none is', async (t) => {
  const state = stateFolder(t)
  const none = await callgate(state)
  assert.deepEqual([none.code, none.stdout], [0, 'no key yet: the gate makes one at its first start\n'])
  const refused = await callgate(state, 'rotate')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /holds no seal key, so no gate has run on it\nfix: set CALLGATE_STATE/)
  assert.equal(existsSync(join(state, 'keys')), false)

  const ring = await openKeyRing(join(state, 'keys'))
  t.after(() => ring.close())
  const outputs = [
    await callgate(state),
    await callgate(state, 'list', '--json'),
    await callgate(state, 'rotate', '--json'),
  ]
  for (const name of await readdir(join(state, 'keys'))) {
    const { key }: { key: string } = JSON.parse(await readFile(join(state, 'keys', name), 'utf8'))
    for (const { code, stdout, stderr } of outputs) {
      assert.equal(code, 0)
      assert.ok(!stdout.includes(key.slice(0, 12)) && !stderr.includes(key.slice(0, 12)))
    }
  }
})
