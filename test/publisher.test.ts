// What a person approved of one publisher says nothing of another, from outside (playbook Play 8; MITRE ATLAS T0109, rug pull).
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { BIN, TestGate } from './harness/gate.ts'
import { SayingServer } from './harness/saying-server.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-publisher-'))
after(() => rmSync(folder, { recursive: true }))

test('a server that is taken from elsewhere runs no tool until a person approves it of there', async (t) => {
  verifies('play8.signed-only.publisher')
  const server = new SayingServer({ read: {} })
  t.after(() => server.close())
  const url = await server.start()
  const start = (at: string) =>
    TestGate.start(
      { folder, servers: `data: { url: "${at}", network: ["127.0.0.0/8", "::1/128"], approve: first-use }` },
      t,
    )
  const first = await start(url)
  assert.equal((await first.call('data__read', {})).isError, false)
  await first.stop()
  const ran = server.seen.length

  const moved = await start(url.replace('127.0.0.1', 'localhost'))
  assert.match((await moved.call('data__read', {})).text, /^CG_CATALOG_/)
  assert.equal(server.seen.length, ran, 'the very same tool by its digest')
  assert.doesNotMatch((await moved.rpc('tools/list', {})).body, /data__read/)
  const servers = (...args: string[]): string =>
    spawnSync(process.execPath, [BIN, 'servers', ...args], {
      encoding: 'utf8',
      env: { ...process.env, CALLGATE_STATE: moved.state },
    }).stdout
  assert.match(
    servers(),
    /data\.read [0-9a-f]{32} approved of `127\.0\.0\.1`, and the server is `localhost` now/,
  )
  servers('approve', 'data', 'read')
  for (let i = 0; i < 100 && (await moved.call('data__read', {})).isError; i++) await pause(50)
  assert.equal((await moved.call('data__read', {})).isError, false)
  await moved.stop()

  const again = await start(url.replace('127.0.0.1', 'localhost').replace('/mcp', '/v2'))
  assert.equal((await again.call('data__read', {})).isError, false, 'another path is the same publisher')
})
