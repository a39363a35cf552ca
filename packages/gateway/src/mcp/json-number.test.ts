import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { isExactNumber } from './json-number.ts'

const seed = Number(process.env['FC_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

function isExact(literal: string): boolean {
  return isExactNumber(Buffer.from(`[${literal}]`), 1, literal.length + 1)
}

/** The oracle: both decimals as fractions of big integers, compared by cross multiplication. */
function sameValue(literal: string): boolean {
  const value = Number(literal)
  if (!Number.isFinite(value)) return false
  const [a, b] = fraction(literal)
  const [c, d] = fraction(JSON.stringify(value))
  return a * d === c * b
}

function fraction(text: string): [bigint, bigint] {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e')
  const [whole = '', behind = ''] = mantissa.split('.')
  const power = Number(exponent) - behind.length
  const digits = BigInt(`${whole}${behind}`.replace('-', '')) * (text.startsWith('-') ? -1n : 1n)
  return power < 0 ? [digits, 10n ** BigInt(-power)] : [digits * 10n ** BigInt(power), 1n]
}

test('numbers that come back as another value are inexact', () => {
  const inexact = [
    '12345678901234567890',
    '9007199254740993',
    '-9007199254740993',
    '1e400',
    '-1e400',
    '1e-400',
    '0.1000000000000000055511151231257827',
    '123456789012345678901234567890e-10',
    '3e-324',
    '1.7976931348623159e308',
    `1${'0'.repeat(309)}`,
  ]
  for (const literal of inexact) assert.equal(isExact(literal), false, literal)
})

test('numbers that come back as the same value are exact, however they are spelt', () => {
  const exact = [
    '0',
    '-0',
    '-0.0',
    '0e999999',
    '0.000e-400',
    '1.0',
    '1e2',
    '1E+2',
    '100000e-3',
    '0.1',
    '9007199254740992',
    '9007199254740991',
    '1e21',
    '1000000000000000000000',
    '5e-324',
    '1.7976931348623157e308',
    '0.30000000000000004',
    `0.${'0'.repeat(400)}1e401`,
    `1${'0'.repeat(400)}e-400`,
    `1.5${'0'.repeat(1000)}`,
  ]
  for (const literal of exact) assert.equal(isExact(literal), true, literal)
})

test('exactness agrees with arithmetic of big integers on any literal', () => {
  const digits = fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 1, maxLength: 20 })
  const whole = digits.map((text) => text.replace(/^0+(?=\d)/, ''))
  const exponent = fc.oneof(
    fc.constant(''),
    fc.integer({ min: -345, max: 330 }).map((power) => `e${power}`),
  )
  const spelt = fc
    .tuple(
      fc.constantFrom('', '-'),
      whole,
      fc.oneof(
        fc.constant(''),
        digits.map((d) => `.${d}`),
      ),
      exponent,
    )
    .map((parts) => parts.join(''))
  const printed = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value))
  fc.assert(
    fc.property(fc.oneof(spelt, printed), (literal) => {
      assert.equal(isExact(literal), sameValue(literal))
    }),
    { seed, numRuns: 3_000 },
  )
})
