import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { globMatcher } from './glob.ts'

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
