// Approvals from outside: a call waits until somebody else approves this very call, and then runs once (playbook Play 3).
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture } from './harness/fixtures.ts'
import { BIN, TestGate } from './harness/gate.ts'
import { modern, resultOf } from './harness/modern.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-approvals-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const inputSchema = {
  type: 'object',
  properties: {
    table: { type: 'string' },
    note: { type: 'string' },
    zone: { type: 'string', 'x-mcp-header': 'Zone' },
  },
}
const POLICY = `- rule: everything
  when: { tool: "*" }
  decision: allow
- rule: drops-need-a-dba
  when: { tool: "fix.drop" }
  decision: require_approval
  approvers: [dba]
  why: a dropped table is gone
- rule: wipes-need-two
  when: { tool: "fix.wipe" }
  decision: require_approval
  approvers: [dba]
- rule: wipes-need-security-too
  when: { tool: "fix.wipe" }
  decision: require_approval
  approvers: [security, ciso]
`
const ROLES =
  'approvals: { roles: { dba: ["cli:grace", "cli:ada"], security: ["cli:sam"], ciso: ["cli:cleo"] } }'

async function start(
  t: TestContext,
  { own = mkdtempSync(join(folder, 'g')), approvals = ROLES }: { own?: string; approvals?: string } = {},
) {
  const fixture = new Fixture(
    ['drop', 'wipe', 'look'].map((name) => ({ name, description: name, inputSchema })),
  )
  const gate = await TestGate.start(
    {
      folder: own,
      servers: fixture.yaml('fix', { more: 'approve: first-use' }),
      policy: POLICY,
      more: `listener: { port: 0 }\n${approvals}`,
    },
    t,
  )
  const call = async (name: string, args: object, subject = 'ada', path = '/mcp') =>
    (
      await gate.rpc(
        'tools/call',
        { name: name.startsWith('callgate') || path !== '/mcp' ? name : `fix__${name}`, arguments: args },
        { path, token: gate.mint({ subject, path }) },
      )
    ).body
  const cli = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [BIN, 'approvals', ...args, '--state', gate.state],
      { encoding: 'utf8' },
    )
    return { status, said: stdout + stderr }
  }
  const sent = (): unknown[] =>
    fixture
      .receivedOf('tools/call')
      .map(({ line }) => (JSON.parse(line) as { params: { arguments: object } }).params.arguments)
  return { gate, call, cli, sent, own }
}

/** What a call that is held back names. */
const requestIn = (text: string): string => /request ([0-9a-f]{32})/.exec(text)?.[1] ?? assert.fail(text)
const resume = 'callgate__resume'

test('a call waits for somebody else, and the approved one runs once: by its id, by a retry, never twice', async (t) => {
  verifies('play3.approval')
  const { gate, call, cli, sent } = await start(t)
  const args = { table: 'orders', note: 'mail anna@corp.example, card 4111 1111 1111 1111' }
  const held = await call('drop', args)
  assert.match(held, /CG_STEPUP_APPROVAL.*needs approval by dba until 20.*callgate__resume/)
  const id = requestIn(held)
  assert.equal(requestIn(await call('drop', args)), id, 'asking again is the same request')
  assert.notEqual(requestIn(await call('drop', { table: 'other' })), id)
  assert.doesNotMatch(await call('look', args), /CG_/, 'the near miss passes')

  const listed = cli()
  assert.match(listed.said, new RegExp(`${id} pending {2}fix.drop for \\S+ \\(ada\\), by dba, until 20`))
  const shown = cli('show', id).said
  assert.match(shown, /rule {7}drops-need-a-dba: a dropped table is gone/)
  assert.match(shown, /"table": "orders"/)
  assert.doesNotMatch(shown, /anna@corp|4111/, 'approvers see no personal data')

  // Nobody who may not, not the caller himself, nothing that was never asked.
  assert.match(cli('approve', id, '--as', 'mallory').said, /has none of the roles/)
  assert.match(cli('approve', id, '--as', 'sam').said, /has none of the roles.*dba/)
  assert.match(cli('approve', id, '--as', 'ADA').said, /nobody approves a call of his own/)
  assert.match(cli('approve', '0'.repeat(32), '--as', 'grace').said, /no such request/)
  assert.equal(cli('approve', 'nonsense', '--as', 'grace').status, 2)
  assert.match(await call(resume, { id }), /CG_STEPUP_APPROVAL/)
  assert.deepEqual(sent(), [args])

  const approved = cli('approve', id, '--as', 'grace', '--comment', 'seen with Tom')
  assert.equal(approved.status, 0, approved.said)
  assert.match(cli('approve', id, '--as', 'grace').said, /is approved already/)
  // What was approved is this call, of this caller, at this endpoint.
  assert.match(await call('drop', { ...args, table: 'customers' }), /CG_STEPUP_APPROVAL/)
  assert.match(await call('drop', args, 'eve'), /CG_STEPUP_APPROVAL/)
  assert.match(await call(resume, { id }, 'eve'), /CG_STEPUP_RESUME/)
  assert.match(await call(resume, { id }, 'ada', '/mcp/fix'), /CG_STEPUP_RESUME/)
  assert.match(await call(resume, { id, table: 'x' }), /CG_SCHEMA_VIOLATION/)
  assert.match(await call(resume, { id: 7 }), /CG_SCHEMA_VIOLATION/)
  assert.equal(sent().length, 1)

  const answers = await Promise.all([
    call(resume, { id }),
    call('drop', args),
    call(resume, { id }),
    call('drop', args),
  ])
  assert.equal(answers.filter((answer) => !/CG_/.test(answer)).length, 1, answers.join('\n'))
  assert.deepEqual(sent(), [args, args], 'the call runs with the arguments that it had')
  assert.match(await call(resume, { id }), /CG_STEPUP_RESUME/)
  assert.notEqual(requestIn(await call('drop', args)), id, 'the next run needs an approval of its own')

  await gate.stop()
  const records = (await gate.records()).map(({ record }) => record)
  const ran = records.filter((record) => record.kind === 'outcome' && record.outcome === 'answered')
  assert.deepEqual(
    ran.map((record) => record.kind === 'outcome' && [record.call.tool, record.approval]),
    [
      ['look', undefined],
      ['drop', id],
    ],
  )
  const said = records.flatMap((record) =>
    record.kind === 'gate' && record.event === 'approval.decided' ? [record.detail] : [],
  )
  assert.equal(said.length, 1)
  assert.equal(said[0]?.['by'], 'cli:grace')
  assert.equal(said[0]['comment'], 'seen with Tom')
  assert.doesNotMatch(JSON.stringify(records), /anna@corp|4111 1111/)
  assert.equal((await gate.verify()).ok, true)
})

test('each rule has its approver, one denial denies, and a denied call stays denied', async (t) => {
  verifies('play3.approval')
  const { call, cli, sent } = await start(t)
  const id = requestIn(await call('wipe', { table: 'a' }))
  assert.match(cli('show', id).said, /approvers {2}dba, and security or ciso/)
  assert.match(cli('approve', id, '--as', 'grace').said, /still needs approval by others/)
  assert.match(cli('approve', id, '--as', 'grace').said, /has none of the roles.*security or ciso/)
  assert.match(await call('wipe', { table: 'a' }), /CG_STEPUP_APPROVAL/)
  assert.match(cli('approve', id, '--as', 'cleo').said, /is approved/)
  assert.doesNotMatch(await call('wipe', { table: 'a' }), /CG_/)

  const other = requestIn(await call('wipe', { table: 'b' }))
  assert.match(cli('deny', other, '--as', 'sam', '--comment', 'not today').said, /is denied/)
  assert.match(cli('approve', other, '--as', 'grace').said, /is denied already/)
  assert.match(await call('wipe', { table: 'b' }), /CG_STEPUP_DENIED/)
  assert.match(await call(resume, { id: other }), /CG_STEPUP_DENIED/)
  assert.equal(sent().length, 1)
})

test('requests, approvals and their use outlive a crash of the gate', async (t) => {
  verifies('play3.approval')
  const first = await start(t)
  const args = { table: 'orders' }
  const pending = requestIn(await first.call('drop', { table: 'pending' }))
  const approved = requestIn(await first.call('drop', args))
  const used = requestIn(await first.call('drop', { table: 'used' }))
  for (const id of [approved, used])
    assert.match(first.cli('approve', id, '--as', 'grace').said, /is approved/)
  assert.doesNotMatch(await first.call(resume, { id: used }), /CG_/)
  await first.gate.stop('SIGKILL')
  const again = await start(t, { own: first.own })
  assert.equal(requestIn(await again.call('drop', { table: 'pending' })), pending)
  assert.match(await again.call(resume, { id: used }), /CG_STEPUP_(RESUME|DENIED)/)
  assert.doesNotMatch(await again.call(resume, { id: approved }), /CG_/)
  assert.deepEqual(again.sent(), [args])
  // The parked call is sealed where it lies.
  const kept = join(again.gate.state, 'call-approvals')
  for (const file of readdirSync(kept))
    assert.doesNotMatch(readFileSync(join(kept, file), 'utf8'), /"arguments"|"requested"/)
})

test('a request lapses, and so does an approval that nobody used', async (t) => {
  verifies('play3.approval')
  const { own, gate, call, cli } = await start(t)
  const ids = [requestIn(await call('drop', { table: 'a' })), requestIn(await call('drop', { table: 'b' }))]
  assert.match(cli('approve', ids[1] ?? '', '--as', 'grace').said, /is approved/)
  await gate.stop()
  // Sixteen minutes later, as far as the files can tell.
  for (const id of ids) {
    const path = join(own, 'state', 'call-approvals', `${id}.json`)
    const kept = JSON.parse(readFileSync(path, 'utf8')) as { endsAt: number }
    writeFileSync(path, JSON.stringify({ ...kept, endsAt: kept.endsAt - 960_000 }), { mode: 0o600 })
  }
  const again = await start(t, { own })
  assert.match(again.cli('approve', ids[0] ?? '', '--as', 'grace').said, /is expired already/)
  for (const [i, table] of ['a', 'b'].entries()) {
    assert.match(await again.call(resume, { id: ids[i] }), /CG_STEPUP_RESUME/)
    assert.notEqual(requestIn(await again.call('drop', { table })), ids[i])
  }
  assert.equal(again.sent().length, 0)
})

test('a file of a request that was tampered with keeps the gate from starting', async (t) => {
  verifies('play3.approval')
  const { own, gate, call } = await start(t)
  const id = requestIn(await call('drop', { table: 'a' }))
  await gate.stop()
  const path = join(own, 'state', 'call-approvals', `${id}.json`)
  const whole = readFileSync(path, 'utf8')
  for (const broken of [
    '',
    '{}',
    whole.replace(id, 'f'.repeat(32)),
    whole.replace('"endsAt":', '"endsAt":"x'),
  ]) {
    writeFileSync(path, broken, { mode: 0o600 })
    await assert.rejects(start(t, { own }), new RegExp(`${id}.json. is not a request for approval`))
  }
})

test('hosts see the tool that resumes only where somebody can approve; without approvers the call is refused', async (t) => {
  verifies('play3.approval')
  const { gate } = await start(t)
  const names = async (of: TestGate, path: string) => {
    const { tools } = resultOf(await of.rpc('tools/list', {}, { path, token: of.mint({ path }) })) as {
      tools: { name: string }[]
    }
    return tools.map(({ name }) => name)
  }
  assert.deepEqual((await names(gate, '/mcp')).sort(), [resume, 'fix__drop', 'fix__look', 'fix__wipe'])
  assert.deepEqual((await names(gate, '/mcp/fix')).sort(), [resume, 'drop', 'look', 'wipe'])
  const without = await start(t, { approvals: '' })
  assert.equal((await names(without.gate, '/mcp')).includes(resume), false)
  assert.match(await without.call('drop', {}), /CG_STEPUP_DENIED.*nobody is configured/)
  assert.match(await without.call(resume, { id: '0'.repeat(32) }), /CG_CATALOG_UNKNOWN/)
  assert.doesNotMatch(await without.call('look', {}), /CG_/)
  const check = (of: TestGate) =>
    spawnSync(process.execPath, [BIN, 'check', '--config', of.config], {
      encoding: 'utf8',
      env: { ...process.env, CALLGATE_STATE: of.state },
    }).stdout
  assert.match(check(without.gate), /rule `drops-need-a-dba` requires approval, and nobody is configured/)
  const lacking = await start(t, {
    approvals: 'approvals: { roles: { dab: ["cli:grace"], ciso: ["cli:c"] } }',
  })
  assert.match(
    check(lacking.gate),
    /approval by `dba`, which .* nobody can approve its calls; did you mean `dab`/,
  )
  assert.match(check(lacking.gate), /approval by `security`, which `approvals.roles` does not have$/m)
  assert.doesNotMatch(check(gate), /requires approval/)
})

test('a modern host that can ask its user waits there, and goes on with the approved call', async (t) => {
  verifies('play3.approval')
  const { gate, cli, sent } = await start(t)
  const token = gate.mint({ subject: 'ada' })
  const params = { name: 'fix__drop', arguments: { table: 'm' } }
  const meta = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } }
  const ask = async (more: Record<string, unknown> = {}, of: Record<string, unknown> = params) =>
    resultOf(await modern(gate, 'tools/call', { ...of, ...more }, { token, meta }))
  const asked = await ask()
  assert.equal(asked['resultType'], 'input_required', JSON.stringify(asked))
  const [[key, question] = assert.fail('no question')] = Object.entries(
    asked['inputRequests'] as Record<string, object>,
  )
  const id = requestIn(JSON.stringify(question))
  const answer = {
    inputResponses: { [key]: { action: 'accept', content: {} } },
    requestState: asked['requestState'],
  }
  assert.match(cli('approve', id, '--as', 'grace').said, /is approved/)
  const done = await ask(answer)
  assert.doesNotMatch(JSON.stringify(done), /CG_/)
  assert.equal(sent().length, 1)
  // Who accepts before it is approved is told that it still waits.
  const early = await ask()
  const later = await ask({
    inputResponses: { [key]: { action: 'accept', content: {} } },
    requestState: early['requestState'],
  })
  assert.match(JSON.stringify(later), /CG_STEPUP_APPROVAL/)
  // The same by id, in the modern era.
  const next = requestIn(JSON.stringify(later))
  assert.match(cli('approve', next, '--as', 'grace').said, /is approved/)
  const resumed = await ask({}, { name: resume, arguments: { id: next } })
  assert.doesNotMatch(JSON.stringify(resumed), /CG_/)
  assert.equal(sent().length, 2)
})

test('one caller may have 16 requests that wait, and others may go on asking', async (t) => {
  verifies('play3.approval')
  const { call } = await start(t)
  const ids = new Set<string>()
  for (let i = 0; i < 16; i++) ids.add(requestIn(await call('drop', { table: `t${i}` })))
  assert.equal(ids.size, 16)
  assert.match(await call('drop', { table: 't16' }), /CG_STEPUP_UNAVAILABLE.*too many calls wait/)
  assert.match(
    await call('drop', { table: 't3' }),
    /CG_STEPUP_APPROVAL/,
    'what waits already is no further request',
  )
  assert.match(await call('drop', { table: 't16' }, 'eve'), /CG_STEPUP_APPROVAL/)
})

test('a parked call keeps the arguments that its host repeated in headers', async (t) => {
  verifies('play3.approval')
  const { gate, cli, sent } = await start(t)
  const token = gate.mint({ subject: 'ada' })
  const args = { table: 'z', zone: 'eu' }
  const named = { name: 'fix__drop', arguments: args }
  const body = async (params: Record<string, unknown>, headers: Record<string, string> = {}) =>
    (await modern(gate, 'tools/call', params, { token, headers })).body
  assert.match(await body(named), /CG_WIRE_HEADER_MISMATCH/)
  const id = requestIn(await body(named, { 'mcp-param-zone': 'eu' }))
  assert.match(cli('approve', id, '--as', 'grace').said, /is approved/)
  assert.doesNotMatch(await body({ name: resume, arguments: { id } }), /CG_/)
  assert.deepEqual(sent(), [args])
})
