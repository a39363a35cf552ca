import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../testing/verifies.ts'
import { Unusable } from './install-document.ts'
import { placeOf } from './install-edit.ts'
import { readJson, valueOf } from './install-json.ts'
import { maskJson, readJsonDocument } from './install-json-document.ts'

const PLACES = [['mcpServers'], ['projects', '*', 'mcpServers']]
const GATE = { name: 'callgate', value: { command: 'node', args: ['connect'] } }

function rewrite(text: string, remove: readonly string[], path: readonly string[] = ['mcpServers']): string {
  return readJsonDocument(text, PLACES).rewrite([{ path, remove: new Set(remove), write: [GATE] }])
}

test('a text is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 3 }), fc.constantFrom(undefined, 2, '\t'), (text, indent) => {
      const set = JSON.stringify(JSON.parse(text), null, indent)
      assert.deepEqual(valueOf(readJson(set).root), JSON.parse(set))
    }),
  )
})

test('arbitrary settings around the servers survive byte for byte', (t) => {
  verifies('cli.install')
  const seed = Date.now() % 2 ** 31
  t.diagnostic(`seed ${seed}`)
  const member = fc.tuple(fc.string(), fc.jsonValue({ maxDepth: 3 }))
  const servers = fc.uniqueArray(fc.tuple(fc.string(), fc.boolean(), fc.jsonValue({ maxDepth: 2 })), {
    selector: ([name]) => name,
    maxLength: 6,
  })
  fc.assert(
    fc.property(
      fc.array(member, { maxLength: 4 }),
      servers,
      fc.array(member, { maxLength: 4 }),
      fc.constantFrom(undefined, 2, 4, '\t'),
      fc.constantFrom('\n', '\r\n'),
      (before, entries, after, indent, newline) => {
        const own = (members: readonly (readonly [string, unknown])[]) =>
          members.filter(([key]) => !['mcpServers', 'projects', '__proto__'].includes(key))
        const made = Object.fromEntries([
          ...own(before),
          ['mcpServers', Object.fromEntries(entries.map(([name, , entry]) => [name, entry]))],
          ...own(after),
        ])
        const text = JSON.stringify(made, null, indent).replaceAll('\n', newline)
        const value = JSON.parse(text) as Record<string, object>
        const remove = entries.filter(([, gone]) => gone).map(([name]) => name)
        if (entries.some(([name, gone]) => name === 'callgate' && !gone)) return
        const result = rewrite(text, remove)
        const expected = structuredClone(value)
        const kept = Object.entries(value['mcpServers'] ?? {}).filter(([name]) => !remove.includes(name))
        expected['mcpServers'] = Object.fromEntries([...kept, [GATE.name, GATE.value]])
        assert.deepEqual(JSON.parse(result), expected)
        const { root } = readJson(text)
        assert.equal(root.kind, 'object')
        if (root.kind !== 'object') return
        const place = root.members.find(({ key }) => key === 'mcpServers')
        assert.ok(place !== undefined)
        assert.equal(result.slice(0, place.node.start), text.slice(0, place.node.start))
        assert.ok(result.endsWith(text.slice(place.node.end - 1)))
      },
    ),
    { seed, numRuns: 300 },
  )
})

test('comments and trailing commas stay where they are', () => {
  const text = `{
  // first
  "mcpServers": {
    /* about a */ "a": { "command": "a" }, // behind a
    // about b
    "b": { "command": "b" }, // behind b
    "c": { "command": "c" }, /* behind c */
  },
  "other": [1, /* two */ 2,], // end
}
`
  const result = rewrite(text, ['a', 'c'])
  for (const comment of [
    '// first',
    '/* about a */',
    '// behind a',
    '// about b',
    '// behind b',
    '/* behind c */',
    '/* two */',
    '// end',
  ])
    assert.equal(result.split(comment).length, 2, comment)
  assert.deepEqual(valueOf(readJson(result).root), {
    mcpServers: { callgate: GATE.value, b: { command: 'b' } },
    other: [1, 2],
  })
})

test('servers are entered in every form that a file may have', () => {
  const rows: readonly [string, string][] = [
    ['{}', '{"mcpServers":{"callgate":0}}'],
    ['{"a":1}', '{"a":1,"mcpServers":{"callgate":0}}'],
    ['{"a":1,}', '{"a":1,"mcpServers":{"callgate":0}}'],
    ['{\n  "a": 1 // one\n}', '{"a":1,"mcpServers":{"callgate":0}}'],
    ['{ /* nothing */ }', '{"mcpServers":{"callgate":0}}'],
    ['{"mcpServers":{}}', '{"mcpServers":{"callgate":0}}'],
    ['{"mcpServers":{ // none\n}}', '{"mcpServers":{"callgate":0}}'],
    ['{"mcpServers":{"x":1}}', '{"mcpServers":{"x":1,"callgate":0}}'],
    ['{"mcpServers":{"x":1 /* one */}}', '{"mcpServers":{"x":1,"callgate":0}}'],
    ['{"mcpServers":{\n\t"x": 1, // one\n}}', '{"mcpServers":{"x":1,"callgate":0}}'],
  ]
  for (const [text, expected] of rows) {
    const result = rewrite(text, [])
    const value = JSON.parse(
      JSON.stringify(valueOf(readJson(result).root)).replace(JSON.stringify(GATE.value), '0'),
    )
    assert.deepEqual(value, JSON.parse(expected), text)
  }
})

test('strict JSON stays strict JSON when the last server goes', () => {
  for (const text of [
    '{"mcpServers":{"a":1,"b":2,"c":3}}',
    '{\n  "mcpServers": {\n    "a": 1,\n    "b": 2,\n    "c": 3\n  }\n}\n',
  ])
    for (const remove of [['a'], ['b'], ['c'], ['a', 'b'], ['a', 'c'], ['b', 'c'], ['a', 'b', 'c']]) {
      const document = readJsonDocument(text, PLACES)
      const change = { path: ['mcpServers'], remove: new Set(remove) }
      const left = Object.fromEntries(
        Object.entries({ a: 1, b: 2, c: 3 }).filter(([key]) => !remove.includes(key)),
      )
      assert.deepEqual(JSON.parse(document.rewrite([{ ...change, write: [] }])), { mcpServers: left })
      assert.deepEqual(JSON.parse(document.rewrite([{ ...change, write: [GATE] }])), {
        mcpServers: { ...left, callgate: GATE.value },
      })
    }
})

test('a broken file is told with line and column, and a sound neighbour is read', () => {
  verifies('cli.install')
  const rows: readonly [string, string, RegExp][] = [
    ['{\n  "mcpServers": {\n    "a": }\n}', '3:10', /expected a value/],
    ['{\n  "a": 1\n  "b": 2\n}', '3:3', /`,` or `}`/],
    ['{ "a": 1', '1:9', /the end/],
    ['{ "a": 1 } x', '1:12', /end of the file/],
    ['{ "a": "x\ny" }', '1:10', /line end/],
    ['{ "a": "x', '1:8', /without an end/],
    ['{ "a": "\\q" }', '1:8', /escape/],
    ["{ 'a': 1 }", '1:3', /double quotes/],
    ['{ "a": 01 }', '1:9', /`,` or `}`/],
    ['{ /* a }', '1:3', /comment/],
    ['[]', '1:1', /not an object/],
    ['{ "mcpServers": [] }', '1:17', /not an object/],
    ['{ "mcpServers": { "a": 1, "a": 2 } }', '1:27', /twice/],
    ['{ "mcpServers": {}, "mcpServers": {} }', '1:21', /twice/],
    [`${'['.repeat(300)}${']'.repeat(300)}`, '1:202', /deep/],
  ]
  for (const [text, place, message] of rows)
    assert.throws(
      () => readJsonDocument(text, PLACES),
      (error) => {
        assert.ok(error instanceof Unusable, String(error))
        const { line, column } = placeOf(text, error.offset ?? 0)
        assert.equal(`${line}:${column}`, place, text.slice(0, 60))
        assert.match(error.message, message)
        return true
      },
    )
  assert.equal(
    readJsonDocument('{ "mcpServers": { "a": { "a": 1 } }, "b": 1, "b": 2 }', PLACES).places.length,
    1,
  )
})

test('noise is never taken for a file, and never ends the process', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]":,/*\n\\ 1atrue') }), (text) => {
      let value: unknown
      try {
        value = valueOf(readJson(text).root)
      } catch (error) {
        assert.ok(error instanceof Unusable, String(error))
        assert.throws(() => void JSON.parse(text), 'what JSON.parse reads is read')
        return
      }
      assert.notEqual(value, undefined)
    }),
    { numRuns: 2000 },
  )
})

test('a string of megabytes is read', () => {
  const text = JSON.stringify({ history: 'x\\"'.repeat(2_000_000), mcpServers: {} })
  assert.equal(JSON.parse(rewrite(text, [])).history.length, 6_000_000)
})

test('a masked text has the same lines and none of the values', () => {
  const text =
    '{\n  "a": "SECRET", // SECRET\n  /* SECRET\n SECRET */ "b": [12345, true],\n  "c": "shown"\n}\n'
  const masked = maskJson(text, (path, value) => (path[0] === 'c' ? value : undefined))
  assert.doesNotMatch(masked, /SECRET|12345/)
  assert.match(masked, /"c": "shown"/)
  assert.equal(masked.split('\n').length, text.split('\n').length)
})
