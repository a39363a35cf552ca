import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import type { ParsedCall } from '../../call/call.ts'
import type { JsonObject } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import { mutedHost } from '../../testing/calls.ts'
import { createLimitStore } from '../../adapters/memory/limit-store.ts'
import { verifies } from '../../testing/verifies.ts'
import { checkPolicy, loadPolicyFiles } from './load.ts'
import { createPolicy, PolicyHolder } from './policy.ts'
import { formatProblem } from './problem.ts'
import { ALLOW_ALL, BULK, NOW, PLAYBOOK, tool } from './testing/fixtures.ts'

const KEY = Buffer.alloc(32, 7)

function parsedCall(server: string, name: string, args: JsonObject): ParsedCall {
  return {
    id: '0'.repeat(26),
    requestId: 1,
    receivedAt: NOW,
    caller: { peer: '127.0.0.1', token: undefined, endpoint: { server: undefined, resource: 'urn:gate' } },
    era: 'modern',
    protocolVersion: '2026-07-28',
    method: 'tools/call',
    requested: `${server}__${name}`,
    args,
    argsBytes: new TextEncoder().encode(JSON.stringify(args)),
    exactNumbers: true,
    meta: {},
    traceId: undefined,
    headers: [],
    host: mutedHost,
    retry: undefined,
    idempotencyKey: undefined,
    principal: {
      actor: { id: 'bot', type: 'agent' },
      subject: 'ann',
      tenant: 'acme',
      clientId: 'c',
      grants: [],
      token: { iss: 'i', jtiHash: 'h', exp: 0, iat: 0 },
    },
    session: { id: 's', calls: 1, labels: [], key: 's' },
    chain: 's',
    target: { server, kind: 'tool', name },
    class: 'write',
    labels: [],
    digest: undefined,
    schema: undefined,
    parsed: true,
  }
}

function folder(t: TestContext): { file: string; write: (text: string) => void } {
  const path = mkdtempSync(join(tmpdir(), 'callgate-policy-'))
  t.after(() => rmSync(path, { recursive: true }))
  const file = join(path, 'policy.yaml')
  return { file, write: (text) => writeFileSync(file, text) }
}

async function open(t: TestContext, text: string) {
  const { file, write } = folder(t)
  write(text)
  const holder = await PolicyHolder.open(
    [file],
    () => KEY,
    createLimitStore({ clock: () => 0, maxWindows: 2 }),
    () => NOW,
  )
  const stage = createPolicy(holder)
  const run = (call: ParsedCall) => stage.run(call, new AbortController().signal)
  const refusal = (call: ParsedCall): Refusal => {
    try {
      run(call)
    } catch (error) {
      if (error instanceof Refusal) return error
      throw error
    }
    return assert.fail('the call was allowed')
  }
  return { holder, stage, run, refusal, write, file }
}

test('a denied call is refused with the decision, the facts and the digest for the record', async (t) => {
  verifies('play3.rules')
  const yaml =
    PLAYBOOK.replace('decision: deny\n\n', 'decision: deny\n  why: bulk changes need a ticket\n\n') +
    ALLOW_ALL
  const { holder, run, refusal } = await open(t, yaml)
  const denied = refusal(parsedCall('crm', 'bulk_update', { count: 1001 }))
  assert.equal(denied.code, 'CG_POLICY_DENIED')
  assert.equal(denied.publicText, undefined, 'the agent reads the registry text alone')
  assert.equal(denied.internal, 'denied: deny-bulk-without-ticket (bulk changes need a ticket)')
  const mac = createHmac('sha256', KEY).update('1001').digest('hex')
  assert.deepEqual(denied.judgement, {
    decision: {
      effect: 'deny',
      reason: 'rule',
      rules: ['deny-bulk-without-ticket'],
      observed: [],
      errors: [],
    },
    facts: { 'args.count': { mac }, 'ctx.ticket': null },
    policy: holder.digest,
  })
  const allowed = await run(parsedCall('crm', 'bulk_update', { count: 1000 }))
  assert.deepEqual(
    [allowed.decision.effect, allowed.decision.rules, allowed.policy],
    ['allow', ['allow-all'], holder.digest],
  )
})

test('a call that no rule allows is refused with its own code', async (t) => {
  const { refusal } = await open(t, PLAYBOOK)
  const refused = refusal(parsedCall('crm', 'bulk_update', { count: 1 }))
  assert.deepEqual([refused.code, refused.internal], ['CG_POLICY_NO_ALLOW', 'no rule allows it'])
  assert.equal(refused.judgement?.decision.reason, 'no_rule_allows')
})

test('a reload swaps the whole policy; a bad one is told and the last good one stays', async (t) => {
  verifies('play3.decisions.hot-reload')
  const { holder, run, refusal, write } = await open(t, ALLOW_ALL)
  holder.recheck([BULK])
  const call = parsedCall('crm', 'bulk_update', { count: 1001 })
  const before = holder.digest
  await run(call)
  write('- rule: [')
  assert.match((await holder.reload()).map(formatProblem).join(), /policy\.yaml:1:\d+ /)
  write(`${ALLOW_ALL}- { rule: d, when: { tool: "crm.*", cond: "args.cnt > 1" }, decision: deny }\n`)
  assert.match((await holder.reload()).map(formatProblem).join(), /did you mean `args\.count`/)
  assert.equal(holder.digest, before)
  await run(call)
  write(PLAYBOOK + ALLOW_ALL)
  assert.deepEqual(await holder.reload(), [])
  assert.notEqual(holder.digest, before)
  assert.equal(refusal(call).code, 'CG_POLICY_DENIED')
  assert.equal(refusal(call).judgement?.policy, holder.digest)
})

async function fails(files: string[], message: RegExp): Promise<void> {
  await assert.rejects(
    PolicyHolder.open(files, () => KEY, createLimitStore({ clock: () => 0 })),
    message,
  )
}

test('without a readable policy the holder does not open', async (t) => {
  const { file, write } = folder(t)
  await fails([], /no policy file/)
  await fails([file], /policy\.yaml file cannot be read: ENOENT/)
  write('- rule: x\n')
  await fails([file], /policy\.yaml:1:3 `when` is missing/)
  writeFileSync(file, Buffer.from([0x23, 0xff]))
  await fails([file], /it is not UTF-8/)
  write('[]')
  assert.ok('set' in (await loadPolicyFiles([file])))
})

test('a pinned tool changes what a rule means only through recheck, and lists follow', async (t) => {
  const { holder } = await open(
    t,
    '- { rule: a, when: { tool: "s.t", cond: "args.n == 1" }, decision: allow }',
  )
  const { principal } = parsedCall('s', 't', {})
  const target = { server: 's', kind: 'tool' as const, name: 't' }
  const good = tool('s', 't', { type: 'object', properties: { n: { type: 'integer' } } })
  const other = tool('s', 't', { type: 'object', properties: { m: { type: 'integer' } } })
  assert.deepEqual(holder.recheck([good]), [])
  assert.equal(holder.mayReach(principal, target, good), true)
  assert.equal(holder.recheck([other]).length, 1)
  assert.equal(holder.mayReach(principal, target, other), false)
  assert.equal(holder.mayReach(principal, { ...target, kind: 'resource' }, undefined), false)
})

test('check tells what will surprise: expired rules, unknown and unnameable tools, optional bools', () => {
  const text = `- { rule: old, when: { tool: "crm.bulk_update" }, decision: allow, until: 2026-01-01 }
- { rule: gone, when: { tool: "crm.bulk_updat" }, decision: deny }
- { rule: bare, when: { tool: bulk_update }, decision: deny }
- { rule: aim, when: { tool: "crm.*", purpose: x }, decision: deny, until: 2026-01-01 }
- { rule: flag, when: { tool: "crm.*", cond: "args.dry && true" }, decision: deny }
- { rule: fine, when: { tool: "crm.*", cond: "args.dry == true" }, decision: deny, until: 2027-01-01 }
`
  const { problems, warnings } = checkPolicy([{ file: 'p.yaml', text }], [BULK], NOW)
  assert.deepEqual(problems, [])
  assert.deepEqual(warnings.map(formatProblem), [
    'p.yaml:5:47 `args.dry` is optional and null when absent, which is an error here; write `args.dry == true`',
    'p.yaml:1:3 rule `old`: `until` was 2026-01-01, it grants nothing any more; renew it or remove the rule',
    'p.yaml:2:3 rule `gone`: tool `crm.bulk_updat` is not known; the rule is checked when it is pinned; did you mean `crm.bulk_update`',
    'p.yaml:3:3 rule `bare`: `bulk_update` matches no tool: tools are named `<server>.<tool>`',
    'p.yaml:4:3 rule `aim`: `until` was 2026-01-01, it still applies; renew it or remove the rule',
  ])
  assert.deepEqual(checkPolicy([{ file: 'p.yaml', text: PLAYBOOK }], undefined, NOW), {
    problems: [],
    warnings: [],
  })
})

const ROWS = `- rule: rows-of-an-hour
  when: { tool: "crm.bulk_update", cond: 'session.sum("crm.bulk_update", "args.count", "1h") > 1000 && !ctx.ticket' }
  decision: deny
`

test('rows count over calls: the one that would pass the thousandth is refused whole, and counts for nothing', async (t) => {
  verifies('play3.windowed')
  const { run, refusal } = await open(t, ROWS + ALLOW_ALL)
  const bulk = (count: number) => parsedCall('crm', 'bulk_update', { count })
  await run(bulk(600))
  assert.equal(refusal(bulk(600)).code, 'CG_POLICY_DENIED')
  assert.equal(refusal(bulk(401)).code, 'CG_POLICY_DENIED')
  await run(bulk(400))
  const denied = refusal(bulk(1))
  assert.deepEqual(denied.judgement?.facts, {
    'ctx.ticket': null,
    'session.sum("crm.bulk_update", "args.count", "1h")': 1001,
  })
  await run(parsedCall('crm', 'other', {}))
  const other = { ...bulk(1000), session: { ...bulk(1).session, key: 'another' } }
  await run(other)
})

test('what is stopped before it is sent counts for nothing, what was sent counts however it ended', async (t) => {
  verifies('play3.windowed')
  const { stage, run, refusal } = await open(t, ROWS + ALLOW_ALL)
  const bulk = (count: number) => parsedCall('crm', 'bulk_update', { count })
  const outcome = { kind: 'refused', refusal: new Refusal('CG_DLP_ARGUMENT', {}) } as const
  const stopped = await run(bulk(1000))
  assert.equal(refusal(bulk(1)).code, 'CG_POLICY_DENIED')
  stage.settle?.(stopped, outcome)
  const sent = await run(bulk(1000))
  stage.settle?.({ ...sent, recorded: 'intent' }, outcome)
  assert.equal(refusal(bulk(1)).code, 'CG_POLICY_DENIED')
})

test('a call that cannot be counted is refused with its own code', async (t) => {
  verifies('play3.windowed')
  const { run, refusal } = await open(t, ROWS + ALLOW_ALL)
  const of = (key: string) => {
    const call = parsedCall('crm', 'bulk_update', { count: 1 })
    return { ...call, session: { ...call.session, key } }
  }
  await run(of('one'))
  await run(of('two'))
  assert.equal(refusal(of('three')).code, 'CG_POLICY_WINDOW')
  await run(of('one'))
  await run(parsedCall('crm', 'other', {}))
})

test('enforced rules refuse exactly the calls of which their trial said so: 10,000 mixed calls', async (t) => {
  verifies('play3.decisions.observe')
  const rules = (mode: string) => `${ALLOW_ALL}
- rule: rows
  when: { tool: "crm.bulk_update", cond: 'session.sum("crm.bulk_update", "args.count", "1h") > 1000' }
  decision: deny
  mode: ${mode}
- rule: mails
  when: { tool: "web.*", cond: 'actor.count("web.*", "1m") > 40 || url.is_private' }
  decision: deny
  mode: ${mode}
- rule: late
  when: { class: write, cond: "args.tier == 'gold' && session.calls > 3" }
  decision: deny
  mode: ${mode}
`
  let now = 0
  let seed = 20_261
  const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below
  const calls = Array.from({ length: 10_000 }, () => {
    const bulk = random(2) === 0
    const key = `s${random(20)}`
    const args: JsonObject = bulk
      ? { count: random(400), ...(random(5) === 0 ? { tier: 'gold' } : {}) }
      : { url: random(4) === 0 ? 'http://10.0.0.1/' : 'https://example.com/' }
    const call = bulk ? parsedCall('crm', 'bulk_update', args) : parsedCall('web', 'fetch', args)
    return { waitMs: random(2_000), call: { ...call, session: { ...call.session, key, calls: random(9) } } }
  })
  const refused = async (mode: 'observe' | 'enforce') => {
    const { file, write } = folder(t)
    write(rules(mode))
    const holder = await PolicyHolder.open(
      [file],
      () => KEY,
      createLimitStore({ clock: () => now }),
      () => NOW,
    )
    now = 0
    return calls.map(({ waitMs, call }) => {
      now += waitMs
      try {
        const { decision } = holder.authorize(call)
        return decision.observed.join()
      } catch (error) {
        assert.ok(error instanceof Refusal)
        return error.judgement?.decision.rules.join()
      }
    })
  }
  const predicted = await refused('observe')
  assert.deepEqual(await refused('enforce'), predicted)
  const count = predicted.filter((one) => one !== '').length
  assert.ok(count > 1_000 && count < 9_000, `${count}`)
  for (const rule of ['rows', 'mails', 'late']) assert.ok(predicted.some((one) => one?.includes(rule)))
})

test('results of a task lose what a rule might have taken out of its call, whatever the condition was', async (t) => {
  verifies('play3.decisions.redact')
  const { file, write } = folder(t)
  write(`- { rule: r, when: { tool: "crm.*", cond: "args.table == 'staff'" }, decision: redact, classes: [email] }
- { rule: other, when: { tool: "crm.*", actor: "other" }, decision: redact, classes: [phone] }
- { rule: trial, when: { tool: "crm.*" }, decision: redact, classes: [iban], mode: observe }
${ALLOW_ALL}`)
  const holder = await PolicyHolder.open([file], () => KEY, createLimitStore({ clock: () => 0 }))
  const call = parsedCall('crm', 'export', {})
  const polled = holder.authorize({ ...call, task: { taskId: 't', class: 'write' } })
  assert.deepEqual(
    polled.redactions?.map(({ classes }) => classes),
    [['email']],
  )
  assert.equal(
    holder.authorize({ ...parsedCall('web', 'x', {}), task: { taskId: 't', class: 'read' } }).redactions,
    undefined,
  )
})
