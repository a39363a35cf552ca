import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { globMatcher, globReaches } from './glob.ts'

test('a glob matches what a regular expression of the same meaning matches', () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const text = fc.stringMatching(/^[ab.*?]{0,8}$/)
  fc.assert(
    fc.property(text, text, (glob, candidate) => {
      const pattern = [...glob]
        .map((sign) => (sign === '*' ? '.*' : sign === '?' ? '.' : `\\${sign}`))
        .join('')
      const letters = pattern.replaceAll(/\\([ab])/g, '$1')
      assert.equal(globMatcher(glob)(candidate), new RegExp(`^${letters}$`).test(candidate), `seed ${seed}`)
    }),
    { seed, numRuns: 2_000 },
  )
})

test('a glob is matched from end to end, and letter case counts', () => {
  assert.equal(globMatcher('read_*')('read_file'), true)
  assert.equal(globMatcher('read_*')('Read_file'), false)
  assert.equal(globMatcher('read_*')('xread_file'), false)
  assert.equal(globMatcher('read')('read_file'), false)
  assert.equal(globMatcher('*')(''), true)
  assert.equal(globMatcher('?')(''), false)
})

test('stars cost linear steps, not exponential ones', () => {
  assert.equal(globMatcher(`${'*a'.repeat(50)}b`)('a'.repeat(2_000)), false)
})

test('a glob reaches beyond a beginning exactly when some longer text that begins so matches', () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const glob = fc.stringMatching(/^[ab*?]{0,5}$/)
  const beginning = fc.stringMatching(/^[ab]{0,5}$/)
  fc.assert(
    fc.property(glob, beginning, (pattern, begun) => {
      const matches = globMatcher(pattern)
      // What is left of a glob of five signs is matched by some text of at most five letters, if by any.
      const some = texts(5).some((end) => matches(begun + end))
      assert.equal(globReaches(pattern, begun), some, `${pattern} on ${begun}, seed ${seed}`)
    }),
    { seed, numRuns: 300 },
  )
})

/** Every text of one to so many letters `a` and `b`. */
function texts(longest: number): string[] {
  const shorter = longest === 1 ? [''] : ['', ...texts(longest - 1)]
  return [...new Set(shorter.flatMap((text) => [`${text}a`, `${text}b`]))]
}
