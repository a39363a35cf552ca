import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../testing/verifies.ts'
import { type OwnClass, ownDetector, patternProblem, withOwn } from './own.ts'
import { scanText } from './scan.ts'

const own = (change: Partial<OwnClass>): OwnClass => ({
  name: 'a',
  words: [],
  pattern: undefined,
  ignoreCase: true,
  ...change,
})
const found = (classes: readonly OwnClass[], canaries: readonly string[], text: string): string[] =>
  ownDetector(
    classes,
    canaries,
  )(text).map(({ class: name, start, end }) => `${name} ${text.slice(start, end)}`)

test('words and phrases are found whole, in any case where that is wanted', () => {
  verifies('play3.redaction.own-words')
  const words = own({ words: ['Bluebird', 'Red Kestrel', 'Red', '(Müller)'] })
  for (const [text, expected] of [
    ['the BLUEBIRD plan', ['own.a BLUEBIRD']],
    ['bluebirds and blue bird and xbluebird', []],
    ['a red kestrel flew', ['own.a red kestrel']],
    ['red kestrels, red.', ['own.a red', 'own.a red']],
    ['Herr (MÜLLER)!', ['own.a MÜLLER)']],
  ] as const)
    assert.deepEqual(found([words], [], text), expected, text)
  const exact = own({ words: ['Bluebird'], ignoreCase: false })
  assert.deepEqual(found([exact], [], 'bluebird Bluebird'), ['own.a Bluebird'])
})

test('patterns are found in linear time whatever they say, and one that is none is named', () => {
  verifies('play3.redaction.own-words')
  const ticket = own({ name: 'ticket', pattern: 'TICKET-[0-9]{6}' })
  assert.deepEqual(found([ticket], [], '😀 ticket-123456, TICKET-12345'), ['own.ticket ticket-123456'])
  const evil = ownDetector([own({ pattern: '(a+)+$' })], [])
  const began = performance.now()
  evil(`${'a'.repeat(20_000)}!`)
  assert.ok(performance.now() - began < 10_000)
  assert.match(patternProblem('(') ?? '', /./)
  assert.match(patternProblem('a*') ?? '', /empty text/)
  assert.match(patternProblem('(?=a)') ?? '', /./)
  assert.equal(patternProblem('a+'), undefined)
})

test('a canary is found cased, parted, reversed and encoded, and what only begins like it is not', () => {
  verifies('play3.redaction.canary')
  const canary = 'Canary-7731-Ostrich'
  for (const text of [
    `x ${canary} y`,
    'CANARY 7731 ostrich',
    'c.a.n.a.r.y.7.7.3.1.o.s.t.r.i.c.h',
    [...canary].toReversed().join(''),
    Buffer.from(canary).toString('hex'),
    encodeURIComponent(canary),
    [...Buffer.from(canary)].map((byte) => `%${byte.toString(16)}`).join(''),
  ])
    assert.deepEqual(
      ownDetector([], [canary])(text).map(({ class: name }) => name),
      ['canary'],
      text,
    )
  assert.deepEqual(found([], [canary], 'Canary-7731 and an ostrich'), [])
})

test('a dictionary of 100,000 words costs about what one of ten does', () => {
  const words = (count: number): OwnClass =>
    own({ words: Array.from({ length: count }, (_, i) => `word${i} tail`) })
  const text = 'some words stand here, word5 tail among them. '.repeat(2_000)
  const took = (detect: (text: string) => unknown): number => {
    let best = Infinity
    for (let i = 0; i < 5; i++) {
      const began = performance.now()
      detect(text)
      best = Math.min(best, performance.now() - began)
    }
    return best
  }
  const [few, many] = [ownDetector([words(10)], []), ownDetector([words(100_000)], [])]
  assert.equal(few(text).length, 2_000)
  assert.equal(many(text).length, 2_000)
  assert.ok(took(many) < took(few) * 4)
})

test('nothing makes it throw; what it finds lies in the text, in order, and goes before what others find', () => {
  const detect = ownDetector(
    [own({ words: ['ada', '4012888888881881 x'] }), own({ name: 'p', pattern: 'b+' })],
    ['canary99ostrich'],
  )
  const piece = fc.oneof(
    fc.constantFrom(
      'ada',
      'ADA',
      '4012888888881881',
      ' x',
      'bbb',
      'canary99ostrich',
      'İ',
      'ß',
      '\ud83d',
      'a@b.de',
    ),
    fc.string({ unit: 'binary', maxLength: 5 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 15 }), (parts) => {
      const text = parts.join('')
      let last = 0
      for (const { start, end } of withOwn(detect(text), scanText(text))) {
        assert.ok(start >= last && end > start && end <= text.length)
        last = end
      }
    }),
    { numRuns: 2_000 },
  )
})
