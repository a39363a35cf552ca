import assert from 'node:assert/strict'
import { test } from 'node:test'
import { safeJson, safeText } from './safe-text.ts'

const tricks = ['\u{1b}[2J', '\u{9b}2J', '\u{202e}', '\u{2028}', '\u{7f}', '\u{e0041}', 'a\nb']

test('no text of a stranger moves a cursor or turns a line around, as text or as JSON', () => {
  for (const trick of tricks) {
    assert.match(safeText(trick), /^[\x20-\x7e]+$/)
    const json = safeJson({ [trick]: [trick] })
    assert.match(json, /^[\x20-\x7e]+$/)
    assert.deepEqual(JSON.parse(json), { [trick]: [trick] })
    const indented = safeJson({ [trick]: [trick] }, 2)
    assert.match(indented, /^[\x20-\x7e\n]+$/)
    assert.equal(indented.split('\n').length, 5)
    assert.deepEqual(JSON.parse(indented), { [trick]: [trick] })
  }
})

test('honest text is printed as it is', () => {
  for (const text of ['größe', '\u{4e2d}\u{6587}', '\u{1f600}', 'a "quote" \\ and all']) {
    assert.equal(safeText(text), text)
    assert.equal(safeJson(text), JSON.stringify(text))
  }
})
