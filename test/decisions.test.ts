// Decisions of policy from outside: what a rule takes out, and what it puts off (playbook Play 3, "Inline allow, deny, redact").
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { TestGate } from './harness/gate.ts'
import { modern } from './harness/modern.ts'
import { SayingServer } from './harness/saying-server.ts'

const EMAIL = 'ada@example.com'
const PHONE = '+44 20 7946 0958'
const POLICY = `- { rule: everything, when: { server: data }, decision: allow }
- rule: no-addresses-of-staff
  when: { tool: "data.read", cond: "args.table == 'staff'" }
  decision: redact
  classes: [email]
- { rule: no-phones-out, when: { tool: "data.*" }, decision: redact, classes: [phone], in: [arguments] }
- { rule: no-ips-on-trial, when: { tool: "data.*" }, decision: redact, classes: [ip_address], mode: observe }
- rule: not-on-freeze
  when: { tool: "data.deploy", cond: "args.table == 'prod'" }
  decision: defer
  retry_after: 1800
  why: nothing is deployed during the freeze
- { rule: not-now-either, when: { tool: "data.deploy", actor: "*" }, decision: defer, mode: observe }
- { rule: never-drop, when: { tool: "data.deploy", cond: "args.table == 'gone'" }, decision: deny }
- { rule: nor-defer-it, when: { tool: "data.deploy", cond: "args.table == 'gone'" }, decision: defer }
`

async function start(t: TestContext, dlp: string) {
  const inputSchema = { type: 'object', properties: { table: { type: 'string' }, note: { type: 'string' } } }
  const server = new SayingServer({ read: { inputSchema }, deploy: { inputSchema } })
  t.after(() => server.close())
  const url = await server.start()
  const gate = await TestGate.start(
    {
      servers: `  data: { url: "${url}", network: [127.0.0.1/32], approve: first-use, tools: { read: { class: read } } }`,
      policy: POLICY,
      more: `listener: { port: 0 }\n${dlp}`,
    },
    t,
  )
  const text = `${EMAIL} ${PHONE}, from 203.0.113.7`
  server.says = { content: [{ type: 'text', text }] }
  const call = async (era: 'legacy' | 'modern', name: string, table: string, note = text) => {
    const params = { name: `data__${name}`, arguments: { table, note } }
    const { body } =
      era === 'legacy' ? await gate.rpc('tools/call', params) : await modern(gate, 'tools/call', params)
    return { body, sent: server.seen.splice(0).join() }
  }
  return { gate, call }
}

for (const mode of ['enforce', 'observe']) {
  test(`a rule takes out what it names, where it says and while its condition holds, also with dlp on ${mode}`, async (t) => {
    verifies('play3.decisions.redact')
    const { gate, call } = await start(t, `dlp: { mode: ${mode} }`)
    for (const era of ['legacy', 'modern'] as const) {
      const staff = await call(era, 'read', 'staff')
      assert.doesNotMatch(staff.sent + staff.body, /ada@example/, era)
      assert.match(staff.sent, /redacted:email/)
      assert.match(staff.body, /redacted:email/)
      assert.doesNotMatch(staff.sent, /7946/)
      assert.match(staff.body, /7946/, 'phones are taken out of arguments only')
      assert.match(staff.sent, /203\.0\.113\.7/, 'a rule on trial takes nothing out')
      const shop = await call(era, 'read', 'shop')
      assert.match(shop.sent, /ada@example/, 'the near miss')
      assert.match(shop.body, /ada@example/)
      assert.doesNotMatch(shop.sent, /7946/)
    }
    await gate.stop()
    const outcomes = (await gate.records()).flatMap(({ record }) =>
      record.kind === 'outcome' ? [record] : [],
    )
    assert.deepEqual(outcomes[0]?.decision?.rules, ['everything', 'no-addresses-of-staff', 'no-phones-out'])
    assert.deepEqual(outcomes[0]?.decision?.effect, 'allow')
    assert.ok(outcomes[0]?.decision?.observed?.includes('no-ips-on-trial'))
    assert.doesNotMatch(JSON.stringify(outcomes[0]), /ada@example|7946/)
  })
}

test('a deferred call is refused for now and told when to come again; a denied one stays denied', async (t) => {
  verifies('play3.decisions.defer')
  const { gate, call } = await start(t, '')
  for (const era of ['legacy', 'modern'] as const) {
    const prod = await call(era, 'deploy', 'prod')
    assert.match(prod.body, /CG_POLICY_DEFERRED.*retry_after: 1800 s/, era)
    assert.equal(prod.sent, '')
    const gone = await call(era, 'deploy', 'gone')
    assert.match(gone.body, /CG_POLICY_DENIED/)
    assert.equal(gone.sent, '')
    const staging = await call(era, 'deploy', 'staging')
    assert.doesNotMatch(staging.body, /CG_/, 'the near miss, and a rule on trial')
    assert.notEqual(staging.sent, '')
  }
  await gate.stop()
  const [first] = (await gate.records()).flatMap(({ record }) => (record.kind === 'outcome' ? [record] : []))
  assert.deepEqual(
    [first?.decision?.effect, first?.decision?.rules, first?.code],
    ['defer', ['not-on-freeze'], 'CG_POLICY_DEFERRED'],
  )
  assert.match(first?.internal ?? '', /not-on-freeze \(nothing is deployed during the freeze\)/)
})
