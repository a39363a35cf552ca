import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'node:test'
import { celEnv, isCelError, parse, plan } from '@bufbuild/cel'
import * as fc from 'fast-check'
import type { JsonObject } from '../../call/json.ts'
import { verifies } from '../../testing/verifies.ts'
import { run } from './testing/fixtures.ts'

const env = celEnv({ variables: {} })

/** The verdict of @bufbuild/cel: a bool, or `error`. */
function oracle(expression: string): boolean | 'error' {
  try {
    const result = plan(env, parse(expression))({})
    return isCelError(result) || typeof result !== 'boolean' ? 'error' : result
  } catch {
    return 'error'
  }
}

/** Ours: a bool, `error` at run time, or `refused` at load, where our types are stricter than the oracle's. */
function ours(expression: string, args: JsonObject = {}): boolean | 'error' | 'refused' {
  const answer = run(expression, args)
  if (typeof answer === 'boolean') return answer
  return answer.startsWith('ConditionError') ? 'refused' : 'error'
}

const int = fc.oneof(fc.integer({ min: -50, max: 50 }), fc.constantFrom(1000, 1001, -7, 0))
const ints = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    int.map((value) => (value < 0 ? `(${value})` : String(value))),
    fc
      .tuple(tie('node'), fc.constantFrom('+', '-', '*', '/', '%'), tie('node'))
      .map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc.constantFrom('size([1, 2, 3])', 'size("añ")', '"abc".size()', 'int("12")', '[4, 5, 6][1]', '[1][2]'),
  ),
})).node
// No text above U+FFFF: @bufbuild/cel 0.6.1 orders by UTF-16 unit, cel-spec by code point (cel.test.ts holds ours to it).
const text = fc.constantFrom('""', '"a"', '"ab"', '"é"', '"\\uffff"', '("a" + "b")', 'string(12)')
const instantFrom = (min: number) =>
  fc
    .tuple(fc.integer({ min, max: 253_402_300_799 }), fc.constantFrom('', '.5', '.000000001'))
    .map(([at, part]) => `timestamp("${new Date(at * 1_000).toISOString().slice(0, 19)}${part}Z")`)
const instant = instantFrom(-62_135_596_800)
// Before the year 100 the getters of @bufbuild/cel 0.6.1 answer for the twentieth century.
const told = instantFrom(Date.parse('0101-01-01T00:00:00Z') / 1_000)
const length = fc
  .tuple(fc.integer({ min: -5_000, max: 5_000 }), fc.constantFrom('h', 'm', 's', 'ms', 'us', 'ns'))
  .map(([n, unit]) => `duration("${n}${unit}")`)
const order = fc.constantFrom('<', '<=', '>', '>=', '==', '!=')
const GETTERS = [
  'getFullYear',
  'getMonth',
  'getDayOfYear',
  'getDayOfMonth',
  'getDate',
  'getDayOfWeek',
  'getHours',
  'getMinutes',
  'getSeconds',
  'getMilliseconds',
]
const ZONES = ['', '"UTC"', '"+05:45"', '"-09:30"', '"Europe/Berlin"', '"America/St_Johns"']
const times = fc.oneof(
  fc
    .tuple(instant, length, order, instant, length)
    .map(([a, b, op, c, d]) => `${a} + ${b} ${op} ${c} - ${d}`),
  fc.tuple(length, length, order, length).map(([a, b, op, c]) => `${a} - ${b} ${op} ${c}`),
  fc.tuple(instant, instant, order, length).map(([a, b, op, c]) => `${a} - ${b} ${op} ${c}`),
  fc
    .tuple(told, fc.constantFrom(...GETTERS), fc.constantFrom(...ZONES), order, int)
    .map(([a, get, zone, op, n]) => `${a}.${get}(${zone}) % 60 ${op} ${n}`),
  fc.tuple(instant, instant).map(([a, b]) => `string(${a}) < string(${b}) && int(${a}) > int(${b})`),
)

const bools = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.constantFrom('true', 'false'),
    fc
      .tuple(ints, fc.constantFrom('<', '<=', '>', '>=', '==', '!='), ints)
      .map(([a, op, b]) => `${a} ${op} ${b}`),
    fc
      .tuple(text, fc.constantFrom('<', '<=', '>', '>=', '==', '!='), text)
      .map(([a, op, b]) => `${a} ${op} ${b}`),
    fc
      .tuple(text, fc.constantFrom('contains', 'startsWith', 'endsWith'), text)
      .map(([a, fn, b]) => `${a}.${fn}(${b})`),
    fc.tuple(ints, ints, ints).map(([a, b, c]) => `${a} in [${b}, ${c}]`),
    fc
      .tuple(fc.constantFrom('all', 'exists', 'exists_one'), fc.constantFrom('<', '==', '>'), ints)
      .map(([fn, op, k]) => `[0, 1, 2, 3].${fn}(i, 6 / i ${op} ${k})`),
    fc.tuple(ints, ints).map(([a, b]) => `[1, 2, 3].filter(i, i > ${a}) == [1, 2, 3].map(i, i - ${b})`),
    fc
      .tuple(tie('node'), fc.constantFrom('&&', '||', '==', '!='), tie('node'))
      .map(([a, op, b]) => `(${a}) ${op} (${b})`),
    tie('node').map((a) => `!(${a})`),
    fc.tuple(tie('node'), tie('node'), tie('node')).map(([a, b, c]) => `((${a}) ? (${b}) : (${c}))`),
  ),
})).node

test('random expressions over literals have the verdict of @bufbuild/cel, errors included', (t) => {
  let compared = 0
  fc.assert(
    fc.property(bools, (expression) => {
      const mine = ours(expression)
      // Only nodes and depth are refused here; the grammar makes no type error.
      if (mine === 'refused') return
      compared++
      assert.equal(mine, oracle(expression), expression)
    }),
    { numRuns: 1_500 },
  )
  t.diagnostic(`${compared} of 1500 compared`)
  assert.ok(compared > 1_400)
})

test('random times have the verdict of @bufbuild/cel, ends of their ranges included', (t) => {
  verifies('play3.cel-corpus.timestamps')
  const apart: string[] = []
  fc.assert(
    fc.property(times, (expression) => {
      const mine = ours(expression)
      const theirs = oracle(expression)
      if (mine !== theirs) apart.push(`${expression}: ${mine}, not ${theirs}`)
    }),
    { numRuns: 3_000 },
  )
  for (const line of apart.slice(0, 12)) t.diagnostic(line)
  assert.deepEqual(apart.length, 0)
})

/** Cases of each file of corpora/cel that a condition can ask: how many come to the right verdict, and why the others are refused. */
const NO_BYTES = 'bytes and unsigned numbers are not part of conditions (JSON has neither)'
const unknown = (counts: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(counts).map(([name, count]) => [`unknown function \`${name}\``, count]))
const CLAIMED: Readonly<Record<string, readonly [right: number, refused: Readonly<Record<string, number>>]>> =
  {
    // Beyond 2^53 - 1 no number of JSON is exact.
    basic: [20, { 'integer is out of range': 1 }],
    integer_math: [33, { 'integer is out of range': 7, [NO_BYTES]: 10 }],
    lists: [14, { ...unknown({ dyn: 18 }), [NO_BYTES]: 2, 'member name is computed': 1 }],
    plumbing: [2, {}],
    // The ten refused for their value are errors in the corpus too: ours are told when the file is loaded.
    timestamps: [
      63,
      {
        'text is no duration': 6,
        'text is no timestamp': 2,
        'timestamp is out of range': 2,
        'unknown fact `google`': 2,
      },
    ],
    // Not claimed.
    math_ext: [
      0,
      unknown({
        ceil: 1,
        floor: 1,
        round: 1,
        trunc: 1,
        abs: 1,
        sign: 1,
        isNaN: 1,
        isInf: 1,
        isFinite: 1,
        bitAnd: 1,
        bitOr: 1,
        bitXor: 1,
        bitNot: 1,
        bitShiftLeft: 2,
        bitShiftRight: 2,
      }),
    ],
    string_ext: [0, unknown({ charAt: 1, indexOf: 1, lastIndexOf: 2, substring: 5 })],
    dynamic: [0, { 'expected RPAREN, got LBRACE': 21 }],
    bindings_ext: [0, {}],
    encoders_ext: [0, {}],
    namespace: [0, {}],
    proto2: [0, {}],
  }

test('corpora/cel: no wrong verdict; what is not part of conditions is refused at load by its name', (t) => {
  verifies('play3.cel-corpus')
  verifies('play3.cel-corpus.timestamps')
  const root =
    process.env['CALLGATE_CORPORA'] ??
    fileURLToPath(new URL('../../../../../../shared/corpora', import.meta.url))
  const folder = join(root, 'cel')
  if (!existsSync(folder)) {
    const reason = 'corpora absent: `cel` not found; set CALLGATE_CORPORA to the folder that holds it'
    if (process.env['CI'] === 'true') throw new Error(reason)
    t.skip(reason)
    return
  }
  const found: Record<string, [number, Record<string, number>]> = {}
  const wrong: string[] = []
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.textproto'))) {
    const [right, refused]: [number[], Record<string, number>] = [[], {}]
    for (const { expression, expected } of casesOf(readFileSync(join(folder, file), 'utf8'))) {
      const asked = `(${expression}) == ${expected === 'error' ? `(${expression})` : expected}`
      const answer = run(asked)
      if (typeof answer === 'string' && answer.startsWith('ConditionError: ')) {
        const why = answer.slice('ConditionError: '.length).replace(/ \(expected[^]*$/, '')
        refused[why] = (refused[why] ?? 0) + 1
      } else if (typeof answer === 'boolean' ? answer && expected !== 'error' : expected === 'error')
        right.push(1)
      else wrong.push(`${file}: ${expression} should be ${expected}, is ${answer}`)
    }
    found[file.replace('.textproto', '')] = [right.length, refused]
  }
  for (const [file, [right, refused]] of Object.entries(found))
    t.diagnostic(`${file}: right ${right}, refused at load ${JSON.stringify(refused)}`)
  assert.deepEqual(wrong, [])
  assert.deepEqual(found, CLAIMED)
})

/** Cases without bindings whose value is a scalar literal or an error: the part that a condition can ask. */
function casesOf(textproto: string): { expression: string; expected: string }[] {
  const cases: { expression: string; expected: string }[] = []
  for (const block of textproto.split(/^ {2}test:? \{/m).slice(1)) {
    if (/bindings|type_env|container|disable_check|check_only/.test(block)) continue
    const quoted = /^ {4}expr: ("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')$/m.exec(block)?.[1]
    if (quoted === undefined) continue
    const expression = quoted.slice(1, -1).replaceAll(/\\(["'\\])/g, '$1')
    if (/eval_error/.test(block)) cases.push({ expression, expected: 'error' })
    const scalar = /^ {4}value:? \{ (?:int64_value|double_value|string_value|bool_value): (.+?) \}$/m.exec(
      block,
    )?.[1]
    if (scalar !== undefined) cases.push({ expression, expected: utf8(scalar) })
  }
  return cases
}

/** Text format writes bytes beyond ASCII as `\xNN`. */
function utf8(scalar: string): string {
  return scalar.replaceAll(/(?:\\x[89a-f][0-9a-f])+/g, (bytes) =>
    Buffer.from(bytes.replaceAll('\\x', ''), 'hex').toString(),
  )
}
