// What enforcing would do is known before it is done (issue 6, "Nothing breaks on day one").
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { seededRandom } from './harness/load.ts'
import { BIN, TestGate } from './harness/gate.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-rollout-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const RULES = `- rule: everything
  when: { tool: "*" }
  decision: allow
- rule: never-delete
  when: { tool: "*.delete" }
  decision: deny
- rule: short-texts
  when: { tool: "fix.note", cond: "size(args.text) > 10" }
  decision: deny
  mode: observe
- rule: three-notes-an-hour
  when: { tool: "fix.note", cond: 'session.count("fix.note", "1h") > 3' }
  decision: deny
  mode: observe
- rule: nobody-does-this
  when: { tool: "fix.other" }
  decision: deny
  mode: observe
`

async function start(t: TestContext) {
  const fixture = new Fixture(['note', 'delete', 'read', 'other'].map((name) => textTool(name)))
  const gate = await TestGate.start(
    {
      folder: mkdtempSync(join(folder, 'g')),
      servers: fixture.yaml('fix', { more: 'approve: first-use' }),
      policy: RULES,
      more: `listener: { port: 0 }\ndlp: { mode: observe, arguments: { credit_card: deny }, results: { email: placeholder } }`,
    },
    t,
  )
  const status = (...args: string[]) => {
    const {
      status: code,
      stdout,
      stderr,
    } = spawnSync(process.execPath, [BIN, 'rollout', 'status', '--config', gate.config, ...args], {
      encoding: 'utf8',
      env: { ...process.env, CALLGATE_STATE: gate.state },
    })
    return { code, stdout, stderr }
  }
  return { gate, status }
}

/** Mixed calls, the same every time. */
const CALLS = Array.from({ length: 60 }, (_, i) => ({
  tool: ['note', 'note', 'read', 'delete'][i % 4] ?? '',
  text: ['short', 'rather a long text', '4012888888881881', 'to ada@example.com', 'x'][i % 5] ?? '',
  sid: `s${i % 6}`,
}))

test('the trial names what enforcing would refuse, by actor and tool, and each with its fix', async (t) => {
  verifies('rollout.status')
  const trial = await start(t)
  for (const { tool, text, sid } of CALLS) {
    const { text: said } = await trial.gate.call(
      `fix__${tool}`,
      { text },
      { token: trial.gate.mint({ sid }) },
    )
    assert.equal(said.startsWith('CG_'), tool === 'delete', said)
  }
  const { code, stdout } = trial.status('--json')
  assert.equal(code, 0)
  const told = JSON.parse(stdout) as {
    calls: number
    trials: {
      control: string
      would: string
      enforce: string
      hits: { actor: string; tool: string; calls: number; last: string; fix: string }[]
    }[]
  }
  assert.equal(told.calls, CALLS.length)
  const of = (control: string) => told.trials.find((each) => each.control === control) ?? assert.fail(control)
  assert.deepEqual([of('nobody-does-this').would, of('nobody-does-this').hits], ['refuse', []])
  const [short] = of('short-texts').hits
  assert.equal(short?.fix, 'in its `cond`: `!(actor.id == "test-agent" && tool.name == "fix.note")`')
  assert.match(of('short-texts').enforce, /policy\.yaml:\d+$/)
  assert.equal(of('(dlp: deny credit_card in the argument)').would, 'refuse')
  assert.equal(of('(dlp: placeholder email in the result)').would, 'change')

  await trial.gate.stop()
  const { stdout: shown } = trial.status()
  assert.match(shown, /^60 calls since \d{4}-\d\d-\d\d; \d controls on trial\n/)
  assert.match(shown, /nobody-does-this would refuse nothing so far/)
  assert.match(
    shown,
    /short-texts would refuse \d+ calls\n {2}to enforce it: remove `mode: observe` at .*policy\.yaml:\d+\n {2}\d+ x test-agent fix\.note, last \S+\n/,
  )
  const id =
    /credit_card in the argument\)[\s\S]*?callgate explain (\S+) prints/.exec(shown)?.[1] ??
    assert.fail(shown)
  const explained = spawnSync(process.execPath, [BIN, 'explain', id], {
    encoding: 'utf8',
    env: { ...process.env, CALLGATE_STATE: trial.gate.state },
  }).stdout
  assert.match(
    explained,
    /"class":"credit_card","in":"arguments","tool":"fix\.(?:note|read)","path":"\/text","actor":"test-agent"/,
  )
})

test('a span that is none is refused, and one that is over shows nothing', async (t) => {
  verifies('rollout.status')
  const { gate, status } = await start(t)
  for (const days of ['0', '-1', 'x', '4000']) {
    const { code, stderr } = status('--days', days)
    assert.equal(code, 2)
    assert.match(stderr, /--days is `.*` \(expected a number from 1 to 3650\)/)
  }
  await gate.call('fix__note', { text: 'rather a long text' })
  assert.match(status('--days', '1').stdout, /short-texts would refuse 1 call\n/)
})

test('what egress and ownership would refuse is told with the way to enforce it and to let it be', async (t) => {
  verifies('rollout.status')
  const fixture = new Fixture([textTool('note')])
  const gate = await TestGate.start(
    {
      folder: mkdtempSync(join(folder, 'g')),
      servers: fixture.yaml('fix', {
        more: 'approve: first-use\ntools: { note: { owned: [{ at: /text, type: page }] } }',
      }),
      policy: `- { rule: everything, when: { tool: "*" }, decision: allow }
- { rule: no-mail, when: { tool: "fix.*" }, decision: redact, classes: [email], mode: observe }
- { rule: freeze, when: { tool: "fix.*" }, decision: defer, mode: observe }
`,
      more: `listener: { port: 0 }
egress: { mode: observe, allow: [example.com], resolve: false }
ownership: { mode: observe, types: { page: { source: claims, prefix: "{tenant}-" } } }`,
    },
    t,
  )
  await gate.call('fix__note', { text: 'see https://elsewhere.example.net/x' })
  await gate.stop()
  const { stdout } = spawnSync(process.execPath, [BIN, 'rollout', 'status', '--config', gate.config], {
    encoding: 'utf8',
    env: { ...process.env, CALLGATE_STATE: gate.state },
  })
  assert.match(stdout, /\(egress: \S+\) would refuse 1 call\n {2}to enforce it: set `egress.mode: enforce`/)
  assert.match(stdout, /to let these be: .*`servers.fix.egress.allow`/)
  assert.match(
    stdout,
    /\(ownership: page\) would refuse 1 call\n {2}to enforce it: set `ownership.mode: enforce`/,
  )
  assert.match(stdout, /to let these be: in the source of `ownership.types.page`/)
  assert.match(stdout, /no-mail would change 1 call/)
  assert.match(stdout, /freeze would put off 1 call/)
  assert.doesNotMatch(stdout, /unknown|no rule on trial/)
})

/** Calls of the replay: 10,000 by `npm run proof -- 6`. */
const MIXED = Number(process.env['CALLGATE_PROOF_MIXED_CALLS'] ?? 300)
const LANES = 8
const TEXTS = [
  'short',
  'rather a long text',
  '4012888888881881',
  'to ada@example.com',
  'see https://elsewhere.example.net/x',
  'see https://example.com/x',
  'FREEZE',
  'for <EMAIL_1>',
] as const

test(`of ${MIXED} mixed calls enforcing refuses exactly those that the trial said`, async (t) => {
  verifies('rollout.status')
  const random = seededRandom(6)
  const among = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] ?? assert.fail()
  const calls = Array.from({ length: MIXED }, () => ({
    tool: among(['note', 'note', 'note', 'read', 'page', 'delete']),
    text: among(TEXTS),
    rows: Math.floor(random() * 60),
    page: among(['default-7', 'other-7']),
    session: Math.floor(random() * (MIXED / 25)),
    agent: among(['test-agent', 'second-agent']),
  }))
  const schema = {
    type: 'object',
    properties: { text: { type: 'string' }, rows: { type: 'integer' }, page: { type: 'string' } },
  }
  const trial = (mode: string) => {
    const fixture = new Fixture(
      ['note', 'read', 'page', 'delete'].map((name) => ({
        name,
        inputSchema: schema,
        outcome: { kind: 'text', text: 'done, ask ada@example.com' },
      })),
    )
    return TestGate.start(
      {
        folder: mkdtempSync(join(folder, 'g')),
        servers: fixture.yaml('fix', {
          more: 'approve: first-use\ntools: { page: { owned: [{ at: /page, type: page }] } }',
        }),
        policy: [
          ['everything', 'when: { tool: "*" }, decision: allow'],
          ['never-delete', 'when: { tool: "*.delete" }, decision: deny'],
          [
            'short-texts',
            `when: { tool: fix.note, cond: "size(args.text) > 30" }, decision: deny, mode: ${mode}`,
          ],
          [
            'ten-notes',
            `when: { tool: fix.note, cond: 'session.count("fix.note", "1h") > 10' }, decision: deny, mode: ${mode}`,
          ],
          [
            'few-rows',
            `when: { tool: fix.read, cond: 'session.sum("fix.read", "args.rows", "1h") > 100' }, decision: require_ticket, mode: ${mode}`,
          ],
          [
            'thousand',
            `when: { tool: fix.page, cond: 'actor.count("fix.page", "1h") > 40' }, decision: deny, mode: ${mode}`,
          ],
          ['freeze', `when: { cond: "args.text == 'FREEZE'" }, decision: defer, mode: ${mode}`],
          [
            'second',
            `when: { tool: fix.read, actor: second-*, cond: "args.rows > 50" }, decision: require_approval, approvers: [dba], mode: ${mode}`,
          ],
        ]
          .map(([id, rest]) => `- { rule: ${id}, ${rest} }\n`)
          .join(''),
        more: `listener: { port: 0 }
dlp: { mode: ${mode}, arguments: { credit_card: deny }, results: { email: placeholder } }
egress: { mode: ${mode}, allow: [example.com], resolve: false }
ownership: { mode: ${mode}, types: { page: { source: claims, prefix: "{tenant}-" } } }`,
      },
      t,
    )
  }
  /** The code of each call; a lane keeps the order of its sessions and actors, lanes run side by side. */
  const codes = async (gate: TestGate) => {
    const tokens = new Map<string, string>()
    const told: (string | undefined)[] = []
    const lane = async (number: number): Promise<void> => {
      for (const [i, { tool, session, agent, ...args }] of calls.entries()) {
        if (session % LANES !== number) continue
        const sid = `s${session}-${agent}`
        const token = tokens.get(sid) ?? gate.mint({ sid, subject: sid, clientId: `${agent}-${number}` })
        tokens.set(sid, token)
        told[i] = /^CG_\w+/.exec((await gate.call(`fix__${tool}`, args, { token })).text)?.[0]
      }
    }
    await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)))
    return told
  }
  const watched = await trial('observe')
  const before = await codes(watched)
  await watched.stop()
  const enforcing = await trial('enforce')
  const after = await codes(enforcing)

  // A session's calls came one after the other, so its records stand in their order.
  const recorded = Map.groupBy(
    (await watched.records()).flatMap(({ record }) => (record.kind === 'outcome' ? [record] : [])),
    ({ subject }) => subject,
  )
  const predicted = calls.map(({ session, agent }) => {
    const record = recorded.get(`s${session}-${agent}`)?.shift() ?? assert.fail('a call without its record')
    const observed = record.decision?.observed ?? []
    return (
      record.code !== undefined ||
      observed.some((one) => !one.startsWith('(dlp: ') || one.startsWith('(dlp: deny '))
    )
  })
  const differing = calls.flatMap((call, i) =>
    predicted[i] === (after[i] !== undefined) ? [] : [{ ...call, i, before: before[i], after: after[i] }],
  )
  assert.deepEqual(differing.slice(0, 5), [], `${differing.length} of ${MIXED} differ`)
  const kinds = Map.groupBy(after, (code) => code ?? 'passed')
  t.diagnostic(`of ${MIXED} calls: ${[...kinds].map(([kind, { length }]) => `${kind} ${length}`).join(', ')}`)
  for (const kind of [
    'passed',
    'CG_POLICY_DENIED',
    'CG_POLICY_DEFERRED',
    'CG_DLP_ARGUMENT',
    'CG_DLP_PLACEHOLDER',
    'CG_EGRESS_DENIED',
    'CG_OWNER_FOREIGN',
  ])
    assert.ok((kinds.get(kind)?.length ?? 0) > MIXED / 100, kind)
  assert.ok(
    before.filter((code) => code !== undefined).length <
      after.filter((code) => code !== undefined).length / 2,
  )
})
