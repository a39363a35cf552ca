import assert from 'node:assert/strict'
import test from 'node:test'
import { verifies } from '../../testing/verifies.ts'
import { BULK, problemsOf } from './testing/fixtures.ts'

// Lists of words that messages name.
const DECISIONS = '`allow`, `deny`, `defer`, `require_ticket`, `require_approval`, `redact`'
const CLASSES =
  '`email`, `phone`, `credit_card`, `iban`, `ssn`, `national_id`, `passport`, `date_of_birth`, `ip_address`, `mac_address`, `secret`, `hidden_text`, `person`, `location`'
const KEYS =
  '`rule`, `when`, `decision`, `approvers`, `classes`, `in`, `retry_after`, `mode`, `owner`, `why`, `until`'
const FACTS = '`args`, `url`, `ctx`, `actor`, `tool`, `server`, `session`'
const ARGS = '`args.count`, `args.tier`, `args.dry`, `args.price`, `args.ids`, `args.filter`'
const METHODS =
  '`contains`, `startsWith`, `endsWith`, `size`, `has`, `all`, `exists`, `exists_one`, `filter`, `map`, `matches`'
const URL_MEMBERS =
  '`url.href`, `url.hostname`, `url.port`, `url.scheme`, `url.domain`, `url.is_link_local`, `url.is_private`'

/** Files, and all that is said of them: `line:column message`. */
const FORM: readonly (readonly [string, readonly string[]])[] = [
  [
    '- { rul: r, when: { tool: "a.b" }, decision: deny }\n',
    [
      '1:5 a rule has no key `rul` (expected ' + KEYS + '); did you mean `rule`',
      '1:3 `rule` is missing (expected the id of the rule)',
    ],
  ],
  [
    '- { rule: r, when: { tol: "a.b" }, decision: deny }\n',
    [
      '1:22 `when` has no key `tol` (expected `tool`, `server`, `class`, `actor`, `tenant`, `purpose`, `method`, `resource`, `prompt`, `cond`); did you mean `tool`',
    ],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: dney }\n',
    ['1:47 `decision` is `dney` (expected ' + DECISIONS + '); did you mean `deny`'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: Deny }\n',
    ['1:47 `decision` is `Deny` (expected ' + DECISIONS + '); did you mean `deny`'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: block }\n',
    ['1:47 `decision` is `block` (expected ' + DECISIONS + ')'],
  ],
  ['- { rule: r, when: { tool: "a.b" } }\n', ['1:3 `decision` is missing (expected ' + DECISIONS + ')']],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: true }\n',
    ['1:47 `decision` is `true` (expected ' + DECISIONS + ')'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: [deny] }\n',
    ['1:47 `decision` is a list of 1 (expected ' + DECISIONS + ')'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: route }\n',
    ['1:47 decision `route` is not built in this version (expected ' + DECISIONS + ')'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: redact }\n',
    ['1:3 `classes` is missing (expected a list of ' + CLASSES + ')'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: redact, classes: [emial] }\n',
    ['1:65 `classes` is `emial` (expected ' + CLASSES + '); did you mean `email`'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: redact, classes: email }\n',
    ['1:64 `classes` is `email` (expected a list of ' + CLASSES + ')'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: redact, classes: [email], in: [] }\n',
    ['1:77 `in` is an empty list (expected a list of `arguments`, `results`)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: redact, classes: [email], in: [args] }\n',
    ['1:78 `in` is `args` (expected `arguments`, `results`); did you mean `arguments`'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: deny, in: [results] }\n',
    ['1:57 `in` goes with `decision: redact` only, this rule says `deny`'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: deny, classes: [email] }\n',
    ['1:62 `classes` goes with `decision: redact` only, this rule says `deny`'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: defer, retry_after: 0 }\n',
    ['1:67 `retry_after` is `0` (expected a whole number of seconds from 1 to 86400)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: defer, retry_after: 86401 }\n',
    ['1:67 `retry_after` is `86401` (expected a whole number of seconds from 1 to 86400)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: defer, retry_after: 5m }\n',
    ['1:67 `retry_after` is `5m` (expected a whole number of seconds from 1 to 86400)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: allow, retry_after: 5 }\n',
    ['1:67 `retry_after` goes with `decision: defer` only, this rule says `allow`'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: require_approval }\n',
    ['1:3 `approvers` is missing (expected a list of 1 to 16 roles such as `[dba]`)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: require_approval, approvers: dba }\n',
    ['1:76 `approvers` is `dba` (expected a list of 1 to 16 roles such as `[dba]`)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: require_approval, approvers: [DBA] }\n',
    ['1:77 role `DBA` (expected at most 32 lower-case letters, digits and `-`, such as `dba`)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: deny, approvers: [dba] }\n',
    ['1:64 `approvers` goes with `decision: require_approval` only, this rule says `deny`'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: deny, mode: observ }\n',
    ['1:59 `mode` is `observ` (expected `enforce`, `observe`); did you mean `observe`'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: deny, until: 2026-02-30 }\n',
    ['1:60 `until` is `2026-02-30` (expected a date like `2027-01-31`, or `2027-01-31T12:00:00Z`)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: deny, until: soon }\n',
    ['1:60 `until` is `soon` (expected a date like `2027-01-31`, or `2027-01-31T12:00:00Z`)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: deny, until: 2026 }\n',
    ['1:60 `until` is `2026` (expected a date like `2027-01-31`, or `2027-01-31T12:00:00Z`)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: deny, owner: [a] }\n',
    ['1:60 `owner` is a list of 1 (expected a text of at most 500 characters)'],
  ],
  [
    `- { rule: r, when: { tool: "a.b" }, decision: deny, why: ${'x'.repeat(501)} }`,
    ['1:58 `why` is 501 characters long (expected a text of at most 500 characters)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b" }, decision: deny, enabled: false }\n',
    ['1:53 a rule has no key `enabled` (expected ' + KEYS + ')'],
  ],
  [
    '- { rule: r, when: { class: reed }, decision: deny }\n',
    [
      '1:29 `class` is `reed` (expected `read`, `write`, `destructive`, `egress`, `memory`, `poll`); did you mean `read`',
    ],
  ],
  [
    '- { rule: r, when: { class: delete }, decision: deny }\n',
    ['1:29 `class` is `delete` (expected `read`, `write`, `destructive`, `egress`, `memory`, `poll`)'],
  ],
  [
    '- { rule: r, when: { method: tools/cal }, decision: deny }\n',
    [
      '1:30 `method` is `tools/cal` (expected `tools/call`, `resources/read`, `prompts/get`); did you mean `tools/call`',
    ],
  ],
  [
    '- { rule: r, when: {  }, decision: deny }\n',
    ['1:20 `when` is empty (expected at least one key; to mean every tool write `tool: "*"`)'],
  ],
  [
    '- { rule: r, when: crm.read, decision: deny }\n',
    ['1:20 `when` is `crm.read` (expected a mapping such as `{ tool: "crm.read" }`)'],
  ],
  [
    '- { rule: r, decision: deny }\n',
    ['1:3 `when` is missing (expected a mapping such as `{ tool: "crm.read" }`)'],
  ],
  ['- { rule: r, when: { tool: [] }, decision: deny }\n', ['1:28 `tool` lists 0 globs (expected 1 to 100)']],
  [
    '- { rule: r, when: { tool: 5 }, decision: deny }\n',
    ['1:28 `tool` is `5`, no glob (expected a text of 1 to 256 characters, or a list of them)'],
  ],
  [
    '- { rule: r, when: { tool: "" }, decision: deny }\n',
    ['1:28 `tool` is ``, no glob (expected a text of 1 to 256 characters, or a list of them)'],
  ],
  [
    '- { rule: r, when: { tool: [a.b, 5] }, decision: deny }\n',
    ['1:34 `tool` is `5`, no glob (expected a text of 1 to 256 characters, or a list of them)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b", prompt: "a.c" }, decision: deny }\n',
    [
      '1:20 a call is never aimed at `tool` and `prompt` at once (expected one of them; write a rule for each)',
    ],
  ],
  [
    '- { rule: r, when: { tool: "a.b", cond: true }, decision: deny }\n',
    ['1:41 `cond` is `true` (expected a text, a CEL expression)'],
  ],
  ['- {  when: { tool: "a.b" }, decision: deny }\n', ['1:3 `rule` is missing (expected the id of the rule)']],
  [
    '- { rule: "a b", when: { tool: "a.b" }, decision: deny }\n',
    ['1:11 rule id `a b` (expected 1 to 128 letters, digits, `.`, `_`, `/`, `-`)'],
  ],
  [
    '- { rule: 7, when: { tool: "a.b" }, decision: deny }\n',
    ['1:11 `rule` is `7` (expected the id of the rule)'],
  ],
  [
    `- { rule: r, when: { tool: "a.b" }, decision: deny }
- { rule: r, when: { tool: "a.b" }, decision: deny }
`,
    ['2:3 rule id `r` is taken by p.yaml:1 (expected another id)'],
  ],
  ['rule: r', ['1:1 a policy is a list of rules (expected `- rule: ID`)']],
  ['', ['1:1 a policy is a list of rules (expected `- rule: ID`)']],
  ['- text', ['1:3 a rule is a mapping (expected `rule`, `when` and `decision`)']],
  [
    `- &a { rule: r, when: { tool: "*" }, decision: deny }
- *a`,
    [
      '1:6 anchors are refused (expected plain values)',
      '2:3 aliases are refused (expected the value itself; a glob that begins with `*` stands in quotes)',
    ],
  ],
  [
    '- { rule: r, rule: s, when: { tool: "*" }, decision: deny }',
    ['1:14 this key stands twice in one mapping (expected it once)'],
  ],
  [
    '- { <<: { rule: r }, when: { tool: "*" }, decision: deny }',
    [
      '1:5 merge keys are refused (expected the members themselves)',
      '1:3 `rule` is missing (expected the id of the rule)',
    ],
  ],
  ['- !!js/function "x"', ['1:3 tags are refused (expected plain values)']],
  [
    '- { rule: r, when: { tool: !!str x }, decision: deny }',
    ['1:34 tags are refused (expected plain values)'],
  ],
  [
    `- { rule: r, when: { tool: "a.b" }, decision: deny }
---
- { rule: r, when: { tool: "a.b" }, decision: deny }
`,
    ['2:1 a second document begins here (expected one list of rules in a file)'],
  ],
  ['- { rule: r', ['1:12 flow map in block collection must be sufficiently indented and end with a }']],
  [
    `- rule: r
	when: { tool: "*" }
  decision: deny
`,
    ['2:2 a tab indents this line (expected spaces)'],
  ],
  [
    `- rule: r
  when: { tool: "*" }
 decision: deny
`,
    ['3:1 sequence item without - indicator'],
  ],
  [
    `- rule: r
  when: { tool: *.read }
  decision: deny
`,
    ['2:17 aliases are refused (expected the value itself; a glob that begins with `*` stands in quotes)'],
  ],
  [
    `- rule: "r
  when: {}
`,
    ['3:1 missing closing "quote'],
  ],
  [
    `- rule: r
  when: { tool: '*', cond: "a\\q" }
  decision: deny
`,
    ['2:30 no such escape in double quotes (expected `\\\\` for a backslash, or single quotes)'],
  ],
  [
    `- rule: r
  when: { tool: a: b }
  decision: deny
`,
    ['2:17 a second `:` within `{ }` (expected a text with `: ` in quotes)'],
  ],
  [
    `policy:
  - rule: r
`,
    ['1:1 a policy is a list of rules (expected `- rule: ID`)'],
  ],
  [
    '- { rule: r, when: { tool: "a.b", cond: "" }, decision: deny }',
    ['1:42 `cond` is empty (expected a CEL expression)'],
  ],
]

/** Conditions that begin at 4:11, of a rule about `crm.bulk_update`: the column in the condition from 1, and the message. */
const CONDITIONS: readonly (readonly [string, number, string])[] = [
  [
    'args.cnt > 1',
    6,
    'for tool `crm.bulk_update`: unknown member `args.cnt` (expected ' +
      ARGS +
      '); did you mean `args.count`',
  ],
  ['args.count > "x"', 14, 'for tool `crm.bulk_update`: int is not ordered against string (expected int)'],
  ['args.count == "x"', 15, 'for tool `crm.bulk_update`: int never equals string (expected int)'],
  [
    'args.tier > 5',
    13,
    'for tool `crm.bulk_update`: string or null is not ordered against int (expected string)',
  ],
  [
    'args.filter.nam == "x"',
    13,
    'for tool `crm.bulk_update`: unknown member `args.filter.nam` (expected `args.filter.name`); did you mean `args.filter.name`',
  ],
  [
    '1 in args.ids',
    1,
    'for tool `crm.bulk_update`: int is never in list of string or null (expected string)',
  ],
  [
    'args.ids.exists(i, i > 1)',
    24,
    'for tool `crm.bulk_update`: string is not ordered against int (expected string)',
  ],
  ['!args.count', 2, 'for tool `crm.bulk_update`: `!` of int (expected bool or string)'],
  ['args.count', 1, 'for tool `crm.bulk_update`: condition is int (expected bool)'],
  [
    'args.count + 1.5 > 2.0',
    14,
    'for tool `crm.bulk_update`: `+` of int and double (expected int on both sides); write `double(...)` or `int(...)`',
  ],
  [
    'arg.count > 1',
    1,
    'unknown fact `arg` (expected ' + FACTS + '; a text stands in quotes); did you mean `args`',
  ],
  [
    'url.host == "a"',
    5,
    'unknown member `url.host` (expected ' + URL_MEMBERS + '); did you mean `url.hostname`',
  ],
  [
    'actor.name == "a"',
    7,
    'unknown member `actor.name` (expected `actor.id`, `actor.type`, `actor.grants`, `actor.subject`, `actor.tenant`)',
  ],
  [
    'ctx.tiket == null',
    5,
    'unknown member `ctx.tiket` (expected `ctx.ticket`, `ctx.purpose`, `ctx.region`, `ctx.chain`); did you mean `ctx.ticket`',
  ],
  ['args.count.sizes() > 1', 1, 'unknown function `sizes` (expected ' + METHODS + '); did you mean `size`'],
  [
    'session.sum("a") > 1',
    1,
    '`session.sum` is given 1 argument (expected tool, path, window, such as `session.sum("crm.bulk_update", "args.count", "1h")`)',
  ],
  [
    'actor.count(args.x, "1h") > 1',
    13,
    'argument of `actor.count` is computed (expected a literal text, such as in `actor.count("crm.*", "1h")`)',
  ],
  [
    'actor.count("crm", "1h") > 1',
    13,
    '`crm` names no tool (expected `server.tool`, `*` and `?` as wildcards)',
  ],
  [
    'actor.count("crm.*", "8d") > 1',
    22,
    '`8d` is no window (expected a number and `s`, `m`, `h` or `d`, from `1s` to `7d`)',
  ],
  [
    'actor.count("crm.*", "0s") > 1',
    22,
    '`0s` is no window (expected a number and `s`, `m`, `h` or `d`, from `1s` to `7d`)',
  ],
  [
    'session.sum("crm.*", "count", "1h") > 1',
    22,
    '`count` is no path of arguments (expected one such as `args.count`)',
  ],
  [
    'session.sum("crm.*", "args.cnt", "1h") > 1',
    1,
    'for tool `crm.bulk_update`: `session.sum("crm.*", "args.cnt", "1h")`: unknown member `args.cnt`; did you mean `args.count`',
  ],
  [
    'session.sum("crm.*", "args.tier", "1h") > 1',
    1,
    'for tool `crm.bulk_update`: `session.sum("crm.*", "args.tier", "1h")`: `args.tier` is string or null (expected a number or a list)',
  ],
  ['actor.count("crm.*", "1h") == "a"', 31, 'double never equals string (expected double)'],
  ['args.count > ', 14, 'unexpected token: EOF (expected a CEL expression)'],
  ['args.count > 1u', 14, 'bytes and unsigned numbers are not part of conditions (JSON has neither)'],
  ['args.count > 1 AND true', 16, '`AND` is not CEL (expected `&&`)'],
  ['args.count > 1 and true', 16, '`and` is not CEL (expected `&&`)'],
  ['args.count = 1', 12, '`=` is not CEL (expected `==`)'],
  ['not args.dry', 1, '`not` is not CEL (expected `!`)'],
  ['args.tier == gold', 14, 'unknown fact `gold` (expected ' + FACTS + '; a text stands in quotes)'],
  ['args.tier.matches(args.tier)', 19, 'pattern of `matches` is computed (expected a literal text)'],
  [
    "args.tier.matches('(?=a)')",
    19,
    'pattern is refused: error parsing regexp: invalid or unsupported Perl syntax: `(?=` (expected RE2 syntax, without look-around and back references)',
  ],
  [
    "args.tier.matches('(a')",
    19,
    'pattern is refused: error parsing regexp: missing closing ): `(a` (expected RE2 syntax, without look-around and back references)',
  ],
  [
    "timestamp(args.tier) < timestamp('2026-02-30T00:00:00Z')",
    34,
    'text is no timestamp (expected one such as `2026-01-31T09:00:00Z`, years 0001 to 9999)',
  ],
  [
    "timestamp(args.tier) < timestamp('2026-02-28')",
    34,
    'text is no timestamp (expected one such as `2026-01-31T09:00:00Z`, years 0001 to 9999)',
  ],
  [
    "duration('3 days') < duration(args.tier)",
    10,
    'text is no duration (expected one such as `90s`, `1h30m` or `-5m`, at most 292 years)',
  ],
  [
    "timestamp(args.tier) > duration('1h')",
    24,
    'timestamp is not ordered against duration (expected timestamp)',
  ],
  [
    'timestamp(args.tier) + 3600 > timestamp(args.tier)',
    24,
    '`+` of timestamp and int (expected durations, a timestamp and a duration, or timestamp - timestamp)',
  ],
  ['timestamp(args.tier).getHours(args.tier) < 9', 31, 'zone is computed (expected a literal text)'],
  [
    "timestamp(args.tier).getHours('Berlin') < 9",
    31,
    'zone is unknown (expected an IANA name such as `Europe/Berlin`, or `+02:00`)',
  ],
  ['duration(args.tier).getMonth() == 1', 1, '`getMonth` of duration (expected timestamp)'],
  ['timestamp(true) == timestamp(0)', 11, 'bool is no argument here (expected string or int or timestamp)'],
  ["'a' == timestamp('2026-01-31T09:00:00Z')", 8, 'string never equals timestamp (expected string)'],
  [
    'timestamp(args.tier).getHour() < 9',
    1,
    'unknown function `getHour` (expected ' + METHODS + '); did you mean `getHours`',
  ],
  ['args.tier.matches()', 1, '`matches` takes a text and a pattern (expected `args.name.matches("^a")`)'],
  ['args.?tier == null', 5, 'optional access is not part of conditions (absent members are null)'],
  ['args.ids.all(i)', 1, '`all` takes a variable and an expression (expected `list.all(x, ...)`)'],
  ['args.ids.all(args, true)', 14, 'variable `args` hides another name (expected a new name)'],
  ['args.ids.all(a, args.ids.all(b, args.ids.all(c, true)))', 33, 'loops are nested deeper than 2'],
  ['has(args)', 1, '`has` takes one member (expected `has(args.name)`)'],
  [
    'has(args.cnt)',
    10,
    'for tool `crm.bulk_update`: unknown member `args.cnt` (expected ' +
      ARGS +
      '); did you mean `args.count`',
  ],
  [
    'args.ids["x"] == 1',
    1,
    'for tool `crm.bulk_update`: `args.ids` is list of string or null and has no member `x`',
  ],
  [
    "args.ids['a'] == 'b'",
    1,
    'for tool `crm.bulk_update`: `args.ids` is list of string or null and has no member `a`',
  ],
  ['args.count[0] == 1', 1, 'for tool `crm.bulk_update`: int has no elements (expected list or object)'],
  ['args.ids.size(1) > 2', 1, '`size` is given 1 argument (expected 0)'],
  [
    'size(args.count) > 1',
    6,
    'for tool `crm.bulk_update`: int is no argument here (expected string or list or object)',
  ],
  ['args.tier ? true : false', 1, 'for tool `crm.bulk_update`: `?` asks string or null (expected bool)'],
  ['args.count > 9007199254740993', 14, 'integer is out of range (expected at most 2^53 - 1, as in JSON)'],
  ["b'x' == b'x'", 1, 'bytes and unsigned numbers are not part of conditions (JSON has neither)'],
  ['{args.tier: 1} == {}', 2, 'member name is computed (expected a literal text)'],
  [
    'args.tier && true',
    1,
    'for tool `crm.bulk_update`: `&&` joins conditions, this is string or null (expected bool)',
  ],
  ["'a' + 1 == 'a1'", 7, '`+` of int (expected string, as on the left)'],
  ["args.count > 1 ? 'a' : 'b'", 1, 'condition is string (expected bool)'],
  [
    'url.is_privat',
    5,
    'unknown member `url.is_privat` (expected ' + URL_MEMBERS + '); did you mean `url.is_private`',
  ],
  [
    "server.regin == 'eu'",
    8,
    'unknown member `server.regin` (expected `server.name`, `server.vendor`, `server.regions`); did you mean `server.regions`',
  ],
  ["tool.labels == 'pii'", 16, 'list of string never equals string (expected list of string)'],
  ["'pii' in tool.name", 10, '`in` needs a list or an object, this is string or null'],
  ["session.calls > '5'", 17, 'int is not ordered against string (expected int)'],
  ["args.tier.lower() == 'x'", 1, 'unknown function `lower` (expected ' + METHODS + ')'],
  ['cel.bind(x, 1, x == 1)', 1, 'unknown function `bind` (expected ' + METHODS + ')'],
  ["args.ids.exists(i, j == 'a')", 20, 'unknown fact `j` (expected ' + FACTS + '; a text stands in quotes)'],
]

const rule = (cond: string): string =>
  `- rule: r\n  when:\n    tool: crm.bulk_update\n    cond: |-\n      ${cond}\n  decision: deny\n`

test('broken rules are told at load, each with its line, its column and what to write instead', () => {
  verifies('play3.broken-rules')
  assert.ok(FORM.length + CONDITIONS.length >= 60)
  for (const [yaml, expected] of FORM)
    assert.deepEqual(
      problemsOf(yaml),
      expected.map((line) => `p.yaml:${line}`),
      yaml,
    )
  for (const [cond, column, message] of CONDITIONS)
    assert.deepEqual(problemsOf(rule(cond), [BULK]), [`p.yaml:5:${column + 6} ${message}`], cond)
})

test('the near misses of broken rules load', () => {
  for (const yaml of [
    '- { rule: r, when: { tool: "a.b" }, decision: deny }',
    '- { rule: r, when: { tool: ["*.read", a.b] }, decision: redact, classes: [email], in: [results] }',
    '- { rule: r, when: { class: read }, decision: defer, retry_after: 86400 }',
    '- { rule: r, when: { prompt: "a.c" }, decision: require_approval, approvers: [dba] }',
    '- { rule: r, when: { method: tools/call }, decision: allow, mode: observe, until: 2027-02-28 }',
    `- { rule: r, when: { tool: "a.b" }, decision: deny, why: ${'x'.repeat(500)} }`,
  ])
    assert.deepEqual(problemsOf(yaml), [], yaml)
  for (const cond of [
    'args.count > 1',
    'args.price > 1',
    'args.filter.name == "x"',
    'args.count * 2 > 1',
    'session.sum("crm.*", "args.ids", "1h") + 1.0 > 2.0',
    'actor.count("*.delete_*", "7d") > 10',
    '"a" in args.ids',
    'args.tier in ["and", "or", "a = b"]',
    'args.tier != null && !(args.tier.matches("^(and|or)=$"))',
    "args.ids.all(a, args.ids.exists(b, a + b == 'ab'))",
  ])
    assert.deepEqual(problemsOf(rule(cond), [BULK]), [], cond)
})
