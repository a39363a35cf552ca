import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { corpusRows } from '../testing/corpora.ts'
import { scanText } from './scan.ts'

/** Slack of a ratio on a machine that others use too; the proof has none. */
const SLACK = process.env['CALLGATE_PROOF_COST'] === undefined ? 1.25 : 1

/** What the scan of clean text may cost, as a multiple of one look at each byte. */
const MOST_CLEAN = 4
/** What the worst text may cost per unit, as a multiple of the median text. */
const MOST_WORST = 20

const table = new Uint8Array(256)

/** Types are given so that it costs what it says: one look at each byte. */
function byteLoop(bytes: Uint8Array): number {
  let n = 0
  // oxlint-disable-next-line typescript/no-non-null-assertion
  for (let i = 0; i < bytes.length; i++) n += table[bytes[i]!]!
  return n
}

/** Least microseconds of a run: what else the machine does only ever adds. */
function least(runs: readonly (() => unknown)[], rounds: number): number[] {
  const best = runs.map(() => Infinity)
  for (let round = 0; round < rounds; round++) {
    for (const [i, run] of runs.entries()) {
      const began = process.hrtime.bigint()
      run()
      best[i] = Math.min(best[i] ?? 0, Number(process.hrtime.bigint() - began) / 1_000)
    }
  }
  return best
}

test('10 KB of clean text cost at most four times a bare loop over its bytes', (t) => {
  const rows = corpusRows(t, 'prompt-injection/notinject-benign.jsonl')
  if (rows === undefined) return
  const clean = rows
    .map(({ text }) => String(text))
    .filter((text) => scanText(text).length === 0)
    .join('\n')
    .slice(0, 10_240)
  assert.equal(clean.length, 10_240)
  const bytes = Buffer.from(clean)
  const [loop = 0, scan = 0] = least([() => byteLoop(bytes), () => scanText(clean)], 2_000)
  t.diagnostic(`${(scan / loop).toFixed(2)} x (${scan.toFixed(1)} us against ${loop.toFixed(1)} us)`)
  assert.ok(scan <= loop * MOST_CLEAN * SLACK, `${(scan / loop).toFixed(2)} x`)
})

test('no text costs more than twenty times the median per unit', (t) => {
  const rows = corpusRows(t, 'pii/presidio-synth-v2.jsonl')
  if (rows === undefined) return
  const units = [
    'a',
    '1',
    ' ',
    '1 ',
    '@',
    'a@',
    'a@b.c ',
    ':',
    '1:',
    'a-',
    '-',
    '\u200b',
    '\u{e0041}',
    '1.1.',
    '(1) ',
    'DE89 ',
    '٠',
    '1234-',
    '12-',
    '123 ',
    '1234 ',
    '4012 8888 8888 1882 ',
    '123-45-6789 ',
    'GB82 WEST 1234 ',
    '00:',
    'ab-',
    '\u001b[',
    '=',
    'key=',
    'sk_',
    '-----',
    '{"',
    'A1b2C3d4',
    '://',
    'a.b.c.',
    '\ud83d',
    '+1 (',
    '_',
    '/',
    '"a":"b",',
    'eyJ',
    'AKIA',
    'token: ',
    'password=aB3$',
    'AB12',
    '٣',
    '0x',
    '&#x',
    '%41',
    '\\u0041',
  ]
  const filled = (text: string): string => text.repeat(Math.ceil(8_192 / text.length)).slice(0, 8_192)
  const pieces = fc.oneof(
    fc.constantFrom(...units),
    fc.constantFrom(...rows.map(({ text }) => `${String(text)} `)),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }),
  )
  const mixed = fc.sample(fc.array(pieces, { minLength: 1, maxLength: 12 }), { numRuns: 200, seed: 5 })
  const corpus = [...units, ...mixed.map((parts) => parts.join(''))].map(filled)
  const costs = least(
    corpus.map((text) => () => scanText(text)),
    20,
  )
  const median = costs.toSorted((a, b) => a - b)[Math.floor(costs.length / 2)] ?? 0
  const ranked = costs
    .map((cost, i) => ({ ratio: cost / median, unit: units[i] ?? corpus[i]?.slice(0, 40) ?? '' }))
    .toSorted((a, b) => b.ratio - a.ratio)
  t.diagnostic(
    `median ${((median * 1_000) / 8_192).toFixed(1)} ns a unit; worst: ${ranked
      .slice(0, 8)
      .map(({ ratio, unit }) => `${JSON.stringify(unit)} ${ratio.toFixed(1)}`)
      .join(', ')}`,
  )
  for (const { ratio, unit } of ranked)
    assert.ok(ratio <= MOST_WORST * SLACK, `${JSON.stringify(unit)}: ${ratio.toFixed(1)} x`)
})

test('a hundred times the text costs less than three hundred times as much, up to a megabyte', (t) => {
  const rows = corpusRows(t, 'pii/presidio-synth-v2.jsonl')
  if (rows === undefined) return
  const text = rows.map(({ text: one }) => String(one)).join('\n')
  const large = text.repeat(Math.ceil(1_048_576 / text.length)).slice(0, 1_048_576)
  const small = large.slice(0, 10_486)
  const [short = 0, long = 0] = least([() => scanText(small), () => scanText(large)], 15)
  t.diagnostic(`${(long / short).toFixed(0)} x`)
  assert.ok(long <= 300 * short, `${(long / short).toFixed(0)} x`)
})
