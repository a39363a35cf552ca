import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { translatePattern } from './pattern-syntax.ts'
import { compilePattern } from './pattern.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { createRun } from './run.ts'
import { assertRefused, assertVerdicts } from './schema-testing.ts'

const SEED = Number(process.env['CALLGATE_FUZZ_SEED'] ?? Date.now() % 2 ** 31)

const PIECES = 'a b . \\d \\W \\s [ab] [^a] [\\w-] [a-c\\-] ^ $ \\b \\B \\n 🐲 \\.'.split(' ')

function matches(pattern: string, text: string): boolean {
  return compilePattern(pattern, '', DEFAULT_LIMITS).matches(text, createRun(DEFAULT_LIMITS))
}

test('what the linear engine cannot do is refused by name', () => {
  const refused: Record<string, string> = {
    '(?=a)b': 'pattern.lookahead',
    '^(?!a)': 'pattern.lookahead',
    '(?<=a)b': 'pattern.lookbehind',
    '(?<!a)b': 'pattern.lookbehind',
    '(a)\\1': 'pattern.backreference',
    '(?<x>a)\\k<x>': 'pattern.backreference',
    '(?i:a)': 'pattern.modifier',
    '\\Aabc\\Z': 'pattern.escape',
    '\\07': 'pattern.escape',
    '\\p{Emoji}': 'pattern.property',
    '\\p{Nonsense}': 'pattern.property',
    '(a': 'pattern.syntax',
    'a)': 'pattern.syntax',
    '[a': 'pattern.syntax',
    'a**': 'pattern.syntax',
    'a{2,1}': 'pattern.syntax',
    '[b-a]': 'pattern.syntax',
    '(?:a{100}){100}': 'limit.pattern',
    '(?:a{40}){40}': 'pattern.unsupported',
    [`${'('.repeat(200)}a${')'.repeat(200)}`]: 'pattern.nesting',
    [`^${'a'.repeat(3000)}`]: 'limit.pattern',
  }
  for (const [pattern, construct] of Object.entries(refused)) {
    assertRefused({ pattern }, construct, '/pattern')
    assertRefused({ patternProperties: { [pattern]: true } }, construct)
  }
  assertVerdicts({ pattern: '^(?:a)(?<name>b)\\/$' }, { passes: ['ab/'], fails: ['abb'] })
})

test('ECMA-262 meanings hold where RE2 differs', () => {
  assertVerdicts(
    { pattern: '^\\s$' },
    { passes: ['\ufeff', '\u2029', '\v', '\u3000'], fails: ['\u0085', 'x'] },
  )
  assertVerdicts({ pattern: '^[^\\S]$' }, { passes: ['\u00a0'], fails: ['x'] })
  assertVerdicts({ pattern: '^.$' }, { passes: ['a', '🐲', '\u0085'], fails: ['\n', '\r', '\u2028', 'ab'] })
  assertVerdicts({ pattern: '^a$' }, { passes: ['a'], fails: ['a\n', 'b\na'] })
  assertVerdicts({ pattern: '^\\w\\d$' }, { passes: ['a1'], fails: ['é1', 'a\u07c0'] })
  assertVerdicts(
    { pattern: '^\\cC\\x41\\u0042\\u{43}\\uD83D\\uDC32\\0$' },
    { passes: ['\x03ABC🐲\0'], fails: ['cCABC'] },
  )
  assertVerdicts({ pattern: '^[]$' }, { passes: [], fails: ['', 'a'] })
  assertVerdicts({ pattern: '^[^]$' }, { passes: ['\n', 'a'], fails: [''] })
  assertVerdicts({ pattern: '^[\\b]$' }, { passes: ['\b'], fails: ['b'] })
  assertVerdicts(
    { pattern: '^\\p{Lu}\\p{gc=Nd}\\p{Script=Greek}\\P{L}$' },
    { passes: ['A1α-'], fails: ['a1α-'] },
  )
  // Only valid without the `u` flag, with one meaning all the same.
  assertVerdicts({ pattern: '^[\\w-.]+{$' }, { passes: ['a-.{'], fails: ['a+{'] })
  assertVerdicts({ pattern: '^x\\_\\-y$' }, { passes: ['x_-y'], fails: ['xy'] })
})

test('repeats over 1000 keep their bounds', () => {
  assertVerdicts(
    { pattern: '^a{1500,2500}$' },
    {
      passes: ['a'.repeat(1500), 'a'.repeat(2500)],
      fails: ['a'.repeat(1499), 'a'.repeat(2501)],
    },
  )
  assertVerdicts({ pattern: '^a{1001,}$' }, { passes: ['a'.repeat(1001)], fails: ['a'.repeat(1000)] })
  assertVerdicts({ pattern: '^(ab){0}$' }, { passes: [''], fails: ['ab'] })
})

test('patterns agree with the native engine in unicode mode', (t) => {
  t.diagnostic(`seed ${SEED}`)
  const piece = fc.constantFrom(...PIECES)
  const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
    pattern: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      piece,
      fc.array(tie('pattern'), { maxLength: 4 }).map((parts) => parts.join('')),
      fc.tuple(tie('pattern'), tie('pattern')).map(([left, right]) => `(?:${left}|${right})`),
      fc
        .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '{2}', '{0,2}', '{1,}', '*?', '+?'))
        .map(([inner, times]) => `(${inner})${times}`),
    ),
  }))
  const text = fc.array(fc.constantFrom('a', 'b', 'c', '-', '.', '1', '\n', ' ', '🐲', '_'), { maxLength: 8 })
  fc.assert(
    fc.property(pattern, fc.array(text, { minLength: 8, maxLength: 8 }), (source, texts) => {
      // Anchored, since V8 14 (Node 26.10) denies that /[^a]$/u is found in a single astral character.
      const native = new RegExp(`^[^]*?(?:${source})`, 'u')
      for (const parts of texts)
        assert.equal(matches(source, parts.join('')), native.test(parts.join('')), source)
    }),
    { seed: SEED, numRuns: Number(process.env['CALLGATE_FUZZ_RUNS'] ?? 300) },
  )
})

test('general categories hold what the native engine holds', () => {
  const codes = Array.from({ length: 0x3000 }, (_, code) => String.fromCharCode(code))
  for (const name of ['L', 'Lu', 'Nd', 'P', 'Zs', 'Cc', 'Letter', 'Decimal_Number']) {
    const native = new RegExp(`^\\p{${name}}$`, 'u')
    const ours = compilePattern(`^\\p{${name}}$`, '', DEFAULT_LIMITS)
    const run = createRun({ ...DEFAULT_LIMITS, steps: Infinity })
    const differ = codes.filter((code) => native.test(code) !== ours.matches(code, run))
    // Editions of Unicode differ by a handful of new characters.
    assert.ok(differ.length <= 8, `${name}: ${differ.map((code) => code.charCodeAt(0).toString(16)).join()}`)
  }
})

test('a translation keeps the size of what repeats expand to', () => {
  assert.ok(translatePattern('^a{100}$', 5000).size >= 100)
  assert.ok(translatePattern('^a$', 5000).size < 10)
})
