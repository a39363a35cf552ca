import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import type { Json, JsonObject } from '../../call/json.ts'
import { evaluateCall } from './call-file.ts'
import { celLiteral, DraftError, findPin, pinCondition } from './draft-condition.ts'
import { draftCases, goldenText, type DraftedCase } from './draft-golden.ts'
import { appendRule, draftRule, type DraftedRule } from './draft.ts'
import { readPolicy } from './document.ts'
import type { PolicyCall } from './facts.ts'
import { runGolden } from './golden.ts'
import { compilePolicy } from './policy-set.ts'
import { formatProblem } from './problem.ts'
import { NOW, policy, tool } from './testing/fixtures.ts'

const WRITE = tool(
  'fs',
  'write_file',
  { type: 'object', properties: { path: { type: 'string' } } },
  'destructive',
)
const EDIT = tool('fs', 'edit_file', { type: 'object' }, 'destructive')
const TOOLS = [WRITE, EDIT]

function call(change: Partial<PolicyCall> = {}): PolicyCall {
  return {
    target: { kind: 'tool', server: 'fs', name: 'write_file' },
    class: 'destructive',
    labels: [],
    args: { path: 'notes.txt', content: 'a secret' },
    caller: {
      actor: { id: 'claude-code', type: 'agent' },
      subject: 'ada',
      tenant: 'default',
      grants: ['files'],
    },
    session: { id: 's', key: 's', calls: 3, labels: [] },
    ctx: { ticket: null, purpose: null, region: null, chain: 'c' },
    ...change,
  }
}

function withCaller(actor: string, tenant: string): PolicyCall {
  return call({ caller: { ...call().caller, actor: { id: actor, type: 'agent' }, tenant } })
}

function allow(one: PolicyCall = call(), pins: readonly string[] = []): DraftedRule {
  return draftRule(one, { decision: 'allow', pins, why: 'w' }).rule
}

function deny(one: PolicyCall = call(), pins: readonly string[] = []): DraftedRule {
  return draftRule(one, { decision: 'deny', pins, why: 'w' }).rule
}

/** Rules that decide a call by a policy file. */
function rulesFor(text: string, one: PolicyCall): readonly string[] {
  const compiled = compilePolicy([readPolicy('p.yaml', text)])
  if ('problems' in compiled) assert.fail(compiled.problems.map(formatProblem).join('\n'))
  return evaluateCall(compiled.set, one, NOW).rules
}

function failure(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof DraftError, String(error))
    return error.message
  }
  return assert.fail('nothing was refused')
}

describe('a drafted rule', () => {
  const text = appendRule('p.yaml', '', allow(call(), ['args.path']))

  test('names the tool, class, actor, tenant and pinned argument of the call, and reads like one of a person', () => {
    assert.equal(
      text,
      `- rule: allow-fs.write_file-for-claude-code
  when:
    tool: fs.write_file
    class: destructive
    actor: claude-code
    tenant: default
    cond: args.path == "notes.txt"
  decision: allow
  why: w
`,
    )
    assert.match(
      appendRule('p.yaml', '', allow()),
      /\n {2}when: { tool: fs\.write_file, class: destructive, actor: claude-code, tenant: default }\n/,
    )
  })

  test('allows the call, and no call that differs in one of them', () => {
    assert.deepEqual(rulesFor(text, call()), ['allow-fs.write_file-for-claude-code'])
    const others: PolicyCall[] = [
      call({ target: { kind: 'tool', server: 'fs', name: 'write_file2' } }),
      call({ target: { kind: 'tool', server: 'fs2', name: 'write_file' } }),
      call({ target: { kind: 'prompt', server: 'fs', name: 'write_file' } }),
      call({ class: 'write' }),
      withCaller('claude', 'default'),
      withCaller('claude-code', 'other'),
      call({ args: { path: 'notes.txt2' } }),
      call({ args: {} }),
    ]
    for (const other of others) assert.deepEqual(rulesFor(text, other), [])
  })

  test('of names with wildcards selects by condition, so that none of them opens more', () => {
    const odd = {
      ...withCaller('*', 'a?c'),
      target: { kind: 'tool', server: 'fs', name: 'write_*' },
    } as const
    const drafted = allow(odd)
    assert.deepEqual(drafted.when, {
      server: 'fs',
      class: 'destructive',
      cond: 'tool.name == "fs.write_*" && actor.id == "*" && actor.tenant == "a?c"',
    })
    const file = appendRule('p.yaml', '', drafted)
    assert.equal(rulesFor(file, odd).length, 1)
    assert.deepEqual(rulesFor(file, { ...odd, caller: { ...odd.caller, tenant: 'abc' } }), [])
    assert.deepEqual(rulesFor(file, { ...odd, target: { ...odd.target, name: 'write_x' } }), [])
    assert.deepEqual(rulesFor(file, withCaller('ada', 'a?c')), [])
  })

  test('of a resource or prompt names it as it is, and is refused where a glob would mean more', () => {
    const resource = call({
      target: { kind: 'resource', server: 'fs', name: 'file:///a' },
      class: 'read',
      args: {},
    })
    assert.deepEqual(allow(resource).when, {
      server: 'fs',
      resource: 'file:///a',
      actor: 'claude-code',
      tenant: 'default',
    })
    const prompt = call({ target: { kind: 'prompt', server: 'fs', name: 'review' }, class: 'read' })
    assert.equal(allow(prompt).when.prompt, 'fs.review')
    const query = { ...resource, target: { ...resource.target, name: 'https://a.example/?q' } }
    assert.match(
      failure(() => allow(query)),
      /^the name of the resource cannot stand in `when` as itself/,
    )
  })

  test('fuzz: whatever the names, it decides its own call and not one by another name', () => {
    const name = fc.oneof(
      fc.string({ minLength: 1, maxLength: 300, unit: 'binary' }),
      fc.constantFrom('*', 'a*', '?', ' ', '- x', "'"),
    )
    fc.assert(
      fc.property(
        name,
        name,
        name,
        name,
        fc.constantFrom('actor', 'tenant', 'tool'),
        (actor, tenant, toolName, other, part) => {
          fc.pre([actor, tenant, toolName, other].every((text) => text.isWellFormed()))
          const own = {
            ...withCaller(actor, tenant),
            target: { kind: 'tool', server: 'fs', name: toolName },
          } as const
          const file = appendRule('p.yaml', '', allow(own))
          assert.equal(rulesFor(file, own).length, 1)
          const changed = {
            actor: () => ({ ...own, caller: { ...own.caller, actor: { ...own.caller.actor, id: other } } }),
            tenant: () => ({ ...own, caller: { ...own.caller, tenant: other } }),
            tool: () => ({ ...own, target: { ...own.target, name: other } }),
          }
          fc.pre(other !== { actor, tenant, tool: toolName }[part])
          assert.deepEqual(rulesFor(file, changed[part]()), [])
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('a pinned argument', () => {
  test('is found by its path, and by a name with signs in brackets', () => {
    const args: JsonObject = { a: { 'odd name': [1, 'x'] }, in: true, __proto__x: null }
    assert.deepEqual(findPin(args, 'args.a["odd name"]'), {
      path: 'args.a["odd name"]',
      members: ['a', 'odd name'],
      value: [1, 'x'],
    })
    assert.equal(findPin(args, 'args["in"]').path, 'args["in"]')
    assert.equal(findPin(args, 'args["a"]').path, 'args.a')
  })

  test('that the call does not have, or that is no path, is refused with what there is', () => {
    const args: JsonObject = { path: 'x', list: [1] }
    assert.equal(
      failure(() => findPin(args, 'args.pth')),
      'the call has no argument `args.pth` (expected `args.path`, `args.list`); did you mean `args.path`',
    )
    assert.match(
      failure(() => findPin(args, 'args.path.x')),
      /`args\.path` has no members/,
    )
    assert.match(
      failure(() => findPin(args, 'args.toString')),
      /has no argument/,
    )
    for (const path of ['', 'args', 'path', 'ctx.ticket', 'args.list[0]', 'args.path || true', 'f(args)'])
      assert.match(
        failure(() => findPin(args, path)),
        /is no path of an argument/,
        path,
      )
  })

  test('is written from its parsed path, so that nothing of a comment goes into the condition', () => {
    assert.equal(pinCondition([findPin({ on: true }, 'args.on // && x')], 'allow'), 'args.on == true')
  })

  test('of a rule that denies asks first whether it is there: an error would deny calls without it', () => {
    const one = call({ args: { filter: { name: 'x' } } })
    const file = `- { rule: rest, when: { tool: "*" }, decision: allow }\n`
    const text = appendRule('p.yaml', file, deny(one, ['args.filter.name']))
    assert.deepEqual(rulesFor(text, one), ['deny-fs.write_file-for-claude-code'])
    for (const args of [{}, { filter: {} }, { filter: { name: 'y' } }, { other: 1 }])
      assert.deepEqual(rulesFor(text, call({ args })), ['rest'], JSON.stringify(args))
  })

  test('of null is not met by an absent member', () => {
    const one = call({ args: { path: null } })
    const text = appendRule('p.yaml', '', allow(one, ['args.path']))
    assert.equal(rulesFor(text, one).length, 1)
    assert.deepEqual(rulesFor(text, call({ args: {} })), [])
  })

  test('that is longer than a condition may be, or half a character, is refused', () => {
    assert.match(
      failure(() => allow(call({ args: { a: 'x'.repeat(9_000) } }), ['args.a'])),
      /characters long/,
    )
    assert.match(
      failure(() => allow(call({ args: { a: Array(600).fill(1) } }), ['args.a'])),
      /have no form/,
    )
    assert.match(
      failure(() => celLiteral('\ud800')),
      /lone surrogate/,
    )
  })

  test('fuzz: any JSON value, any member name: the rule holds for it and for no other', () => {
    const scalar = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.string({ maxLength: 40 }),
      fc.constantFrom(
        '"',
        '\\',
        '\\"',
        '\n',
        '\u2028',
        "'",
        '${a}',
        '#',
        '" || true || "',
        '\ufeff',
        '\x85',
        '\x00',
      ),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.maxSafeInteger(),
      fc.boolean(),
      fc.constant(null),
    )
    const value = fc.oneof(
      scalar,
      fc.array(scalar, { maxLength: 4 }),
      fc.dictionary(fc.string({ maxLength: 5 }), scalar, { maxKeys: 3 }),
    )
    const name = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }),
      fc.constantFrom('in', 'true', 'a', '__proto__', '1', ' '),
    )
    fc.assert(
      fc.property(
        name,
        value,
        value,
        fc.constantFrom('allow' as const, 'deny' as const),
        (key, mine: Json, other: Json, decision) => {
          fc.pre([key, JSON.stringify(mine)].every((text) => text.isWellFormed()) && isText(mine))
          const args = (one: Json): JsonObject => Object.fromEntries([[key, one]])
          const own = call({ args: args(mine) })
          const path = `args[${celLiteral(key)}]`
          const rule = draftRule(own, { decision, pins: [path], why: 'w' }).rule
          const text = appendRule(
            'p.yaml',
            '- { rule: rest, when: { actor: nobody }, decision: allow }\n',
            rule,
          )
          assert.deepEqual(rulesFor(text, own), [rule.rule])
          fc.pre(!same(mine, other))
          assert.deepEqual(rulesFor(text, call({ args: args(other) })), [])
        },
      ),
      { numRuns: 500 },
    )
  })
})

/** Texts inside of a value that JSON escapes: half characters have no form in a condition. */
function isText(value: Json): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value !== 'object' || value === null) return true
  return Object.entries(value).every(([key, one]: [string, Json]) => key.isWellFormed() && isText(one))
}

function same(a: Json, b: Json): boolean {
  const plain = (value: Json): unknown =>
    JSON.stringify(value, (_key, one: Json) =>
      typeof one === 'object' && one !== null && !Array.isArray(one) ? Object.entries(one).sort() : one,
    )
  return plain(a) === plain(b)
}

describe('a policy file', () => {
  const rule = allow()
  const first = '- { rule: a, when: { tool: "*" }, decision: deny }'

  test('keeps every byte it had, whatever its form', () => {
    const forms: string[] = [
      '',
      '# nothing yet\n',
      `${first}\n`,
      first,
      `# head\n\n${first}   # why\n# tail\n`,
      `  ${first}\n`,
      `${first}\r\n`,
      `${first}\n\n\n`,
      `- rule: b\n  when: { tool: "*" }\n  decision: allow\n  why: |\n    two\n    lines\n`,
    ]
    for (const text of forms) {
      const after = appendRule('p.yaml', text, rule)
      assert.ok(after.startsWith(text), JSON.stringify(text))
      const { rules, problems } = readPolicy('p.yaml', after)
      assert.deepEqual(problems, [])
      assert.equal(rules.at(-1)?.id, rule.rule)
      assert.equal(after.includes('\r\n'), text.includes('\r\n'))
      if (text.includes('\r\n')) assert.ok(!/[^\r]\n/.test(after))
    }
  })

  test('that is an empty list in brackets gets lines in their place, and keeps its comments', () => {
    const after = appendRule('p.yaml', '# head\n[]\n', rule)
    assert.match(after, /^# head\n- rule: allow-fs/)
  })

  test('to which nothing can be added is refused and not changed', () => {
    assert.match(
      failure(() => appendRule('p.yaml', `[${first.slice(2)}]\n`, rule)),
      /list in brackets/,
    )
    assert.match(
      failure(() => appendRule('p.yaml', `${first}\n...\n`, rule)),
      /does not fit|no rule can be added/,
    )
    assert.match(
      failure(() =>
        appendRule(
          'p.yaml',
          `- rule: b\n  when: { tool: "*" }\n  decision: allow\n  why: |+\n    kept\n`,
          rule,
        ),
      ),
      /no rule can be added/,
    )
  })

  test('with a rule of that id is refused by the policy that it is part of', () => {
    const text = appendRule('p.yaml', '', rule)
    const compiled = compilePolicy([readPolicy('p.yaml', appendRule('p.yaml', text, rule))])
    assert.ok('problems' in compiled && compiled.problems.some(({ message }) => message.includes('is taken')))
  })
})

describe('the golden file of a drafted rule', () => {
  const OTHERS = '- { rule: reading, when: { class: read }, decision: allow }\n'

  function drafted(decision: 'allow' | 'deny', pins: readonly string[], base = OTHERS) {
    const { rule, pins: found } = draftRule(call(), { decision, pins, why: 'w' })
    const text = appendRule('p.yaml', base, rule)
    const before = policy(base, TOOLS)
    const after = policy(text, TOOLS)
    const cases = draftCases(call(), rule, { before, after, tools: TOOLS, pins: found, now: NOW })
    return { rule, text, cases, golden: goldenText(['head'], cases, pins.length > 0 ? [WRITE] : []) }
  }

  function failures(golden: string, text: string): string[] {
    const { cases, problems } = runGolden({ file: 'g.yaml', text: golden }, [{ file: 'p.yaml', text }], NOW)
    assert.deepEqual(problems.map(formatProblem), [])
    return cases.filter(({ passed }) => !passed).map(({ title }) => title)
  }

  test('passes with the rule, and without it the recorded call fails', () => {
    for (const decision of ['allow', 'deny'] as const) {
      const base = decision === 'deny' ? '- { rule: all, when: { tool: "*" }, decision: allow }\n' : OTHERS
      const { golden, text } = drafted(decision, ['args.path'], base)
      assert.deepEqual(failures(golden, text), [])
      assert.deepEqual(failures(golden, base), [
        `the recorded call is ${decision === 'allow' ? 'allowed' : 'denied'}`,
      ])
    }
  })

  test('fails wherever somebody makes the rule wider', () => {
    const { golden, rule } = drafted('allow', ['args.path'])
    const near: Readonly<Record<string, string>> = {
      tool: 'another tool of the server',
      class: 'the same tool in another class',
      actor: 'another actor',
      tenant: 'another tenant',
      cond: 'another value of args.path',
    }
    assert.deepEqual(Object.keys(rule.when), Object.keys(near))
    for (const [key, title] of Object.entries(near)) {
      const wider = {
        ...rule,
        when: Object.fromEntries(Object.entries(rule.when).filter(([one]) => one !== key)),
      }
      const failed = failures(golden, appendRule('p.yaml', OTHERS, wider))
      assert.deepEqual(failed, [`${title} is denied as before`])
    }
  })

  test('holds of the arguments those that are pinned, and no other', () => {
    assert.ok(drafted('allow', ['args.path']).golden.includes('notes.txt'))
    assert.ok(!drafted('allow', ['args.path']).golden.includes('secret'))
    assert.ok(!drafted('allow', []).golden.includes('notes.txt'))
  })

  test('holds all of them where other rules of the policy read them', () => {
    const base = `${OTHERS}- { rule: no-evil, when: { tool: fs.write_file, cond: "args.path.contains('evil')" }, decision: deny }\n`
    assert.ok(drafted('allow', [], base).golden.includes('a secret'))
  })

  test('takes as near miss only what no other rule decides', () => {
    const titles = (cases: readonly DraftedCase[]) => cases.map(({ title }) => title).join('\n')
    const base = `${OTHERS}- { rule: editing, when: { tool: fs.edit_file }, decision: allow }\n`
    const { cases } = drafted('allow', [], base)
    assert.match(titles(cases), /another tool of the server is denied/)
    assert.equal(
      cases.find(({ title }) => title.startsWith('another tool'))?.call['tool'],
      'write_file-other',
    )
    assert.equal(
      drafted('allow', []).cases.find(({ title }) => title.startsWith('another tool'))?.call['tool'],
      'edit_file',
    )
  })

  test('is not written when another rule of the policy denies the call all the same', () => {
    const base = '- { rule: never, when: { tool: fs.write_file }, decision: deny }\n'
    assert.match(
      failure(() => drafted('allow', [], base)),
      /would still deny the call \(never\)/,
    )
  })
})
