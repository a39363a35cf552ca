import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLogLevel, isLogWanted } from './log-level.ts'

test('a message is wanted from the severity on that the request named, and without one none is', () => {
  for (const [level, least, wanted] of [
    ['debug', 'info', false],
    ['info', 'info', true],
    ['emergency', 'info', true],
    ['emergency', undefined, false],
    ['emergency', 'loud', false],
    ['loud', 'debug', false],
    [undefined, 'debug', false],
    [7, 'debug', false],
  ] as const) {
    assert.equal(isLogWanted(level, least), wanted, `${String(level)} for ${String(least)}`)
  }
})

test('a severity is one of eight words, in lower case', () => {
  assert.deepEqual(['debug', 'emergency', 'Debug', 'warn', ''].map(isLogLevel), [
    true,
    true,
    false,
    false,
    false,
  ])
})
