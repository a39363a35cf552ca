import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readRunFile } from '../packages/gateway/src/cli/locate.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { TestGate } from './harness/gate.ts'
import { resultOf } from './harness/modern.ts'
import { requestText, sendRaw } from './harness/raw.ts'

// One server ends at once, one never answers anything, one takes its time over each call, and one is good.
const good = new Fixture([textTool('echo')])
const slow = new Fixture([textTool('slow'), textTool('never')])
const dead = new Fixture([textTool('echo')])
const hanging = new Fixture([textTool('echo')])
const folder = mkdtempSync(join(tmpdir(), 'callgate-dead-'))
const startedAt = performance.now()
let starting: Promise<TestGate>
let url = ''
let gate: TestGate

before(async () => {
  starting = TestGate.start({
    folder,
    servers: [
      dead.yaml('dead', { behaviour: 'dead' }),
      good.yaml('good'),
      hanging.yaml('hanging', { behaviour: 'hangs' }),
      slow.yaml('slow', { more: 'approve: first-use\ntimeoutMs: 3000' }),
    ].join('\n'),
  })
  // It listens long before the hanging server is given up.
  while (url === '') {
    await sleep(20)
    url = readRunFile(join(folder, 'state'))?.url ?? ''
  }
})
after(async () => {
  await gate.close()
  for (const { folder: each } of [good, slow, dead, hanging]) rmSync(each, { recursive: true, force: true })
  rmSync(folder, { recursive: true, force: true })
})

const health = async (): Promise<number> => (await sendRaw(url, requestText(url, 'GET', '/healthz'))).status

test('a gate whose server hangs is not healthy yet, and is so within 20 seconds of its start', async () => {
  verifies('spine.healthz')
  assert.equal(await health(), 503)
  gate = await starting
  assert.equal(gate.url, url)
  assert.equal(await health(), 200)
  assert.ok(performance.now() - startedAt <= 20_000)
})

test('the good and the slow server are listed and called beside a dead and a hanging one', async () => {
  verifies('spine.one-dead-server')
  const names = (resultOf(await gate.rpc('tools/list', {}))['tools'] as { name: string }[]).map(
    ({ name }) => name,
  )
  assert.deepEqual(names, ['good__echo', 'slow__never', 'slow__slow'])
  assert.equal((await gate.call('good__echo', { text: 'x' })).isError, false)
})

test('calls to the good server pass while a call of another hangs, and that one ends at its own deadline', async () => {
  verifies('spine.one-dead-server')
  const token = gate.mint()
  const stuck = gate.call('slow__never', {}, { token })
  const late = gate.call('slow__slow', {}, { token })
  for (let i = 0; i < 5; i++)
    assert.equal((await gate.call('good__echo', { text: 'x' }, { token })).isError, false)
  assert.equal((await late).text, 'slow but sure')
  const { text, isError } = await stuck
  assert.ok(isError)
  assert.match(text, /^CG_UPSTREAM_UNKNOWN_FATE: /, 'a write whose answer never came may have happened')
})

test('a tool of a server that never listed is refused and breaks nothing', async () => {
  verifies('spine.one-dead-server')
  for (const server of ['dead', 'hanging']) {
    const path = `/mcp/${server}`
    const { text, isError } = await gate.call('echo', { text: 'x' }, { path })
    assert.ok(isError)
    assert.match(text, /^CG_CATALOG_NOT_READY: /)
    assert.deepEqual(resultOf(await gate.rpc('tools/list', {}, { path }))['tools'], [])
  }
})
