import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { DetectorDown } from '../../ports/detector.ts'
import { verifies } from '../../testing/verifies.ts'
import { JoinedTexts } from './joined.ts'

const span = (start: number, end: number) => ({ class: 'person', start, end, score: 1 })
const texts = fc.uniqueArray(fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }), {
  minLength: 1,
  maxLength: 6,
})

test('code points of the whole are found again in each text, whatever characters stand before', () => {
  verifies('play3.redaction.detector')
  fc.assert(
    fc.property(texts, fc.nat(), fc.nat(), (parts, a, b) => {
      const joined = new JoinedTexts(parts)
      const points = [...joined.text]
      assert.equal(joined.length, points.length)
      const [start, end] = [
        a % points.length,
        (a % points.length) + 1 + (b % (points.length - (a % points.length))),
      ]
      const found = joined.apart([span(start, end)])
      const pieces = parts.flatMap((text) =>
        (found.get(text) ?? []).map((each) => text.toWellFormed().slice(each.start, each.end)),
      )
      // What is left out is a part of a separator.
      const whole = points.slice(start, end).join('')
      const { length } = pieces.join('')
      assert.ok(whole.length - length <= 2 * parts.length)
      assert.ok(pieces.every((piece) => whole.includes(piece)))
      assert.equal(pieces.join('').replaceAll('\n', ''), whole.replaceAll('\n', ''))
    }),
    { numRuns: 3_000 },
  )
})

test('half of a surrogate pair is one code point, and is sent as a character that UTF-8 has', () => {
  verifies('play3.redaction.detector')
  const joined = new JoinedTexts(['\ud83d Ada', '🎉\udc00 Ada'])
  assert.equal(joined.text, '\ufffd Ada\n\n🎉\ufffd Ada')
  const found = joined.apart([span(2, 5), span(10, 13)])
  assert.deepEqual(found.get('\ud83d Ada'), [span(2, 5)])
  assert.deepEqual(found.get('🎉\udc00 Ada'), [span(4, 7)])
})

test('offsets outside of the text, or none at all, are no answer; the last one inside is', () => {
  verifies('play3.redaction.detector')
  const joined = new JoinedTexts(['🎉 Ada'])
  assert.equal(joined.apart([span(2, 5)]).size, 1)
  for (const [start, end] of [
    [2, 6],
    [-1, 2],
    [2, 2],
    [3, 2],
    [0.5, 2],
    [Number.NaN, 2],
    [0, Infinity],
  ] as const)
    assert.throws(() => joined.apart([span(start, end)]), DetectorDown, `${start} ${end}`)
})
