import assert from 'node:assert/strict'
import { test } from 'node:test'
import { corpusRows } from '../../testing/corpora.ts'
import { verifies } from '../../testing/verifies.ts'
import { scanText } from '../scan.ts'

const found = (text: string): string[] =>
  scanText(text).map(({ class: name, start, end }) => `${name} ${text.slice(start, end)}`)

/** Numbers that the states or the papers on their check digits give as samples. */
const SAMPLES: readonly (readonly [country: string, word: string, number: string])[] = [
  ['ch', '', '756.9217.0769.85'],
  ['br', '', '529.982.247-25'],
  ['br', '', '11.222.333/0001-81'],
  ['be', '', '85.07.30-033.28'],
  ['us', '', '912-70-1234'],
  ['kr', '', '900101-1234567'],
  ['se', '', '811228-9874'],
  ['fr', '', '2 55 08 14 168 025 38'],
  ['fr', '', '255081416802538'],
  ['in', '', '2341 2341 2346'],
  ['ca', 'SIN', '046 454 286'],
  ['au', 'tax file number', '123 456 782'],
  ['uk', 'NHS number', '943 476 5919'],
  ['pl', 'PESEL', '44051401359'],
  ['de', 'Steuer-ID', '65929970489'],
  ['nl', 'BSN', '111222333'],
  ['tr', 'T.C. kimlik', '10000000146'],
  ['za', 'ID number', '8001015009087'],
  ['uk', '', 'AB123456C'],
  ['es', '', '12345678Z'],
  ['es', '', 'X1234567L'],
  ['in', '', 'ABCPE1234F'],
  ['sg', '', 'S1234567D'],
  ['it', '', 'RSSMRA85T10A562S'],
  ['fi', '', '131052-308T'],
]

test('national numbers are found whole by form and check digit, and with another digit or without their word they are not', () => {
  verifies('play3.redaction.detect')
  for (const [country, word, number] of SAMPLES) {
    for (const text of [`${word} ${number}`, `${word}: ${number}, please`, `(${word} ${number})`])
      assert.deepEqual(found(text), [`national_id.${country} ${number}`], text)
    const isNational = (text: string): boolean => found(text).some((each) => each.startsWith('national_id'))
    assert.equal(isNational(`${word} x${number}`), false, `a part of a word: ${number}`)
    if (word !== '') assert.equal(isNational(`order ${number}`), false, `no word: ${number}`)
    // Forms without a check digit, or whose last digit is no part of one.
    if (['us', 'kr'].includes(country) || /^(?:AB1|ABC)/.test(number)) continue
    const last = /\d(?=\D*$)/.exec(number)
    assert.ok(last !== null)
    const other =
      number.slice(0, last.index) + String((Number(last[0]) + 1) % 10) + number.slice(last.index + 1)
    assert.equal(isNational(`${word} ${other}`), false, `another digit: ${other}`)
  }
})

test('passports and days of birth are found where a word announces them, and nowhere else', () => {
  verifies('play3.redaction.detect')
  for (const [text, expected] of [
    ['passport number: C01X00T47', []],
    ['passport no. 912803456', ['passport 912803456']],
    ['Passport: AB1234567', ['passport AB1234567']],
    ['Reisepass 12345678', ['passport 12345678']],
    ['order no. 912803456', []],
    ['born 1990-05-03', ['date_of_birth 1990-05-03']],
    ['DOB: 03/05/1990.', ['date_of_birth 03/05/1990']],
    ['geb. 3.5.1990', ['date_of_birth 3.5.1990']],
    ['born on 3 May 1990', ['date_of_birth 3 May 1990']],
    ['date of birth 1990-13-03', []],
    ['released 1990-05-03', []],
    ['born in 1990', []],
  ] as const)
    assert.deepEqual(found(text), expected, text)
})

test('texts that hold none are left alone', (t) => {
  verifies('play3.redaction.detect')
  let texts = 0
  let wrong = 0
  for (const file of [
    'pii/presidio-synth-v2.jsonl',
    'prompt-injection/mcp-tool-definitions-benign.jsonl',
    'prompt-injection/bipia-contexts-benign.jsonl',
  ]) {
    const rows = corpusRows(t, file)
    if (rows === undefined) return
    for (const row of rows) {
      texts++
      // Of the synthetic texts some do say when somebody was born.
      if (
        found(String(row['text'] ?? JSON.stringify(row))).some((each) =>
          /^(?:national_id|passport)/.test(each),
        )
      )
        wrong++
    }
  }
  t.diagnostic(`${wrong} of ${texts} texts`)
  assert.ok(texts > 1_000 && wrong <= texts / 500)
})
