import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scanText } from '../../text/scan.ts'
import { authorizedCall } from '../../testing/calls.ts'
import { verifies } from '../../testing/verifies.ts'
import { type DlpRules, createScreener } from './screener.ts'

const call = authorizedCall()

function screenerOn(mode: DlpRules['mode']) {
  return createScreener({
    placeholders: { keep: () => '' },
    rulesFor: () => ({ mode, arguments: () => 'count', results: () => 'count' }),
    scan: scanText,
    exceptions: [],
    now: () => 0,
    hash: () => '',
  })
}

for (const mode of ['observe', 'enforce'] as const) {
  test(`what a rule takes out is seen where a text is cut in two, with dlp on ${mode}`, () => {
    verifies('play3.decisions.redact')
    const screener = screenerOn(mode)
    const of = (inDirection: 'arguments' | 'results' | undefined) =>
      screener.actionsOf(
        inDirection === undefined
          ? call
          : { ...call, redactions: [{ classes: ['email'], in: [inDirection] }] },
        'results',
      )
    assert.equal(screener.crosses('write to ada@exam', 'ple.com now', of('results')), true)
    assert.equal(screener.crosses('write to ada@exam', 'ple.com now', of('arguments')), false)
    assert.equal(screener.crosses('write to ada@exam', 'ple.com now', of(undefined)), false)
    assert.equal(screener.crosses('call +44 20 79', '46 0958 now', of('results')), false, 'another class')
  })
}
