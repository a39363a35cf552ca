import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { translatePattern } from './pattern-syntax.ts'
import { compileSchema, SchemaRefused } from './compile.ts'
import { compilePattern, type Pattern } from './pattern.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { createRun } from './run.ts'
import { GENERATED } from './testing/generator-patterns.ts'
import { assertRefused, assertVerdicts } from './testing/verdicts.ts'

const SEED = Number(process.env['CALLGATE_FUZZ_SEED'] ?? Date.now() % 2 ** 31)

const PIECES = 'a b . \\d \\W \\s [ab] [^a] [\\w-] [a-c\\-] ^ $ \\b \\B \\n 🐲 \\.'.split(' ')

function matches(pattern: string, text: string): boolean {
  return compilePattern(pattern, '', DEFAULT_LIMITS).matches(text, createRun(DEFAULT_LIMITS))
}

/** With the `u` flag, as JSON Schema asks; without where the pattern is only valid so. */
function nativeOf(pattern: string): RegExp {
  try {
    return new RegExp(pattern, 'u')
  } catch {
    return new RegExp(pattern)
  }
}

function compiles(pattern: string): boolean {
  try {
    compilePattern(pattern, '', DEFAULT_LIMITS)
    return true
  } catch (error) {
    if (error instanceof SchemaRefused) return false
    throw error
  }
}

test('what the linear engine cannot do is refused by name', () => {
  const refused: Record<string, string> = {
    '(?=a)b': 'pattern.lookahead',
    '(?!a)^b': 'pattern.lookahead',
    '^a*(?=b)c': 'pattern.lookahead',
    '^(?:a|bc)(?!d)e': 'pattern.lookahead',
    '^(?:(?!a)b)+$': 'pattern.lookahead',
    '^((?!a).)*$': 'pattern.lookahead',
    '^(?!a(?=b))c': 'pattern.lookahead',
    '^(?!a)*b': 'pattern.lookahead',
    '^(?=a){0}b': 'pattern.lookahead',
    'a(?!bc)': 'pattern.lookahead',
    'a(?=b)(?=c)': 'pattern.lookahead',
    '^(?!a(?<!b))c': 'pattern.lookbehind',
    '^(?!(a)\\1)b': 'pattern.backreference',
    '^(?!a': 'pattern.syntax',
    '(?<=a)b': 'pattern.lookbehind',
    '(?<!a)b': 'pattern.lookbehind',
    '(a)\\1': 'pattern.backreference',
    '(?<x>a)\\k<x>': 'pattern.backreference',
    '(?i:a)': 'pattern.modifier',
    '\\Aabc\\Z': 'pattern.escape',
    '\\07': 'pattern.escape',
    '\\p{Alphabetic}': 'pattern.property',
    '\\p{Nonsense}': 'pattern.property',
    '(a': 'pattern.syntax',
    'a)': 'pattern.syntax',
    '[a': 'pattern.syntax',
    'a**': 'pattern.syntax',
    'a{2,1}': 'pattern.syntax',
    '[b-a]': 'pattern.syntax',
    '(?:a{100}){100}': 'limit.pattern',
    '^a{3000}(?!b)': 'limit.pattern',
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

test('a lookahead at a certain place is a search of its own', () => {
  assertVerdicts(
    { pattern: '^(?=.*\\d)(?=.*[A-Z])(?!.*\\s).{4,}$' },
    { passes: ['aB3d', '9Zzzz'], fails: ['aB3', 'abc3', 'aBcd', 'aB 3d'] },
  )
  assertVerdicts(
    { pattern: '^[A-Z]{2}(?!00|99)\\d{2}$' },
    { passes: ['AB01'], fails: ['AB00', 'AB99', 'A001'] },
  )
  assertVerdicts({ pattern: '^🐲(?!🐲).' }, { passes: ['🐲a'], fails: ['🐲🐲', '🐲', 'a🐲a'] })
  assertVerdicts({ pattern: '^P(?!$)\\d*$' }, { passes: ['P1'], fails: ['P', 'P-'] })
  assertVerdicts({ pattern: '^(?!a)b?c?$|^(?=x)..$' }, { passes: ['', 'bc', 'xa'], fails: ['a', 'ax', 'x'] })
})

test('a lookahead that ends an alternative is the text behind it', () => {
  assertVerdicts({ pattern: 'a+(?=bc)' }, { passes: ['aabc'], fails: ['aab', 'bc'] })
  assertVerdicts({ pattern: '\\d{3}(?!\\d)' }, { passes: ['123', 'a1234'], fails: ['12', '1'] })
  assertVerdicts({ pattern: '[ab]*c(?![^d])' }, { passes: ['c', 'abcd'], fails: ['ce', 'ab'] })
  assertVerdicts({ pattern: 'a*b(?!$)|x(?!y)' }, { passes: ['bc', 'x', 'xx'], fails: ['aab', 'xy'] })
})

test('searches for lookaheads pay like the pattern itself', () => {
  assert.ok(translatePattern('^(?!.{500})(?=.{300})a', 5000).size >= 800)
  assert.ok(translatePattern('^a{100}(?!b)c', 5000).size >= 200)
  const compiled = compileSchema({ pattern: '^(?!(?:a|b)*a(?:a|b){900}[^b]$)[ab]*$' })
  assert.equal(compiled.validate('ab'.repeat(50_000))?.keyword, 'budget')
  assert.equal(compiled.validate('ab'.repeat(50)), null)
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

test('patterns with lookaheads agree with the native engine, or are refused by name', (t) => {
  t.diagnostic(`seed ${SEED}`)
  const piece = fc.constantFrom(...PIECES)
  const few = fc.array(piece, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(''))
  const counted = fc.constantFrom('*', '+', '?', '{2}', '{0,2}', '{1,}', '')
  const group = fc.oneof(
    few,
    fc.tuple(few, few, counted).map(([left, right, times]) => `(?:${left}|${right})${times}`),
    fc.tuple(few, counted).map(([inner, times]) => `(?:${inner})${times}`),
  )
  const look = fc.tuple(fc.constantFrom('?=', '?!'), group).map(([sign, body]) => `(${sign}${body})`)
  const branch = fc
    .tuple(
      fc.constantFrom('^', '^', '^', ''),
      fc.array(fc.oneof(look, group), { maxLength: 4 }),
      fc.constantFrom('', '$'),
    )
    .map(([start, parts, end]) => start + parts.join('') + end)
  const pattern = fc.array(branch, { minLength: 1, maxLength: 2 }).map((branches) => branches.join('|'))
  const text = fc.array(fc.constantFrom('a', 'b', 'c', '-', '.', '1', '\n', ' ', '🐲', '_'), { maxLength: 6 })
  const counts = { refused: 0, matched: 0, missed: 0 }
  const runs = Number(process.env['CALLGATE_FUZZ_RUNS'] ?? 800)
  fc.assert(
    fc.property(pattern, fc.array(text, { minLength: 8, maxLength: 8 }), (source, texts) => {
      if (!/\(\?[=!]/.test(source)) return
      let ours: Pattern
      try {
        ours = compilePattern(source, '', DEFAULT_LIMITS)
      } catch (error) {
        assert.ok(error instanceof SchemaRefused && error.construct === 'pattern.lookahead', String(error))
        counts.refused += 1
        return
      }
      const native = new RegExp(`^[^]*?(?:${source})`, 'u')
      for (const parts of texts) {
        const expected = native.test(parts.join(''))
        counts[expected ? 'matched' : 'missed'] += 1
        assert.equal(
          ours.matches(parts.join(''), createRun(DEFAULT_LIMITS)),
          expected,
          `${source} on ${JSON.stringify(parts.join(''))}`,
        )
      }
    }),
    { seed: SEED, numRuns: runs },
  )
  t.diagnostic(JSON.stringify(counts))
  for (const [fact, count] of Object.entries(counts)) assert.ok(count > runs / 16, `${fact} is rare`)
})

test('patterns that schema generators emit agree with the native engine on samples and their near misses', (t) => {
  t.diagnostic(`seed ${SEED}`)
  const refused: string[] = []
  for (const { from, pattern, samples } of GENERATED) {
    if (!compiles(pattern)) {
      refused.push(from)
      continue
    }
    const native = nativeOf(pattern)
    assert.ok(
      samples.some((sample) => native.test(sample)),
      `${from}: no sample passes`,
    )
    const near = fc
      .tuple(fc.constantFrom(...samples), fc.nat(), fc.nat({ max: 2 }), fc.constantFrom(...'.@-0aZ:/T=W5😀'))
      .map(([sample, at, drop, put]) => {
        const points = Array.from(sample)
        points.splice(at % (points.length + 1), drop, put)
        return points.join('')
      })
    const agrees = (text: string): void =>
      assert.equal(matches(pattern, text), native.test(text), `${from} on ${JSON.stringify(text)}`)
    for (const sample of samples) agrees(sample)
    fc.assert(fc.property(near, agrees), { seed: SEED, numRuns: 40 })
  }
  // Lookaheads inside groups and behind optional parts: `^P(?:(\\d+W)|(?!.*W)...(T(?=\\d)...)?)$`.
  assert.deepEqual(refused, ['zod 4.6.7 iso.duration', 'zod 4.6.7 regexes.extendedDuration'])
})

test('emoji properties hold what the native engine holds', () => {
  const run = createRun({ ...DEFAULT_LIMITS, steps: Infinity })
  for (const property of ['\\p{Emoji}', '\\P{Extended_Pictographic}', '\\p{Emoji_Component}']) {
    const ours = compilePattern(`^${property}$`, '', DEFAULT_LIMITS)
    // Anchored, since V8 14 denies that a set ends an astral character.
    const native = new RegExp(`^(?:${property})(?=$)`, 'u')
    for (const base of [0, 0x2000, 0x3200, 0xd700, 0xdf00, 0x1eff0, 0x1f000, 0x1fff0, 0xe0000]) {
      for (let point = base; point < base + 0x400; point++) {
        const text = String.fromCodePoint(point)
        assert.equal(ours.matches(text, run), native.test(text), `${property} on ${point.toString(16)}`)
      }
    }
  }
})

test('no emoji property of the native edition reaches outside the blocks that are looked at', () => {
  const any = /[\p{Emoji}\p{Emoji_Component}\p{Extended_Pictographic}\p{Regional_Indicator}]/u
  for (let base = 0; base <= 0x10ffff; base += 0x100) {
    const inside = base < 0x3300 || base === 0xfe00 || (base >= 0x1f000 && base < 0x20000) || base === 0xe0000
    const text = String.fromCodePoint(...Array.from({ length: 0x100 }, (_, offset) => base + offset))
    if (!inside) assert.equal(any.test(text), false, base.toString(16))
  }
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
