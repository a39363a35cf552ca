import assert from 'node:assert/strict'
import test from 'node:test'
import { compileGlob } from './glob.ts'

test('a glob matches whole names: `*` any run, `?` one character, all else itself', () => {
  const table: [string, string, boolean][] = [
    ['a.b', 'a.b', true],
    ['a.b', 'axb', false],
    ['a.*', 'a.', true],
    ['a.*', 'ab', false],
    ['*.b', 'a.x.b', true],
    ['a*c*e', 'abcde', true],
    ['a*c*e', 'abced', false],
    ['?', '', false],
    ['?', 'x', true],
    ['a.?*', 'a.', false],
    ['**', '', true],
    ['[a]', 'a', false],
    ['.*', 'abc', false],
    ['A', 'a', false],
  ]
  for (const [pattern, name, expected] of table)
    assert.equal(compileGlob([pattern]).test(name), expected, `${pattern} on ${name}`)
  assert.equal(compileGlob(['x', 'a.*']).test('a.b'), true)
})

test('a glob of many stars does not go back further than the last', () => {
  assert.equal(compileGlob(['*a'.repeat(100)]).test(`${'a'.repeat(2_000)}b`), false)
})
