import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { run } from './testing/fixtures.ts'

const SCHEMA = {
  type: 'object',
  properties: {
    n: { type: 'integer' },
    d: { type: 'number' },
    s: { type: 'string' },
    b: { type: 'boolean' },
    l: { type: 'array', items: { type: 'integer' } },
    o: { type: 'object', properties: { x: { type: 'string' } } },
    open: { type: 'object', additionalProperties: { type: 'integer' } },
    must: { type: 'integer' },
  },
  required: ['must'],
}

test('the table of null: absent is null, `!` of null and "" is true, an order with null is false', () => {
  const table: [string, Record<string, number | string | boolean | null>, boolean | string][] = [
    ['!args.s', {}, true],
    ['!args.s', { s: '' }, true],
    ['!args.s', { s: 'x' }, false],
    ['!args.s', { s: null }, true],
    ['!args.b', {}, true],
    ['!args.b', { b: false }, true],
    ['!args.b', { b: true }, false],
    ['args.n > 5', {}, false],
    ['args.n < 5', {}, false],
    ['args.n >= 5', { n: null }, false],
    ['5 <= args.n', {}, false],
    ['args.n > 5', { n: 6 }, true],
    ['!(args.n > 5)', {}, true],
    ['args.s < "m"', {}, false],
    ['args.n == null', {}, true],
    ['args.n == null', { n: 0 }, false],
    ['args.n != null && args.n > 5', {}, false],
    ['has(args.n)', {}, false],
    ['has(args.n)', { n: null }, false],
    ['has(args.n)', { n: 0 }, true],
    ['args.s in ["x"]', {}, false],
    ['args.s in ["x"]', { s: 'x' }, true],
    ['args.n + 1 > 5', {}, 'EvaluationFault: `+` of null and number (expected numbers)'],
    ['args.s.contains("x")', {}, 'EvaluationFault: value is null (expected string)'],
    ['args.o.x == "y"', {}, 'EvaluationFault: null has no member `x`'],
    ['args.b && true', {}, 'EvaluationFault: `&&` of null (expected bool)'],
    ['args.b == true', {}, false],
    ['args.l.exists(i, i > 1)', {}, 'EvaluationFault: loop over null (expected list or object)'],
  ]
  for (const [cond, args, expected] of table)
    assert.equal(run(cond, args, SCHEMA), expected, `${cond} of ${JSON.stringify(args)}`)
})

test('an undeclared member is an error at run time, asked by `has` it is not', () => {
  assert.equal(run('args.open.k == 1', { open: { k: 1 } }, SCHEMA), true)
  assert.equal(run('args.open.k == 1', { open: {} }, SCHEMA), 'EvaluationFault: no member `k`')
  assert.equal(run('has(args.open.k) && args.open.k == 1', { open: {} }, SCHEMA), false)
  assert.equal(run('args.any == 1', {}), 'EvaluationFault: no member `any`')
})

test('JSON numbers: 1001 and 1001.5 compare with integers, integer arithmetic stays whole', () => {
  assert.equal(run('args.d > 1000', { d: 1001.5 }, SCHEMA), true)
  assert.equal(run('args.d > 1001', { d: 1001 }, SCHEMA), false)
  assert.equal(run('args.n > 1000.5', { n: 1001 }, SCHEMA), true)
  assert.equal(run('args.n / 2 == 500 && args.n % 2 == 1', { n: 1001 }, SCHEMA), true)
  assert.equal(run('args.d / 2.0 == 500.5', { d: 1001 }, SCHEMA), true)
  assert.equal(run('args.x / 2 == 500', { x: 1001 }), true)
  assert.equal(run('args.x / 2.0 == 500.5', { x: 1001 }), true)
  assert.equal(
    run('args.n * 9007199254740991 > 0', { n: 2 }, SCHEMA),
    'EvaluationFault: integer is out of range (expected at most 2^53 - 1)',
  )
  assert.equal(run('args.n / 0 == 1', { n: 2 }, SCHEMA), 'EvaluationFault: `/` by zero')
})

test('`&&` and `||` absorb an error when the other side decides, in either order', () => {
  for (const [cond, expected] of [
    ['args.q == 1 && false', false],
    ['false && args.q == 1', false],
    ['args.q == 1 || true', true],
    ['true || args.q == 1', true],
  ] as const)
    assert.equal(run(cond), expected, cond)
  assert.equal(run('args.q == 1 && true'), 'EvaluationFault: no member `q`')
  assert.equal(run('args.q == 1 || false'), 'EvaluationFault: no member `q`')
})

test('loops, strings and conversions answer as CEL says', () => {
  const args = { l: [1, 2, 3], s: 'añ𝒳', o: { x: '12' } }
  for (const cond of [
    'args.l.all(i, i > 0)',
    '!args.l.all(i, i > 1)',
    'args.l.exists(i, i == 3)',
    'args.l.exists_one(i, i > 2)',
    '!args.l.exists_one(i, i > 1)',
    'args.l.filter(i, i > 1) == [2, 3]',
    'args.l.map(i, i * 2) == [2, 4, 6]',
    'args.l.map(i, i > 1, i * 2) == [4, 6]',
    'args.l.exists(i, i / (i - 1) > 0)',
    'args.o.exists(k, k == "x")',
    '"x" in args.o && !("y" in args.o)',
    'args.l[0] == 1 && args["l"][2] == 3',
    'size(args.s) == 3 && args.l.size() == 3 && size(args.o) == 1',
    'int(args.o.x) == 12 && double("1.5") == 1.5 && string(12) == "12" && int(-1.9) == -1',
    'args.s.startsWith("a") && args.s.endsWith("𝒳") && args.s.contains("ñ")',
    'args.s.matches("^añ.$") && !matches(args.s, "z")',
    '"\\uffff" < "𝒳"',
    'true ? args.l == [1, 2, 3] : false',
    '{"a": 1} == {"a": 1} && {"a": 1} != {"a": 2}',
    '1 == 1.0 && 1 in [1.0]',
    'args.l + [4] == [1, 2, 3, 4] && "a" + "b" == "ab"',
  ]) {
    assert.equal(run(cond, args), true, cond)
  }
  assert.equal(run('args.l[3] == 1', args), 'EvaluationFault: index is out of bounds')
  assert.equal(run('args.l[-1] == 1', args), 'EvaluationFault: index is out of bounds')
})

test('times are read from texts, counted with, and told in the zone that the condition names', () => {
  const args = { from: '2026-03-28T22:30:00Z', to: '2026-03-29T01:00:00+01:00', for: '90m', at: 1774737000 }
  for (const cond of [
    "timestamp(args.to) - timestamp(args.from) == duration('1h30m')",
    'timestamp(args.from) + duration(args.for) >= timestamp(args.to)',
    'timestamp(args.at) == timestamp(args.from) && int(timestamp(args.from)) == args.at',
    "timestamp(args.to) < timestamp('2026-03-29T00:00:00.000000001Z')",
    'string(timestamp(args.to)) == "2026-03-29T00:00:00Z" && string(duration("-1.5s")) == "-1.5s"',
    // Clocks of Berlin go forward at 01:00 UTC.
    'timestamp("2026-03-29T00:59:59Z").getHours("Europe/Berlin") == 1',
    'timestamp("2026-03-29T01:00:00Z").getHours("Europe/Berlin") == 3',
    'timestamp(args.from).getDayOfWeek() == 6 && timestamp(args.from).getDayOfWeek("+02:00") == 0',
    '[duration("60s"), duration("1h")].exists(d, d == duration("1m"))',
    'duration("1m") in [duration("60s")] && !(duration("1m") in [60, "1m"])',
    '[timestamp(0), 1].exists(x, x == timestamp("1970-01-01T00:00:00Z"))',
    '{"end": timestamp(0)}.end == timestamp(0) && {"end": timestamp(0)} != {"end": duration("0s")}',
    'timestamp(timestamp(0)) == timestamp(0) && duration("1h").getMinutes() == 60',
    'duration("1s") < duration("1.000000001s") && duration("1us1ns") == duration("1001ns")',
  ]) {
    assert.equal(run(cond, args), true, cond)
  }
  for (const [cond, why] of [
    ['timestamp(args.x) < timestamp(0)', 'text is no timestamp'],
    ['duration(args.x) < duration("1s")', 'text is no duration'],
    ['timestamp(args.n) < timestamp(0)', 'timestamp is out of range'],
    ['timestamp(args.half) < timestamp(0)', 'value is number'],
    ['timestamp(args.none) < timestamp(0)', 'value is null'],
    ['timestamp("9999-12-31T23:59:59Z") + duration(args.h) > timestamp(0)', 'timestamp is out of range'],
    ['[timestamp(0), args.n].exists(x, x.year == 1970)', 'timestamp has no member'],
    ['[timestamp(0), args.n].exists(x, size(x) == 0)', 'value is timestamp'],
    ['[timestamp(0), args.n].exists(x, x.all(y, true))', 'loop over timestamp'],
    ['[timestamp(0), args.n].exists(x, "nanos" in x)', '`in` of timestamp'],
    ['[timestamp(0), args.n].all(x, x + duration("1s") > x)', 'ConditionError'],
    ['[timestamp(0), args.n].exists(x, has(x.nanos))', 'timestamp has no members'],
  ] as const)
    assert.match(
      String(run(cond, { x: '2026-02-30T00:00:00Z', n: 1e15, half: 0.5, none: null, h: '1s' })),
      new RegExp(why),
      cond,
    )
})

test('reading a time is bounded, and no text makes it throw anything but a fault', () => {
  const piece = fc.constantFrom(
    '1',
    '90',
    '.',
    '-',
    '+',
    'h',
    'm',
    's',
    'ms',
    'µs',
    'T',
    ':',
    'Z',
    '2026-01-31T09:00:00Z',
    ' ',
    'é',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const x = pieces.join('')
      for (const cond of ['string(timestamp(args.x)) != ""', 'string(duration(args.x)) != ""'])
        assert.match(String(run(cond, { x })), /^(?:true|EvaluationFault: text is no (?:timestamp|duration))/)
    }),
    { numRuns: 2_000 },
  )
  assert.match(String(run('duration(args.x) > duration("1s")', { x: '1h'.repeat(100_000) })), /no duration/)
  assert.match(
    String(run('args.l.all(i, timestamp(i) > timestamp(0))', { l: Array.from({ length: 10_000 }, () => 1) })),
    /costs more than/,
  )
})

test('prototype members are never reachable', () => {
  const args = JSON.parse('{"o":{},"l":[],"s":"x"}')
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    for (const holder of ['args', 'args.o']) {
      assert.equal(run(`has(${holder}.${name})`, args), false, `${holder}.${name}`)
      assert.equal(run(`${holder}["${name}"] == null`, args), `EvaluationFault: no member \`${name}\``)
    }
    assert.equal(run(`"${name}" in args.o`, args), false)
    assert.match(String(run(`args.s.${name} == null`, args)), /^EvaluationFault: string has no member/)
    assert.match(String(run(`args.l.${name} == null`, args)), /^EvaluationFault: list has no member/)
    assert.match(String(run(`url.${name} == null`)), /^ConditionError: unknown member/)
    assert.match(String(run(`${name} == null`)), /^ConditionError/)
  }
  assert.match(String(run('args.s.toString() == "x"', args)), /^ConditionError: unknown function/)
})

test('an own member named `__proto__` is data', () => {
  assert.equal(run('args["__proto__"] == 1', JSON.parse('{"__proto__":1}')), true)
})

test('`matches` runs in linear time and takes only literal patterns that RE2 has', () => {
  assert.equal(run('args.s.matches("(a+)+$")', { s: `${'a'.repeat(5_000)}!` }), false)
  assert.equal(run('args.s.matches("(a+)+$")', { s: 'aaa' }), true)
  assert.match(String(run('args.s.matches(args.p)', { s: '', p: '' })), /pattern of `matches` is computed/)
  assert.match(String(run('args.s.matches("(?=a)")')), /^ConditionError: pattern is refused/)
  assert.match(String(run('args.s.matches("(a)\\\\1")')), /^ConditionError: pattern is refused/)
  assert.match(String(run('args.s.matches("a")', { s: 'b'.repeat(300_000) })), /costs more than/)
  assert.equal(run('args.s.matches("a")', { s: 'b'.repeat(100_000) }), false)
  // 3 us a character on this engine: a long program is paid for by the character.
  const repeats = 'args.s.matches("([a-z]{1,50}[0-9]){3}")'
  assert.match(String(run(repeats, { s: 'b'.repeat(100_000) })), /costs more than/)
  assert.equal(run(repeats, { s: 'b'.repeat(1_000) }), false)
})

test('what a condition may cost is bounded at load', () => {
  assert.match(
    String(run('args.a.all(x, args.b.all(y, args.c.all(z, true)))')),
    /loops are nested deeper than 2/,
  )
  assert.equal(run('args.a.all(x, args.a.all(y, true))', { a: [1] }), true)
  assert.match(String(run(`${'1 == 1 && '.repeat(400)}true`)), /^ConditionError: exceeded maxAstNodes/)
  assert.match(String(run(`${'('.repeat(100)}true${')'.repeat(100)}`)), /^ConditionError/)
  assert.match(String(run(`${'!'.repeat(8_000)}true`)), /^ConditionError/)
  assert.match(String(run('args.a.exists(args, true)')), /hides another name/)
  assert.match(String(run('args.a.exists(x, args.a.exists(x, true))')), /hides another name/)
})

test('a loop absorbs errors of elements but never the end of its budget', () => {
  const text = 'x'.repeat(400_000)
  assert.match(
    String(run('args.l.exists(i, i.matches("y")) || true', { l: [text, text] })),
    /costs more than/,
  )
  assert.match(
    String(run('args.l.exists(i, i.foo == 1)', { l: Array.from({ length: 50_000 }, () => 1) })),
    /costs more than/,
  )
})
