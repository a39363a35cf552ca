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
  return { holder, run, refusal, write, file }
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
    PolicyHolder.open(files, () => KEY),
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
