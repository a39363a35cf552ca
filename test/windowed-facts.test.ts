// Limits over calls, from outside: a thousand rows are a thousand rows, in one call or in many (playbook Play 3).
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture } from './harness/fixtures.ts'
import { TestGate } from './harness/gate.ts'
import { modern, resultOf } from './harness/modern.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-windowed-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const inputSchema = { type: 'object', properties: { count: { type: 'integer' }, to: { type: 'string' } } }
const ROWS = 'session.sum("fix.bulk_update", "args.count", "1h")'
const POLICY = (mode: string) => `- rule: everything
  when: { tool: "*" }
  decision: allow
- rule: rows-of-an-hour-need-a-ticket
  when: { tool: "fix.bulk_update", cond: '${ROWS} > 1000 && !ctx.ticket' }
  decision: deny
  mode: ${mode}
- rule: five-mails-an-hour
  when: { tool: "fix.mail", cond: 'actor.count("fix.mail", "1h") > 5' }
  decision: deny
- rule: nothing-leaves-after-many-rows
  when: { tool: "fix.send", cond: '${ROWS} >= 1000' }
  decision: deny
`

async function start(t: TestContext, mode = 'enforce') {
  const fixture = new Fixture(
    ['bulk_update', 'mail', 'send', 'other'].map((name) => ({ name, description: name, inputSchema })),
  )
  const gate = await TestGate.start(
    {
      folder: mkdtempSync(join(folder, 'g')),
      servers: fixture.yaml('fix', { more: 'approve: first-use' }),
      policy: POLICY(mode),
    },
    t,
  )
  const token = (subject = 'ada', sid = 'one') => gate.mint({ subject, sid })
  const call = async (tool: string, args: object, by = token()) =>
    (await gate.call(`fix__${tool}`, args, { token: by })).text
  const ran = () => fixture.receivedOf('tools/call').length
  return { gate, call, ran, token }
}

const DENIED = /^CG_POLICY_DENIED/

test(
  '1,001 calls of one row: the thousand pass, the one beyond is refused, and nothing leaves behind it',
  { timeout: 120_000 },
  async (t) => {
    verifies('play3.windowed')
    const { gate, call, ran, token } = await start(t)
    assert.doesNotMatch(await call('send', {}), DENIED)
    const by = token()
    const texts: string[] = []
    for (let i = 0; i < 1_001; i += 20)
      texts.push(
        ...(await Promise.all(
          Array.from({ length: Math.min(20, 1_001 - i) }, () => call('bulk_update', { count: 1 }, by)),
        )),
      )
    assert.equal(texts.filter((text) => DENIED.test(text)).length, 1)
    assert.equal(ran(), 1 + 1_000)
    assert.match(await call('send', {}), DENIED)
    assert.doesNotMatch(await call('other', { count: 1 }), DENIED)
    assert.doesNotMatch(
      await call('bulk_update', { count: 1 }, token('ada', 'two')),
      DENIED,
      'another session',
    )
    await gate.stop()
    const denied = (await gate.records())
      .map(({ record }) => record)
      .find((record) => record.kind === 'outcome' && record.code === 'CG_POLICY_DENIED')
    assert.match(
      JSON.stringify(denied),
      /"session\.sum\(\\"fix\.bulk_update\\", \\"args\.count\\", \\"1h\\"\)":1001/,
    )
  },
)

test('of 2 calls of 600 rows at once one runs, in both eras, and the 400 that are left still pass', async (t) => {
  verifies('play3.windowed')
  const { gate, call, ran, token } = await start(t)
  const by = token()
  const both = await Promise.all([600, 600].map((count) => call('bulk_update', { count }, by)))
  assert.equal(both.filter((text) => DENIED.test(text)).length, 1)
  assert.doesNotMatch(await call('bulk_update', { count: 400 }, by), DENIED)
  assert.match(await call('bulk_update', { count: 1 }, by), DENIED)
  assert.equal(ran(), 2)
  const other = token('bob')
  const ask = async (count: number) =>
    JSON.stringify(
      resultOf(
        await modern(
          gate,
          'tools/call',
          { name: 'fix__bulk_update', arguments: { count } },
          { token: other },
        ),
      ),
    )
  const answers = await Promise.all([ask(600), ask(600)])
  assert.equal(answers.filter((text) => text.includes('CG_POLICY_DENIED')).length, 1)
  assert.doesNotMatch(await ask(400), /CG_/)
  assert.match(await ask(1), /CG_POLICY_DENIED/)
})

test('an actor is counted over its sessions, and what a later row refuses counts for nothing', async (t) => {
  verifies('play3.windowed')
  const { call, token } = await start(t)
  // Row 8 refuses: policy had let it pass.
  for (let i = 0; i < 10; i++)
    assert.match(await call('mail', { to: 'http://169.254.169.254/' }), /^CG_EGRESS/)
  for (let i = 0; i < 5; i++) assert.doesNotMatch(await call('mail', {}, token('ada', `s${i}`)), DENIED)
  assert.match(await call('mail', {}, token('ada', 'six')), DENIED)
  assert.match(await call('mail', {}, token('bob', 'six')), DENIED, 'the same agent for another user')
})

test('under observe everything runs, and the records say what would have been refused', async (t) => {
  verifies('play3.windowed')
  const { gate, call, ran } = await start(t, 'observe')
  for (const count of [600, 600]) assert.doesNotMatch(await call('bulk_update', { count }), DENIED)
  assert.equal(ran(), 2)
  await gate.stop()
  const observed = (await gate.records()).filter(({ record }) =>
    JSON.stringify(record).includes('"observed":["rows-of-an-hour'),
  )
  assert.ok(observed.length > 0)
})

test('a repeat by its key adds nothing, because it does not run', async (t) => {
  verifies('play3.windowed')
  const { gate, ran, token } = await start(t)
  const by = token()
  const keyed = async (count: number, key: string) =>
    (
      await gate.rpc(
        'tools/call',
        { name: 'fix__bulk_update', arguments: { count }, _meta: { 'dev.callgate/idempotencyKey': key } },
        { token: by },
      )
    ).body
  const first = await keyed(400, 'k-1')
  assert.equal(await keyed(400, 'k-1'), first)
  assert.equal(await keyed(400, 'k-1'), first)
  assert.doesNotMatch(await keyed(600, 'k-2'), /CG_/)
  assert.match(await keyed(1, 'k-3'), /CG_POLICY_DENIED/)
  assert.equal(ran(), 2)
})
