import assert from 'node:assert/strict'
import test from 'node:test'
import { verifies } from '../../testing/verifies.ts'
import type { JsonObject } from '../../call/json.ts'
import type { PolicyTool } from './rule-index.ts'
import { ALLOW_ALL, ask, BULK, callOf, FETCH, NOW, PLAYBOOK, policy, tool } from './testing/fixtures.ts'

const TICKET = { ctx: { ticket: 'CHG-1' } }

test("the playbook's two rules load unchanged and deny what they say, with and without the tools' schemas", () => {
  verifies('play3.rules')
  for (const tools of [[], [BULK, FETCH]]) {
    const set = policy(PLAYBOOK + ALLOW_ALL, tools)
    const bulk = ask(set, 'crm.bulk_update', { count: 1001 })
    assert.deepEqual([bulk.effect, bulk.reason, bulk.rules], ['deny', 'rule', ['deny-bulk-without-ticket']])
    assert.equal(ask(set, 'crm.bulk_update', { count: 1000 }).effect, 'allow')
    assert.equal(ask(set, 'crm.bulk_update', { count: 1001 }, TICKET).effect, 'allow')
    const metadata = ask(set, 'web.fetch', { url: 'http://169.254.169.254/latest' })
    assert.deepEqual([metadata.effect, metadata.rules], ['deny', ['block-ssrf']])
    assert.equal(ask(set, 'web.fetch', { url: 'https://example.com/' }).effect, 'allow')
    assert.equal(ask(set, 'web.other', { url: 'http://169.254.169.254/latest' }).effect, 'allow')
  }
})

test('without a rule that allows it a call is refused', () => {
  verifies('play3.allow-lists')
  const set = policy(PLAYBOOK)
  const near = ask(set, 'crm.bulk_update', { count: 1000 })
  assert.deepEqual([near.effect, near.reason, near.rules], ['deny', 'no_rule_allows', []])
  assert.equal(ask(policy('[]'), 'a.b').reason, 'no_rule_allows')
})

test('a rule about `url` judges every URL: deny by any, allow by all, none without one', () => {
  verifies('play3.rules.url-facts')
  const deny = policy(PLAYBOOK + ALLOW_ALL, [FETCH])
  const good = 'https://example.com/'
  const evil = 'http://[::ffff:169.254.169.254]/'
  assert.equal(ask(deny, 'web.fetch', {}).effect, 'allow')
  assert.equal(ask(deny, 'web.fetch', { urls: [good, evil] }).effect, 'deny')
  assert.equal(ask(deny, 'web.fetch', { urls: [evil, good] }).effect, 'deny')
  assert.equal(ask(deny, 'web.fetch', { urls: [good, good] }).effect, 'allow')
  const allow = policy(`- rule: ours
  when: { tool: "web.fetch", cond: "url.domain == 'example.com' && !url.is_private" }
  decision: allow`)
  assert.equal(ask(allow, 'web.fetch', { urls: [good, 'https://a.example.com'] }).effect, 'allow')
  assert.equal(ask(allow, 'web.fetch', { urls: [good, 'https://example.org/'] }).effect, 'deny')
  assert.equal(ask(allow, 'web.fetch', {}).effect, 'deny')
})

test('URLs that cannot all be judged make a deny rule apply and keep an allow rule from granting', () => {
  const deny = policy(PLAYBOOK + ALLOW_ALL)
  const many = Array.from({ length: 65 }, (_, i) => `https://h${i}.example/`)
  const tooMany = ask(deny, 'web.fetch', { urls: many })
  assert.deepEqual([tooMany.effect, tooMany.reason, tooMany.rules], ['deny', 'rule_error', ['block-ssrf']])
  assert.match(tooMany.errors[0]?.message ?? '', /too many URLs/)
  assert.equal(ask(deny, 'web.fetch', { urls: many.slice(1) }).effect, 'allow')
  assert.equal(ask(deny, 'web.fetch', { url: 'http://127.0.0.1:80:81/' }).reason, 'rule_error')
  assert.equal(ask(deny, 'crm.other', { urls: many }).effect, 'allow', 'a rule of another tool asks nothing')
  const allow = policy('- { rule: a, when: { tool: "web.*", cond: "!url.is_private" }, decision: allow }')
  assert.equal(ask(allow, 'web.fetch', { urls: many }).reason, 'no_rule_allows')
  assert.equal(ask(allow, 'web.fetch', { urls: many.slice(1) }).effect, 'allow')
})

test('the URI of a resource is the URL that rules judge', () => {
  const set = policy(`- { rule: ssrf, when: { resource: "*", cond: "url.is_link_local" }, decision: deny }
- { rule: read, when: { server: web, method: resources/read }, decision: allow }`)
  const read = (uri: string) =>
    set.decide(callOf({ server: 'web', resource: uri }), { now: NOW, conceal: (value) => value }).decision
      .effect
  assert.equal(read('http://169.254.169.254/latest'), 'deny')
  assert.equal(read('https://example.com/'), 'allow')
})

test('deny beats allow in any order', () => {
  const allow = '- { rule: a, when: { tool: "x.*" }, decision: allow }\n'
  const deny = '- { rule: d, when: { tool: "x.y", actor: "bot-*" }, decision: deny }\n'
  for (const yaml of [allow + deny, deny + allow]) {
    const set = policy(yaml)
    assert.deepEqual(ask(set, 'x.y', {}, { actor: { id: 'bot-1' } }).rules, ['d'])
    assert.deepEqual(ask(set, 'x.y', {}, { actor: { id: 'ann' } }).rules, ['a'])
  }
})

test('an erroring deny rule applies, an erroring allow rule does not grant', () => {
  verifies('play3.rules.erroring')
  const deny = policy(
    `- { rule: d, when: { tool: "x.y", cond: "args.n > 1" }, decision: deny }\n${ALLOW_ALL}`,
  )
  const failed = ask(deny, 'x.y', { n: 'text' })
  assert.deepEqual([failed.effect, failed.reason, failed.rules], ['deny', 'rule_error', ['d']])
  assert.deepEqual(failed.errors, [{ rule: 'd', message: 'no order between string and number' }])
  assert.equal(ask(deny, 'x.y', { n: 1 }).effect, 'allow')
  assert.equal(ask(deny, 'x.y', { n: 2 }).reason, 'rule')
  const allow = policy('- { rule: a, when: { tool: "x.y", cond: "args.n > 1" }, decision: allow }')
  const kept = ask(allow, 'x.y', {})
  assert.deepEqual(
    [kept.effect, kept.reason, kept.rules, kept.errors.length],
    ['deny', 'no_rule_allows', [], 1],
  )
  assert.equal(ask(allow, 'x.y', { n: 2 }).effect, 'allow')
})

test('a clean deny beside an erroring one is a deny by rule, and the error stays in the decision', () => {
  const set = policy(`- { rule: bad, when: { tool: "x.y", cond: "args.n > 1" }, decision: deny }
- { rule: clean, when: { tool: "x.y" }, decision: deny }`)
  const both = ask(set, 'x.y', { n: 'text' })
  assert.deepEqual(
    [both.reason, both.rules, both.errors.map((error) => error.rule)],
    ['rule', ['bad', 'clean'], ['bad']],
  )
})

test('an observed rule decides nothing and is recorded when it would have', () => {
  verifies('play3.decisions.observe')
  const set =
    policy(`- { rule: watch, when: { tool: "x.y", cond: "args.n > 1" }, decision: deny, mode: observe }
- { rule: maybe, when: { tool: "x.z" }, decision: allow, mode: observe }
- { rule: a, when: { tool: "x.y" }, decision: allow }`)
  assert.deepEqual(ask(set, 'x.y', { n: 2 }).observed, ['watch'])
  assert.equal(ask(set, 'x.y', { n: 2 }).effect, 'allow')
  assert.deepEqual(ask(set, 'x.y', { n: 1 }).observed, [])
  const failed = ask(set, 'x.y', { n: 'text' })
  assert.deepEqual([failed.effect, failed.observed, failed.errors.length], ['allow', ['watch'], 1])
  const only = ask(set, 'x.z')
  assert.deepEqual([only.effect, only.observed], ['deny', ['maybe']])
})

function expiring(until: string): string {
  return `- { rule: a, when: { tool: "x.*" }, decision: allow, until: ${until} }
- { rule: d, when: { tool: "x.no" }, decision: deny, until: ${until} }`
}

test('an expired allow rule grants nothing, an expired deny rule still denies', () => {
  assert.equal(ask(policy(expiring('2026-11-21')), 'x.y').reason, 'no_rule_allows')
  assert.equal(ask(policy(expiring('2026-11-22')), 'x.y').effect, 'allow', 'the last day counts')
  assert.equal(ask(policy(expiring('2026-11-22T11:59:59Z')), 'x.y').effect, 'deny')
  assert.deepEqual(ask(policy(expiring('2020-01-01')), 'x.no').rules, ['d'])
})

test('selectors join: tool, server, class, actor, tenant, purpose, method', () => {
  const set = policy(`- rule: a
  when: { tool: ["x.y*", "w.?"], class: [read, write], actor: "team-*", tenant: acme, purpose: support, method: tools/* }
  decision: allow`)
  const who = { actor: { id: 'team-1', tenant: 'acme' }, ctx: { purpose: 'support' } }
  assert.equal(ask(set, 'x.yes', {}, who).effect, 'allow')
  assert.equal(ask(set, 'w.a', {}, who).effect, 'allow')
  assert.equal(ask(set, 'w.ab', {}, who).effect, 'deny')
  assert.equal(ask(set, 'x.no', {}, who).effect, 'deny')
  assert.equal(ask(set, 'x.yes', {}, { ...who, class: 'destructive' }).effect, 'deny')
  assert.equal(ask(set, 'x.yes', {}, { ...who, actor: { id: 'other', tenant: 'acme' } }).effect, 'deny')
  assert.equal(ask(set, 'x.yes', {}, { ...who, actor: { id: 'team-1', tenant: 'b' } }).effect, 'deny')
  assert.equal(ask(set, 'x.yes', {}, { ...who, ctx: {} }).effect, 'deny')
})

test('a rule that names a kind speaks of that kind alone, one about arguments never of resources', () => {
  const set = policy(`- { rule: prompts, when: { prompt: "s.*" }, decision: allow }
- { rule: all, when: { server: s }, decision: allow }
- { rule: args, when: { server: "*", cond: "args.topic == 'x'" }, decision: deny }`)
  const rules = (call: Parameters<typeof callOf>[0]) =>
    set.decide(callOf(call), { now: NOW, conceal: (value) => value }).decision.rules
  assert.deepEqual(rules({ server: 's', tool: 't', arguments: { topic: 'y' } }), ['all'])
  assert.deepEqual(rules({ server: 's', prompt: 'p', arguments: { topic: 'y' } }), ['prompts', 'all'])
  assert.deepEqual(rules({ server: 's', prompt: 'p', arguments: { topic: 'x' } }), ['args'])
  assert.deepEqual(rules({ server: 's', resource: 'file:///a' }), ['all'])
})

/** The same object; every look at one of its members is counted. */
function watched(args: JsonObject): { args: JsonObject; looks: () => number } {
  let looks = 0
  const proxy = new Proxy(args, {
    get(of, key): unknown {
      looks++
      return Reflect.get(of, key)
    },
    getOwnPropertyDescriptor(of, key) {
      looks++
      return Reflect.getOwnPropertyDescriptor(of, key)
    },
    ownKeys(of) {
      looks += Object.keys(of).length
      return Reflect.ownKeys(of)
    },
  })
  return { args: proxy, looks: () => looks }
}

test('a call among 1,000 rules and 10,000 tools touches what it touches among 10 of each', () => {
  verifies('play3.rules.scale')
  const own = [
    '- { rule: reading, when: { tool: "s7.*", class: write }, decision: allow }',
    ...Array.from(
      { length: 9 },
      (_, i) => `- { rule: own${i}, when: { tool: "s7.t7", cond: "args.n > ${i + 1}" }, decision: deny }`,
    ),
  ]
  const others = Array.from({ length: 990 }, (_, i) => {
    const name = i % 10 === 0 ? `s${i + 100}.*` : `s${(i % 6) + 100}.t${i}`
    return `- { rule: other${i}, when: { tool: "${name}", cond: "args.n > 1" }, decision: deny }`
  })
  const schema = { type: 'object', properties: { n: { type: 'integer' } } }
  const tools = (servers: number, each: number) =>
    Array.from({ length: servers * each }, (_, i) =>
      tool(`s${i % servers}`, `t${Math.floor(i / servers)}`, schema),
    )
  const touched = (rules: readonly string[], pinned: readonly PolicyTool[], n: number) => {
    const { args, looks } = watched({ n })
    const set = policy(rules.join('\n'), pinned)
    const call = { ...callOf({ server: 's7', tool: 't7', arguments: { n } }), args }
    const { evaluated, facts, decision } = set.decide(call, { now: NOW, conceal: (value) => value })
    return { evaluated, looks: looks(), facts, decision }
  }
  const few = tools(10, 10).filter(({ name }) => name === 't7')
  const many = tools(100, 100)
  assert.deepEqual([few.length, many.length], [10, 10_000])
  for (const n of [0, 5]) {
    const small = touched(own, few, n)
    const large = touched([...others.slice(0, 500), ...own, ...others.slice(500)], many, n)
    assert.deepEqual(large, small)
    assert.deepEqual([small.evaluated, small.decision.effect], [10, n === 0 ? 'allow' : 'deny'])
    assert.ok(small.looks > 0)
  }
})

test('facts hold every fact that the evaluated rules read, arguments and URLs only concealed', () => {
  const set = policy(PLAYBOOK + ALLOW_ALL, [BULK, FETCH])
  const seen: unknown[] = []
  const conceal = (value: unknown) => {
    seen.push(value)
    return { mac: `h${seen.length}` }
  }
  const bulk = set.decide(
    callOf({ server: 'crm', tool: 'bulk_update', arguments: { count: 5, tier: 'gold' }, ...TICKET }),
    { now: NOW, conceal },
  )
  assert.deepEqual(bulk.facts, { 'args.count': { mac: 'h1' }, 'ctx.ticket': 'CHG-1' })
  const fetch = set.decide(
    callOf({ server: 'web', tool: 'fetch', arguments: { url: 'http://10.0.0.1/secret' } }),
    { now: NOW, conceal },
  )
  assert.deepEqual(fetch.facts, { 'url.is_link_local': [false], 'url.hostname': [{ mac: 'h2' }] })
  assert.deepEqual(seen, [5, '10.0.0.1'])
  assert.ok(!JSON.stringify([bulk, fetch]).includes('secret'))
})

test('a fact is recorded by the path that was read, never by the whole around it', () => {
  const set = policy(
    '- { rule: d, when: { tool: "s.t", cond: "has(args.a.b) && args.l[0] == 1 && args.m.exists(k, args.o[k] == 2)" }, decision: deny }',
  )
  const { facts } = ask(set, 's.t', { a: { b: 1, c: 2 }, l: [1], m: ['x'], o: { x: 2 } })
  assert.deepEqual(Object.keys(facts).sort(), ['args.a.b', 'args.l', 'args.m', 'args.o'])
})

test('facts of many URLs are one hash and a count', () => {
  const set = policy(PLAYBOOK)
  const urls = Array.from({ length: 9 }, (_, i) => `https://h${i}.example/`)
  const { facts } = set.decide(callOf({ server: 'web', tool: 'fetch', arguments: { urls } }), {
    now: NOW,
    conceal: () => 'hidden',
  })
  assert.deepEqual(facts['url.hostname'], { count: 9, all: 'hidden' })
})

function loop(id: string): string {
  const cond = 'args.a.exists(i, args.a.exists(j, i + j == -1))'
  return `- { rule: ${id}, when: { tool: "x.y", cond: "${cond}" }, decision: deny }\n`
}

test('conditions of one call share one budget: what a stranger can make dear is refused, not waited for', () => {
  const set = policy(`${loop('d1')}${loop('d2')}${ALLOW_ALL}`)
  const big = ask(set, 'x.y', { a: Array.from({ length: 100_000 }, (_, i) => i) })
  assert.deepEqual([big.effect, big.reason, big.rules], ['deny', 'rule_error', ['d1', 'd2']])
  assert.match(big.errors[0]?.message ?? '', /costs more than 200000 steps/)
  assert.equal(ask(set, 'x.y', { a: [1, 2, 3] }).effect, 'allow')
})

test('deny beats defer, defer beats what is required, and what is required beats what is changed', () => {
  verifies('play3.decisions.defer')
  const rules: [string, string][] = [
    ['deny', '- { rule: d, when: { tool: "a.*", cond: "args.d" }, decision: deny }\n'],
    ['defer', '- { rule: f, when: { tool: "a.*", cond: "args.f" }, decision: defer, retry_after: 7 }\n'],
    ['defer', '- { rule: g, when: { tool: "a.*", cond: "args.f" }, decision: defer, retry_after: 9 }\n'],
    ['step_up', '- { rule: t, when: { tool: "a.*", cond: "args.t" }, decision: require_ticket }\n'],
    [
      'step_up',
      '- { rule: p, when: { tool: "a.*", cond: "args.p" }, decision: require_approval, approvers: [dba] }\n',
    ],
    ['allow', '- { rule: r, when: { tool: "a.*", cond: "args.r" }, decision: redact, classes: [email] }\n'],
  ]
  const set = policy(rules.map(([, rule]) => rule).join('') + ALLOW_ALL)
  const answer = (on: string) =>
    set.decide(
      callOf({
        server: 'a',
        tool: 'b',
        arguments: Object.fromEntries([...'dftpr'].map((k) => [k, on.includes(k)])),
      }),
      { now: NOW, conceal: (value) => value },
    )
  for (const [on, effect, ids] of [
    ['dftpr', 'deny', ['d']],
    ['ftpr', 'defer', ['f', 'g']],
    ['tpr', 'step_up', ['t', 'p']],
    ['pr', 'step_up', ['p']],
    ['r', 'allow', ['r', 'allow-all']],
    ['', 'allow', ['allow-all']],
  ] as const) {
    const { decision, redactions, retryAfterS, requires } = answer(on)
    assert.deepEqual([decision.effect, decision.rules], [effect, ids], on)
    assert.equal(redactions.length, on.includes('r') && !/[df]/.test(on) ? 1 : 0, on)
    assert.equal(retryAfterS, effect === 'defer' ? 9 : undefined, 'the longest wait')
    assert.deepEqual(
      requires,
      effect === 'step_up'
        ? { ticket: on.includes('t'), approvers: [['dba']] }
        : { ticket: false, approvers: [] },
      on,
    )
  }
})

test('a rule that defers, requires or redacts and cannot be evaluated applies; it never grants', () => {
  verifies('play3.decisions.redact')
  const of = (decision: string) =>
    policy(
      `- { rule: r, when: { tool: "a.*", cond: "args.n > 1" }, decision: ${decision} }\n${ALLOW_ALL}`,
    ).decide(callOf({ server: 'a', tool: 'b', arguments: { n: 'no number' } }), {
      now: NOW,
      conceal: (value) => value,
    })
  assert.equal(of('defer').decision.effect, 'defer')
  assert.deepEqual(of('require_approval, approvers: [dba]').requires.approvers, [['dba']])
  const redacting = of('redact, classes: [email]')
  assert.deepEqual([redacting.decision.effect, redacting.redactions.length], ['allow', 1])
  const alone = policy('- { rule: r, when: { tool: "a.*" }, decision: redact, classes: [email] }')
  assert.equal(ask(alone, 'a.b').reason, 'no_rule_allows')
})
