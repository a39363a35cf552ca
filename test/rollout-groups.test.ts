// Some go first: what is on trial for all is enforced for one group, or at one server (issue 6, "Nothing breaks on day one").
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { BIN, TestGate } from './harness/gate.ts'
import { modern, resultOf } from './harness/modern.ts'

const TOOLS = ['note', 'pay', 'fetch', 'order']
const RULES = `- { rule: everything, when: { tool: "*" }, decision: allow }
- { rule: no-notes, when: { tool: "*.note" }, decision: deny, mode: observe }
- { rule: few-fetches, when: { tool: "*.fetch", cond: 'actor.count("*.fetch", "1h") > 2' }, decision: deny, mode: observe }
- { rule: no-notes-at-all, when: { tool: "*.note" }, decision: deny, mode: observe }
`
const ON_TRIAL = `listener: { port: 0 }
dlp: { mode: observe, arguments: { credit_card: deny }, results: { credit_card: count } }
egress: { mode: observe, resolve: false, deny: [example.net] }
ownership: { mode: observe, types: { order: { source: claims, prefix: "{tenant}-" } } }
`
const OWNED = 'tools: { order: { owned: [{ at: /text, type: order }] } }'
const TEXTS: Readonly<Record<string, string>> = {
  note: 'x',
  pay: '4012888888881881',
  fetch: 'https://example.net/',
  order: 'acme-1',
}
const CODES: Readonly<Record<string, string>> = {
  note: 'CG_POLICY_DENIED',
  pay: 'CG_DLP_ARGUMENT',
  fetch: 'CG_EGRESS_DENIED',
  order: 'CG_OWNER_FOREIGN',
}

async function start(t: TestContext, rollout: string) {
  const servers = ['one', 'two'].map((id) =>
    new Fixture(TOOLS.map((name) => textTool(name))).yaml(id, { more: `approve: first-use\n${OWNED}` }),
  )
  const gate = await TestGate.start(
    { servers: servers.join('\n'), policy: RULES, more: `${ON_TRIAL}${rollout}` },
    t,
  )
  /** Code of the refusal in either era; the same in both. */
  const outcome = async (actor: string, server: string, tool: string): Promise<string | undefined> => {
    const name = `${server}__${tool}`
    const args = { text: TEXTS[tool] }
    const legacy = await gate.call(name, args, { token: gate.mint({ clientId: actor }) })
    const answer = await modern(
      gate,
      'tools/call',
      { name, arguments: args },
      { token: gate.mint({ clientId: actor }) },
    )
    const { content, isError } = resultOf(answer) as { content?: { text: string }[]; isError?: boolean }
    const codes = [
      [legacy.isError, legacy.text],
      [isError, content?.[0]?.text],
    ].map(([failed, text]) => (failed === true ? /^CG_\w+/.exec(String(text))?.[0] : undefined))
    assert.equal(codes[0], codes[1], `${actor} ${name}`)
    return codes[0]
  }
  const callgate = (...args: string[]) =>
    spawnSync(process.execPath, [BIN, ...args, '--config', gate.config], {
      encoding: 'utf8',
      env: { ...process.env, CALLGATE_STATE: gate.state },
    }).stdout
  return { gate, outcome, callgate }
}

test('a group meets what everybody else has on trial, at the servers that are named', async (t) => {
  verifies('rollout.groups')
  const { gate, outcome, callgate } = await start(
    t,
    `rollout:
  groups: { pilots: { actors: ["sales-*"], tenants: [default] }, others: { actors: ["ops-*"] } }
  enforce:
    - { rules: [no-notes], groups: [pilots] }
    - { controls: [dlp, egress, ownership], groups: [pilots], servers: [one] }
    - { rules: [no-note], groups: [others] }
`,
  )
  for (const tool of TOOLS) {
    assert.equal(await outcome('sales-1', 'one', tool), CODES[tool], tool)
    assert.equal(await outcome('ops-1', 'one', tool), undefined, tool)
    assert.equal(await outcome('sales-1', 'two', tool), tool === 'note' ? CODES[tool] : undefined, tool)
  }
  // What passed is recorded as on trial, by the same names as for everybody.
  const observed = new Set(
    (await gate.records()).flatMap(({ record }) =>
      record.kind === 'outcome' && record.actor?.id === 'ops-1' ? (record.decision?.observed ?? []) : [],
    ),
  )
  assert.deepEqual([...observed].sort(), [
    '(dlp: deny credit_card in the argument)',
    '(egress: denied)',
    '(ownership: order)',
    'no-notes',
    'no-notes-at-all',
  ])
  // Who may not call a tool is not shown it; the others are.
  const listed = async (actor: string): Promise<boolean> =>
    JSON.stringify(
      (await gate.rpc('tools/list', {}, { token: gate.mint({ clientId: actor }) })).json(),
    ).includes('one__note')
  assert.deepEqual([await listed('sales-1'), await listed('ops-1')], [false, true])

  const status = callgate('rollout', 'status')
  assert.match(status, /no-notes would refuse 2 calls\n {2}enforced already for group pilots\n/)
  assert.match(status, /\(egress: denied\) would refuse .*\n {2}enforced already for group pilots at one\n/)
  assert.match(status, /\(dlp: deny credit_card .*\n {2}enforced already for group pilots at one\n/)
  assert.match(status, /no-notes-at-all would refuse \d+ calls\n {2}to enforce it/)
  const told =
    /warning: .*`no-note` in `rollout\.enforce\[2\]\.rules` is no rule on trial; did you mean `no-notes`/
  assert.match(callgate('check'), told)
})

test('a limit that is enforced early counts what other trials would have refused, since that runs', async (t) => {
  verifies('rollout.groups')
  verifies('play3.windowed')
  const { outcome } = await start(
    t,
    'rollout: { groups: { pilots: { actors: ["sales-*"] } }, enforce: [{ rules: [few-fetches], groups: [pilots] }] }\n',
  )
  // Two calls each, one an era; egress is on trial and would have refused them all.
  for (const actor of ['sales-1', 'ops-1'])
    assert.equal(await outcome(actor, 'one', 'fetch'), undefined, actor)
  assert.equal(await outcome('sales-1', 'one', 'fetch'), 'CG_POLICY_DENIED')
  assert.equal(await outcome('ops-1', 'one', 'fetch'), undefined)
})

test('a server meets first what is on trial at the others', async (t) => {
  verifies('rollout.groups')
  const { outcome } = await start(
    t,
    'rollout: { enforce: [{ rules: ["no-*"], controls: [dlp, egress, ownership], servers: [two] }] }\n',
  )
  for (const tool of TOOLS) {
    assert.equal(await outcome('sales-1', 'two', tool), CODES[tool], tool)
    assert.equal(await outcome('sales-1', 'one', tool), undefined, tool)
  }
})
