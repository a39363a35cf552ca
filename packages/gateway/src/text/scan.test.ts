import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { corpusRows } from '../testing/corpora.ts'
import { verifies } from '../testing/verifies.ts'
import { scanText } from './scan.ts'

/** What is found in a text: class and the text of it. */
const found = (text: string): string[] =>
  scanText(text).map(({ class: name, start, end }) => `${name} ${text.slice(start, end)}`)

test('each kind is found with exactly its signs, and its near miss is not', () => {
  verifies('play3.redaction.detect')
  for (const [text, expected] of [
    ['mail ada@example.com, please', ['email ada@example.com']],
    ['<ada.l+x@mail.example.co.uk>', ['email ada.l+x@mail.example.co.uk']],
    ['müller@bücher.example', ['email müller@bücher.example']],
    ['ada@localhost and @ada and a@b', []],
    ['ada..b@example.com', []],
    ['card 4012888888881881.', ['credit_card 4012888888881881']],
    [
      '4012-8888-8888-1881 4012 8888 8888 1881',
      ['credit_card 4012-8888-8888-1881', 'credit_card 4012 8888 8888 1881'],
    ],
    ['card 4012888888881882', []],
    ['canary-a50368656218328af2e710e5', []],
    ['id 9f4012888888881881cafe', []],
    ['id 641f17f7df4012888888881881, 4012888888881881df641f17f7', []],
    ['deadbeef4012888888881881', ['credit_card 4012888888881881']],
    ['641f17f7df4012888888881881x', ['credit_card 4012888888881881']],
    ['cc4012888888881881x', ['credit_card 4012888888881881']],
    ['a4012888888881881b', ['credit_card 4012888888881881']],
    ['order 4000000000000000000000001', []],
    ['IBAN DE89 3704 0044 0532 0130 00 today', ['iban DE89 3704 0044 0532 0130 00']],
    ['GB82WEST12345698765432', ['iban GB82WEST12345698765432']],
    ['GB82-WEST-1234-5698-7654-32', ['iban GB82-WEST-1234-5698-7654-32']],
    ['GB83WEST12345698765432', []],
    ['ssn 123-45-6789', ['ssn 123-45-6789']],
    ['ssn 000-45-6789, 123-00-6789, 923-45-6789', []],
    ['part 123-45-67890', []],
    ['from 192.168.0.1:80 to 10.0.0.256', ['ip_address 192.168.0.1']],
    ['version 1.2.3.4 and v1.2.3.4 and 1.2.3.4.5', []],
    ['[2001:db8::1]:8080, ::1 and std::cout', ['ip_address 2001:db8::1', 'ip_address ::1']],
    [
      '10.0.0.0/8, 10.0.0.0/33 and fe80::/10.',
      ['ip_address 10.0.0.0/8', 'ip_address 10.0.0.0', 'ip_address fe80::/10'],
    ],
    ['at 12:30:45 or 12:30', []],
    [
      '00:1A:2B:3C:4D:5E AA-BB-CC-DD-EE-FF 0012.3456.789a ab1b.ccdd.eeff face.book.page',
      [
        'mac_address 00:1A:2B:3C:4D:5E',
        'mac_address AA-BB-CC-DD-EE-FF',
        'mac_address 0012.3456.789a',
        'mac_address ab1b.ccdd.eeff',
      ],
    ],
    ['call +41 (0)71 526 99 04 now', ['phone +41 (0)71 526 99 04']],
    ['(415) 555-0132 or 415-555-0132x77', ['phone (415) 555-0132', 'phone 415-555-0132x77']],
    ['Fax: 9498777106', ['phone 9498777106']],
    ['order 9498777106', []],
    ['on 2024-06-05, 05.06.2024 and 2024-06-05T09:15:30.500', []],
    ['Tel 2024-06-05', []],
    ['1,234,567.89 and 3.14159265', []],
  ] as const) {
    assert.deepEqual(found(text), expected, text)
  }
})

test('hidden text is found wherever it stands; what scripts and emoji need is not hidden', () => {
  verifies('play3.hidden-text')
  const tags = (text: string): string =>
    Array.from(text, (sign) => String.fromCodePoint(0xe0000 + sign.charCodeAt(0))).join('')
  for (const hidden of [
    tags('ignore'),
    '\u200b',
    '\u202e',
    '\u2066',
    '\u001b[2K',
    '\u0007',
    '\u0000',
    '\ufe01\ufe02',
    '\u{e0100}\u{e0101}',
    '\u2062',
    '\ufeff',
    '\u115f',
    '\u200d\u200d',
    '\u0085',
    '\ufff9',
    `\u{1f3f4}${tags('abcdefghij')}`.slice(2),
  ]) {
    const [one] = scanText(`name${hidden}more`)
    assert.deepEqual(
      [one?.class, one?.start, one?.end],
      ['hidden_text', 4, 4 + hidden.length],
      JSON.stringify(hidden),
    )
  }
  assert.equal(scanText('name\u00ad 1')[0]?.class, 'hidden_text')
  for (const plain of [
    'tabs\tand\r\nlines',
    'naïve café',
    '👨‍👩‍👧‍👦 family',
    '❤️ and ☎︎ and 1️⃣',
    '\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f} flag',
    'می‌خواهم',
    'क्‍ष',
    'עברית\u200e abc',
    '漢字と仮名',
    '\ufeffbeginning',
    'Straßen\u00adbahn',
  ]) {
    assert.deepEqual(
      scanText(plain).filter(({ class: name }) => name === 'hidden_text'),
      [],
      plain,
    )
  }
})

/** Recall and precision of a class over the spans of a corpus. */
function score(rows: readonly Record<string, unknown>[], type: string, name: string) {
  let [wanted, hit, told, right] = [0, 0, 0, 0]
  for (const row of rows) {
    const text = String(row['text'])
    const spans = (row['spans'] as { type: string; start: number; end: number }[]).filter(
      (span) => span.type === type,
    )
    const findings = scanText(text).filter((finding) => finding.class === name)
    wanted += spans.length
    hit += spans.filter((span) =>
      findings.some(({ start, end }) => start <= span.start && end >= span.end),
    ).length
    told += findings.length
    right += findings.filter(({ start, end }) =>
      spans.some((span) => start < span.end && end > span.start),
    ).length
  }
  return {
    wanted,
    recall: hit / wanted,
    precision: right / told,
    text: `${type} recall ${hit}/${wanted} precision ${right}/${told}`,
  }
}

test('the corpus: spans are found whole, and little else', (t) => {
  verifies('play3.redaction.detect')
  const rows = corpusRows(t, 'pii/presidio-synth-v2.jsonl')
  if (rows === undefined) return
  for (const [type, name, recall, precision] of [
    ['EMAIL_ADDRESS', 'email', 0.99, 0.98],
    ['CREDIT_CARD', 'credit_card', 0.99, 0.98],
    ['IBAN_CODE', 'iban', 0.99, 0.98],
    ['PHONE_NUMBER', 'phone', 0.9, 0.98],
  ] as const) {
    const found = score(rows, type, name)
    t.diagnostic(found.text)
    assert.ok(found.wanted > 0 && found.recall >= recall && found.precision >= precision, found.text)
  }
})

test('no text makes the scan throw, and what it finds lies in the text, in order, and nothing over another', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '4012888888881881',
      '123-45-6789',
      'AB123456C',
      '756.9217.0769.85',
      '131052-308T',
      'born ',
      'passport no. ',
      '1990-05-03',
      'DE89',
      '@',
      'a.b',
      '::',
      ':',
      '1.2.3.4',
      '+1 ',
      '(',
      ')',
      ' x',
      '\u200d',
      '\ud83d',
      '-',
      '00',
    ),
    fc.string({ unit: 'binary', maxLength: 6 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (parts) => {
      const text = parts.join('')
      let last = 0
      for (const { start, end } of scanText(text)) {
        assert.ok(start >= last && end > start && end <= text.length)
        last = end
      }
    }),
    { numRuns: 2_000 },
  )
})

test('eight times the text costs less than 32 times as much, whatever it repeats', () => {
  for (const unit of [
    'a',
    '1',
    '1 ',
    '@',
    'a@',
    ':',
    '1:',
    'a-',
    '\u200b',
    '1.1.',
    '(1) ',
    'DE89 ',
    '٠',
    '1234-',
  ]) {
    const cost = (length: number): number => {
      const text = unit.repeat(Math.ceil(length / unit.length))
      const started = process.cpuUsage()
      scanText(text)
      const { user, system } = process.cpuUsage(started)
      return user + system
    }
    cost(20_000)
    const [short, long] = [Math.max(cost(60_000), 200), cost(480_000)]
    assert.ok(long < short * 32, `${JSON.stringify(unit)}: ${short} us, then ${long} us`)
  }
})
