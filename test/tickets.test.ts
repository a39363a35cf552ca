// Tickets from outside: a bulk change runs once, with the ticket that was approved for it (playbook Play 3).
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture } from './harness/fixtures.ts'
import { BIN, TestGate } from './harness/gate.ts'
import { modern, resultOf } from './harness/modern.ts'
import { type FixtureTicket, TicketSystem } from './harness/ticket-system.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-tickets-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const inputSchema = { type: 'object', properties: { count: { type: 'integer' } } }
const POLICY = `- rule: everything
  when: { tool: "*" }
  decision: allow
- rule: deny-bulk-without-ticket
  when: { tool: "fix.bulk_update", cond: "args.count > 1000 && !ctx.ticket" }
  decision: deny
- rule: purges-need-a-ticket
  when: { tool: "fix.purge" }
  decision: require_ticket
`

const SYSTEMS = {
  jira: { id: 'CHG-7', approved: 'Approved', more: 'user: gate@acme.example' },
  servicenow: { id: 'CHG0030007', approved: 'approved', more: 'user: gate@acme.example' },
  github: { id: '7', approved: 'approved', more: 'repository: acme/changes' },
  gitlab: { id: '7', approved: 'approved', more: 'repository: acme/changes' },
  http: { id: 'c7', approved: 'approved', more: '' },
} as const

async function start(t: TestContext, tickets: string, own = mkdtempSync(join(folder, 'g'))) {
  writeFileSync(join(own, 'token'), 'good-token', { mode: 0o600 })
  const fixture = new Fixture(
    ['bulk_update', 'purge'].map((name) => ({ name, description: name, inputSchema })),
  )
  const gate = await TestGate.start(
    {
      folder: own,
      servers: fixture.yaml('fix', { more: 'approve: first-use' }),
      policy: POLICY,
      more: `listener: { port: 0 }\n${tickets}`,
    },
    t,
  )
  const call = async (name: string, count: number, ticket?: string, subject = 'ada') => {
    const answer = await gate.rpc(
      'tools/call',
      {
        name: `fix__${name}`,
        arguments: { count },
        ...(ticket === undefined ? {} : { _meta: { 'dev.callgate/ticket': ticket } }),
      },
      { token: gate.mint({ subject }) },
    )
    return answer.body
  }
  return { gate, call, ran: () => fixture.receivedOf('tools/call').length }
}

/** What a refused call says its ticket must hold. */
const codeIn = (text: string): string => /callgate:[0-9a-f]{32}/.exec(text)?.[0] ?? assert.fail(text)

for (const [system, { id, approved, more }] of Object.entries(SYSTEMS)) {
  test(`${system}: the approved ticket passes once, for the call that it names; no other does`, async (t) => {
    verifies('play3.ticket')
    const tickets = new TicketSystem(system as keyof typeof SYSTEMS)
    t.after(() => tickets.close())
    const url = await tickets.start()
    const { call, ran, gate } = await start(
      t,
      `tickets: { type: ${system}, url: "${url}", token: "file:token", approved: [${approved}], assignees: [grace], ${more} }`,
    )
    const put = (change: Partial<FixtureTicket>) =>
      (tickets.tickets = [{ id, state: approved, text: '', assignee: 'grace', ...change }])
    const asked = await call('purge', 1)
    assert.match(asked, /CG_STEPUP_TICKET/)
    const text = `please, for ${codeIn(asked)}`
    assert.match(await call('bulk_update', 1001), /CG_POLICY_DENIED/)
    assert.equal(tickets.asked.length, 0, 'nothing is asked where no ticket is named')

    assert.match(await call('purge', 1, id), /CG_STEPUP_REFUSED.*there is no such ticket/)
    for (const [change, problem] of [
      [{ text, state: 'closed' }, /it is not approved/],
      [{ text, assignee: 'mallory' }, /assigned to nobody who may/],
      [{ text: 'please' }, /it does not hold `callgate:/],
    ] as const) {
      put(change)
      assert.match(await call('purge', 1, id), problem)
    }
    put({ text })
    assert.match(await call('purge', 2, id), /it does not hold/, 'other arguments')
    assert.match(await call('bulk_update', 1001, id), /it does not hold/, 'another tool')
    assert.equal(ran(), 0)
    const both = await Promise.all([call('purge', 1, id), call('purge', 1, id)])
    assert.equal(both.filter((answer) => answer.includes('CG_STEPUP_REFUSED')).length, 1)
    assert.match(both.join(), /it was used for another one/)
    assert.match(await call('purge', 1, id), /it was used for another one/)
    assert.equal(ran(), 1)
    // A call that policy allows anyhow leaves the ticket alone.
    const before = tickets.asked.length
    assert.doesNotMatch(await call('bulk_update', 1000, id), /CG_/)
    assert.equal(tickets.asked.length, before)
    await gate.stop()
    const outcomes = (await gate.records()).flatMap(({ record }) =>
      record.kind === 'outcome' ? [record] : [],
    )
    assert.deepEqual(
      outcomes
        .filter(({ ticket, code }) => ticket !== undefined && code === undefined)
        .map(({ ticket }) => ticket),
      [id],
    )
  })
}

test('the playbook rule passes with the ticket of the call, in both eras, also after SIGKILL never twice', async (t) => {
  verifies('play3.ticket')
  const own = mkdtempSync(join(folder, 'g'))
  const file = join(own, 'tickets.yaml')
  const config = `tickets: { type: file, path: "${file}" }`
  const { gate, call, ran } = await start(t, config, own)
  writeFileSync(file, 'CHG-1: { state: draft, text: x }\n')
  const refused = await call('bulk_update', 1001, 'CHG-1')
  writeFileSync(file, 'CHG-1: { state: approved, text: x }\n')
  const code = codeIn(await call('bulk_update', 1001, 'CHG-1'))
  assert.match(refused, /not approved/)
  const list = (...ids: string[]) =>
    writeFileSync(
      file,
      ids.map((id) => `${id}: { state: approved, text: "${code}", until: 2099-01-01T00:00:00Z }\n`).join(''),
    )
  list('CHG-1', 'CHG-2')
  assert.doesNotMatch(await call('bulk_update', 1001, 'CHG-1'), /CG_/)
  const token = gate.mint({ subject: 'ada' })
  const meta = (ticket: string) => ({ token, meta: { 'dev.callgate/ticket': ticket } })
  const ask = { name: 'fix__bulk_update', arguments: { count: 1001 } }
  assert.match((await modern(gate, 'tools/call', ask, meta('CHG-1'))).body, /CG_STEPUP_REFUSED/)
  assert.doesNotMatch((await modern(gate, 'tools/call', ask, meta('CHG-2'))).body, /CG_/)
  assert.equal(ran(), 2)
  await gate.stop('SIGKILL')
  const again = await start(t, config, own)
  for (const id of ['CHG-1', 'CHG-2'])
    assert.match(await again.call('bulk_update', 1001, id), /used for another/)
  assert.equal(again.ran(), 0)
  writeFileSync(file, `CHG-3: { state: approved, text: "${code}", until: 2020-01-01T00:00:00Z }\n`)
  assert.match(await again.call('bulk_update', 1001, 'CHG-3'), /not its time/)
  for (const broken of [
    '[',
    '[]',
    'CHG-3: { state: 1 }',
    'CHG-3: { state: approved, text: x, until: soon }',
  ]) {
    writeFileSync(file, broken)
    assert.match(await again.call('bulk_update', 1001, 'CHG-3'), /CG_STEPUP_UNAVAILABLE/, broken)
  }
  rmSync(file)
  assert.match(await again.call('bulk_update', 1001, 'CHG-3'), /CG_STEPUP_UNAVAILABLE/)
})

test('a system that gives no answer, or none that can be read, refuses; throttling is heeded', async (t) => {
  verifies('play3.ticket')
  const tickets = new TicketSystem('jira')
  t.after(() => tickets.close())
  const url = await tickets.start()
  const { call, ran, gate } = await start(
    t,
    `tickets: { type: jira, url: "${url}", token: "file:token", approved: [Approved], user: gate@acme.example, timeoutMs: 300 }`,
  )
  const code = codeIn(await call('purge', 1))
  tickets.tickets = [{ id: 'CHG-7', state: 'Approved', text: code }]
  for (const failure of [
    { status: 500 },
    { status: 403 },
    {
      status: 302,
      headers: { location: `${url}/rest/api/2/issue/CHG-7?fields=status,assignee,description` },
    },
    { status: 200, body: 'no JSON' },
    { status: 200, body: '{"key":"CHG-7"}' },
    { status: 200, body: '{"key":7,"fields":{"status":{"name":"Approved"}}}' },
    { status: 200, body: `"${'x'.repeat(2_000_000)}"` },
    { status: 200, afterMs: 2_000 },
  ]) {
    tickets.failures.push(failure)
    const answer = await call('purge', 1, 'CHG-7')
    assert.match(answer, /CG_STEPUP_UNAVAILABLE/, JSON.stringify(failure).slice(0, 80))
    assert.doesNotMatch(answer, /good-token|Approved/)
  }
  for (const id of ['../../admin', 'CHG-7/../x', 'chg-7', 'CHG 7', 'CHG-7?x=1']) {
    const before = tickets.asked.length
    assert.match(await call('purge', 1, id), /CG_WIRE_PARAMS|-32602|there is no such ticket/, id)
    assert.equal(tickets.asked.length, before)
  }
  assert.equal(ran(), 0)
  tickets.failures.push({ status: 429, headers: { 'retry-after': '1' } })
  assert.match(await call('purge', 1, 'CHG-7'), /CG_STEPUP_UNAVAILABLE/)
  const before = tickets.asked.length
  assert.match(await call('purge', 1, 'CHG-7'), /CG_STEPUP_UNAVAILABLE/)
  assert.equal(tickets.asked.length, before)
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  // The account of the gate got another token meanwhile.
  tickets.token = 'new-token'
  assert.match(await call('purge', 1, 'CHG-7'), /CG_STEPUP_UNAVAILABLE/)
  writeFileSync(join(gate.folder, 'token'), 'new-token')
  // A secret is read again at most every 5 seconds.
  let answer = ''
  for (let i = 0; i < 20 && !answer.includes('"result"'); i++) {
    answer = await call('purge', 1, 'CHG-007')
    if (answer.includes('CG_STEPUP_UNAVAILABLE')) answer = ''
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
  assert.doesNotMatch(answer, /CG_/)
  assert.match(await call('purge', 1, 'CHG-7'), /used for another/, 'the same ticket by another spelling')
  assert.equal(ran(), 1)
  assert.doesNotMatch(gate.stderr, /good-token|new-token/)
})

test('without a ticket system what needs a ticket is refused, `check` says so, and the near miss passes', async (t) => {
  verifies('play3.ticket')
  const { gate, call, ran } = await start(t, '')
  const { status, stdout } = spawnSync(process.execPath, [BIN, 'check', '--config', gate.config], {
    encoding: 'utf8',
    env: { ...process.env, CALLGATE_STATE: gate.state },
  })
  assert.equal(status, 0)
  assert.match(
    stdout,
    /warning: .*policy\.yaml:7:3 rule `purges-need-a-ticket` requires a ticket, and no ticket system is configured/,
  )
  assert.equal(stdout.match(/warning/g)?.length, 1)
  assert.match(await call('purge', 1, 'CHG-1'), /no ticket system is configured/)
  assert.match(await call('bulk_update', 1001, 'CHG-1'), /no ticket system is configured/)
  assert.match(await call('bulk_update', 1001), /CG_POLICY_DENIED/)
  assert.doesNotMatch(await call('bulk_update', 1000), /CG_/)
  assert.equal(ran(), 1)
})

test('a modern host that can ask its user is asked for the ticket, and the call goes on with it', async (t) => {
  verifies('play3.ticket')
  const own = mkdtempSync(join(folder, 'g'))
  const file = join(own, 'tickets.yaml')
  const { gate, ran } = await start(t, `tickets: { type: file, path: "${file}" }`, own)
  const token = gate.mint({ subject: 'ada' })
  const params = { name: 'fix__purge', arguments: { count: 3 } }
  const meta = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } }
  const ask = async (more: Record<string, unknown> = {}) =>
    resultOf(await modern(gate, 'tools/call', { ...params, ...more }, { token, meta }))
  const answered = async (answer: object) => {
    const asked = await ask()
    assert.equal(asked['resultType'], 'input_required', JSON.stringify(asked))
    const [[key, question] = assert.fail('no question')] = Object.entries(
      asked['inputRequests'] as Record<string, object>,
    )
    const code = codeIn(JSON.stringify(question))
    writeFileSync(
      file,
      `CHG-1: { state: approved, text: "${code}" }\nCHG-2: { state: draft, text: "${code}" }\n`,
    )
    return JSON.stringify(
      await ask({ requestState: asked['requestState'], inputResponses: { [key]: answer } }),
    )
  }
  const accept = (ticket: string) => ({ action: 'accept', content: { ticket } })
  assert.match(await answered({ action: 'decline' }), /CG_STEPUP_TICKET/)
  assert.match(await answered(accept('CHG-2')), /CG_STEPUP_REFUSED.*not approved/)
  assert.match(await answered(accept('no id')), /CG_STEPUP_TICKET/)
  assert.equal(ran(), 0)
  assert.doesNotMatch(await answered(accept('CHG-1')), /CG_/)
  assert.match(await answered(accept('CHG-1')), /used for another/)
  assert.equal(ran(), 1)
})

test('a token that was given for a ticket needs no other word of it', async (t) => {
  verifies('play3.ticket')
  const own = mkdtempSync(join(folder, 'g'))
  const file = join(own, 'tickets.yaml')
  const { gate, call, ran } = await start(t, `tickets: { type: file, path: "${file}" }`, own)
  const code = codeIn(await call('purge', 9))
  writeFileSync(file, `CHG-1: { state: approved, text: "${code}" }\n`)
  const detail = { type: 'mcp_tool_call', locations: ['fix'], actions: ['tools/call:fix.purge'] }
  const by = async (ticket: string) => {
    const token = gate.mint({ subject: 'ada', details: [{ ...detail, ticket }] })
    return (await gate.call('fix__purge', { count: 9 }, { token })).text
  }
  assert.match(await by('CHG-2'), /CG_STEPUP_REFUSED.*no such ticket/)
  assert.doesNotMatch(await by('CHG-1'), /CG_/)
  assert.match(await by('CHG-1'), /used for another/)
  assert.equal(ran(), 1)
})

test('a repeat by its key gets the answer of the call that its ticket opened, and uses up nothing', async (t) => {
  verifies('play3.ticket')
  verifies('play2.idempotency')
  const own = mkdtempSync(join(folder, 'g'))
  const file = join(own, 'tickets.yaml')
  const { gate, call, ran } = await start(t, `tickets: { type: file, path: "${file}" }`, own)
  const code = codeIn(await call('purge', 5))
  writeFileSync(file, `CHG-1: { state: approved, text: "${code}" }\n`)
  const token = gate.mint({ subject: 'ada' })
  const keyed = (key: string) =>
    gate.rpc(
      'tools/call',
      {
        name: 'fix__purge',
        arguments: { count: 5 },
        _meta: { 'dev.callgate/ticket': 'CHG-1', 'dev.callgate/idempotencyKey': key },
      },
      { token },
    )
  const first = (await keyed('k-1')).body
  assert.doesNotMatch(first, /CG_/)
  assert.equal((await keyed('k-1')).body, first)
  assert.match((await keyed('k-2')).body, /used for another/)
  assert.equal(ran(), 1)
  writeFileSync(file, `CHG-1: { state: closed, text: "${code}" }\n`)
  assert.match((await keyed('k-1')).body, /not approved/, 'an answer that is kept outlives no right')
})
