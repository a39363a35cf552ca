import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../call/json.ts'
import { verifies } from '../testing/verifies.ts'
import { compareDefinitions, hiddenCharacters } from './drift.ts'

const tool = (change: JsonObject = {}, schema: JsonObject = {}): JsonObject => ({
  name: 'note',
  description: 'Takes a note',
  inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'], ...schema },
  ...change,
})
const TWO = { text: { type: 'string' }, to: { type: 'string' } }

const CASES: readonly (readonly [string, string, JsonObject, JsonObject])[] = [
  ['nothing', 'same', tool(), tool()],
  ['another order of members', 'same', { a: 1, b: 2 }, { b: 2, a: 1 }],
  ['another description', 'compatible', tool(), tool({ description: 'Takes a note.' })],
  [
    'another description of a member',
    'compatible',
    tool(),
    tool({}, { properties: { text: { type: 'string', description: 'new' } } }),
  ],
  ['a new optional member', 'compatible', tool(), tool({}, { properties: TWO })],
  ['a new output schema', 'compatible', tool(), tool({ outputSchema: { type: 'object' } })],
  ['a new required member', 'incompatible', tool(), tool({}, { properties: TWO, required: ['text', 'to'] })],
  [
    'a member of another type',
    'incompatible',
    tool(),
    tool({}, { properties: { text: { type: 'number' } } }),
  ],
  ['a member that is gone', 'incompatible', tool({}, { properties: TWO }), tool()],
  ['a closed schema', 'incompatible', tool(), tool({}, { additionalProperties: false })],
  ['an input schema that is gone', 'incompatible', tool(), { name: 'note', description: 'Takes a note' }],
  ['an input schema that is no object', 'incompatible', tool(), tool({ inputSchema: true })],
  [
    'a new member beside others that were typed by additionalProperties',
    'incompatible',
    tool({}, { additionalProperties: { type: 'string' } }),
    tool(
      {},
      {
        additionalProperties: { type: 'string' },
        properties: { text: { type: 'string' }, to: { type: 'number' } },
      },
    ),
  ],
  [
    'a new member that a branch may have typed',
    'incompatible',
    tool({}, { anyOf: [{ properties: { to: { type: 'string' } } }] }),
    tool(
      {},
      {
        anyOf: [{ properties: { to: { type: 'string' } } }],
        properties: { text: { type: 'string' }, to: { type: 'number' } },
      },
    ),
  ],
  [
    'a new member of a schema that was closed',
    'compatible',
    tool({}, { additionalProperties: false }),
    tool({}, { additionalProperties: false, properties: TWO }),
  ],
  ['a read-only hint that is gone', 'suspicious', tool({ annotations: { readOnlyHint: true } }), tool()],
  [
    'a read-only hint that is a text',
    'suspicious',
    tool({ annotations: { readOnlyHint: true } }),
    tool({ annotations: { readOnlyHint: 'true' } }),
  ],
  [
    'a destructive hint that came',
    'suspicious',
    tool({ annotations: { destructiveHint: false } }),
    tool({ annotations: { destructiveHint: true } }),
  ],
  ['a hint that got stricter', 'compatible', tool(), tool({ annotations: { readOnlyHint: true } })],
  ['hidden characters', 'suspicious', tool(), tool({ description: 'Takes a note\u{200b}' })],
]

for (const [name, kind, approved, seen] of CASES) {
  test(`a change of ${name} is ${kind}`, () => {
    verifies('play8.signed-only.definitions')
    assert.equal(compareDefinitions(approved, seen).kind, kind)
  })
}

test('a change is told by at most 20 places, and a suspicion before an incompatibility', () => {
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`m${i}`, i]))
  const drift = compareDefinitions(tool(), tool(many))
  assert.ok(drift.kind === 'compatible' && drift.changes.length === 20)
  const both = compareDefinitions(tool({ annotations: { readOnlyHint: true } }), tool({}, { required: [] }))
  assert.equal(both.kind, 'suspicious')
})

// SECURITY.md 3.1, threat 2: every code point of the ranges that hide, reorder or smuggle text.
const RANGES: readonly (readonly [number, number])[] = [
  [0x00, 0x08],
  [0x0b, 0x0c],
  [0x0e, 0x1f],
  [0x7f, 0x9f],
  [0xad, 0xad],
  [0x034f, 0x034f],
  [0x061c, 0x061c],
  [0x115f, 0x1160],
  [0x17b4, 0x17b5],
  [0x180b, 0x180f],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x206f],
  [0x2800, 0x2800],
  [0x3164, 0x3164],
  [0xfe00, 0xfe0f],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff0, 0xfffb],
  [0xd800, 0xdfff],
  [0xe000, 0xe0ff],
  [0x1d173, 0x1d17a],
  [0xe0000, 0xe01ef],
]

test('every character that hides is found, in every text field and member name', () => {
  for (const [from, to] of RANGES) {
    for (let code = from; code <= to; code++) {
      const text = `plain${String.fromCodePoint(code)}text`
      assert.equal(hiddenCharacters(text).length, 1, code.toString(16))
    }
  }
  const bad = 'a\u{200b}b'
  for (const definition of [
    { name: bad },
    { title: bad },
    { description: bad },
    { inputSchema: { properties: { [bad]: {} } } },
    { inputSchema: { properties: { a: { enum: [1, [bad]] } } } },
    { annotations: { title: bad } },
    { icons: [{ src: bad }] },
    { _meta: { a: { b: bad } } },
  ]) {
    assert.equal(hiddenCharacters(definition).length, 1, JSON.stringify(definition))
  }
})

test('honest texts hide nothing: line breaks, other scripts, combining marks, emoji', () => {
  for (const text of [
    'line\n\tand\r\nline',
    'Größe ñandú',
    'مرحبا',
    'नमस्ते',
    '中文',
    'cafe\u0301',
    '\u26a0\ufe0f careful',
    '1\ufe0f\u20e3',
    '😀',
  ]) {
    assert.deepEqual(hiddenCharacters(text), [], text)
  }
  assert.equal(hiddenCharacters('\u26a0\ufe0f\ufe0f').length, 1, 'one selector is a shape, two are a message')
})
