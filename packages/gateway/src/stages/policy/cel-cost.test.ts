import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import type { JsonObject } from '../../call/json.ts'
import { verifies } from '../../testing/verifies.ts'
import { ConditionError } from './cel.ts'
import { compileCondition, type Condition } from './cel-compile.ts'
import { ORDINARY } from './cel-part.ts'
import { EvaluationFault, Frame, MAX_STEPS } from './cel-runtime.ts'
import { factTypes } from './facts.ts'
import { run } from './testing/fixtures.ts'

const NO_BOUND = 1e12

/** Steps that a condition takes on arguments; undefined when it ends by a fault, which has its own price. */
function spent(condition: Condition, args: JsonObject): number | undefined {
  const frame = new Frame({ args, url: null, ctx: {} }, NO_BOUND)
  try {
    condition.test(frame)
    return frame.steps < 0 ? undefined : NO_BOUND - frame.steps
  } catch (error) {
    assert.ok(error instanceof EvaluationFault, String(error))
    return undefined
  }
}

// Conditions of every kind that costs by what it is given; `i` and `j` are variables of loops around.
const texts = (loops: number) =>
  fc.constantFrom(
    'args.s',
    'args.t',
    '"abc"',
    '(args.s + args.t)',
    'string(size(args.l))',
    'string(timestamp(size(args.l)))',
    '(string(1234567890123456) + string(1234567890123456) + string(1234567890123456) + string(1234567890123456))',
    ...(loops > 0 ? ['i'] : []),
    ...(loops > 1 ? ['j', '(i + j)'] : []),
  )
const lists = (loops: number) =>
  fc.constantFrom(
    'args.l',
    'args.m',
    '["a", "bb", "ccc"]',
    '(args.l + args.m)',
    ...(loops < 2
      ? [
          '{"aaaaaaaaaaaaaaaaaaaaaaaa": 1, "b": "c"}.map(k, k)',
          'args.l.map(k, k + args.s)',
          'args.m.filter(k, k != "a")',
        ]
      : []),
  )
const condition = (loops: number): fc.Arbitrary<string> =>
  fc.oneof(
    {
      weight: 2,
      arbitrary: fc
        .tuple(texts(loops), fc.constantFrom('<', '>=', '==', '!='), texts(loops))
        .map(([a, op, b]) => `${a} ${op} ${b}`),
    },
    fc
      .tuple(texts(loops), fc.constantFrom('contains', 'startsWith', 'endsWith'), texts(loops))
      .map(([a, fn, b]) => `${a}.${fn}(${b})`),
    fc
      .tuple(texts(loops), fc.constantFrom('^a+$', '(a|b)*c', '([a-z]{1,30}[0-9]){2}'))
      .map(([a, p]) => `${a}.matches("${p}")`),
    fc.tuple(texts(loops), lists(loops)).map(([a, l]) => `${a} in ${l}`),
    fc.tuple(lists(loops), lists(loops)).map(([a, b]) => `${a} == ${b} || size(${a}) > size(${b})`),
    fc.tuple(texts(loops), fc.integer({ min: 0, max: 9 })).map(([a, n]) => `size(${a}) > ${n}`),
    ...(loops < 2
      ? [
          {
            weight: 4,
            arbitrary: fc
              .tuple(
                lists(loops),
                fc.constantFrom('all', 'exists', 'exists_one'),
                fc.constantFrom('&&', '||'),
                fc.nat(),
              )
              .chain(([l, fn, op, n]) =>
                fc
                  .tuple(condition(loops + 1), condition(loops + 1))
                  .map(
                    ([a, b]) =>
                      `${l}.${fn}(${loops === 0 ? 'i' : 'j'}, ${n % 2 === 0 ? a : `(${a}) ${op} (${b})`})`,
                  ),
              ),
          },
        ]
      : []),
  )

/** Arguments within `ORDINARY`: all of their text in one place, or spread. */
const ordinary = fc
  .record({
    s: fc.nat(2_000),
    l: fc.nat(64),
    m: fc.nat(64),
    letter: fc.constantFrom('a', 'b', 'c'),
    apart: fc.boolean(),
  })
  .map(({ s, l, m, letter, apart }) => {
    const left = ORDINARY.text - s - 64
    const filled = (count: number) =>
      Array.from({ length: count }, (_, i) =>
        letter.repeat(apart ? Math.floor(left / (l + m)) : i === 0 ? Math.floor(left / 2) : 0),
      )
    return { s: letter.repeat(s), t: 'abc'.repeat(20), l: filled(l), m: filled(m) }
  })

test('no condition that loads takes more steps on an ordinary call than were computed from its text', (t) => {
  verifies('play3.cel-cost')
  let [measured, refused, nearest] = [0, 0, 0]
  fc.assert(
    fc.property(condition(0), fc.array(ordinary, { minLength: 4, maxLength: 4 }), (text, calls) => {
      let compiled: Condition
      try {
        compiled = compileCondition(text, factTypes())
      } catch (error) {
        assert.ok(error instanceof ConditionError && error.message.includes('may cost'), String(error))
        refused++
        return
      }
      assert.ok(compiled.steps <= MAX_STEPS)
      for (const args of calls) {
        const steps = spent(compiled, args)
        if (steps === undefined) continue
        measured++
        nearest = Math.max(nearest, steps / compiled.steps)
        assert.ok(steps <= compiled.steps, `${text} takes ${steps}, computed ${compiled.steps}`)
      }
    }),
    { numRuns: 3_000 },
  )
  t.diagnostic(
    `${measured} runs within what was computed, at most ${Math.round(nearest * 100)} % of it; ${refused} conditions refused`,
  )
  assert.ok(measured > 4_000 && refused > 50 && nearest > 0.3)
})

test('a condition that may cost more than a decision may is refused where it does, and its near miss loads', () => {
  verifies('play3.cel-cost')
  for (const [dear, at, near] of [
    ['args.l.exists(i, args.s.matches("^a"))', 0, 'args.l.exists(i, i.matches("^a"))'],
    [
      'args.l.all(i, args.m.all(j, i + "x" + j != "y" && i + j != "z" && j + i != "z"))',
      0,
      'args.l.all(i, args.m.all(j, i != j))',
    ],
    ['args.s.matches("([a-z]{1,90}[0-9]){6}")', 0, 'args.s.matches("([a-z]{1,9}[0-9]){6}")'],
    [
      'true || args.l.exists(i, args.l.map(k, k + args.s).exists(j, j == i))',
      8,
      'args.l.map(k, k + args.s).exists(j, j == args.s)',
    ],
  ] as const) {
    assert.throws(
      () => compileCondition(dear, factTypes()),
      (error) => {
        assert.ok(error instanceof ConditionError)
        assert.match(
          error.message,
          /^this may cost \d+ steps on arguments of up to 128 elements and 4096 characters \(expected at most 200000\)/,
        )
        assert.equal(error.index, at, dear)
        return true
      },
    )
    assert.doesNotMatch(String(run(near, { l: ['b'], m: ['c'], s: 'd' })), /ConditionError/, near)
  }
})

test('a call that is larger than ordinary is bounded by its steps', () => {
  const args = { l: Array.from({ length: 2_000 }, () => 'a'), m: Array.from({ length: 2_000 }, () => 'b') }
  assert.match(String(run('args.l.all(i, args.m.all(j, i != j))', args)), /costs more than 200000 steps/)
})
