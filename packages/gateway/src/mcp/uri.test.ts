import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../testing/verifies.ts'
import { isNormalUri } from './uri.ts'

test('a URI that a server would resolve to another text is not normal', () => {
  verifies('play3.allow-lists')
  for (const uri of [
    'note://open/./secret',
    'note://open/../secret',
    'note://open/..',
    'note://open/.?x',
    'file:../secret',
    'note://open/%73ecret',
    'note://open/%2e%2E/secret',
    'note://open/%41%5a%61%7A%30%39%2d%5F%7e',
    'pub+note://open/a/../b',
    'NOTE://open/secret',
    'note://open/sec\tret',
    'note://open/sec\nret',
    ' note://open/secret',
    'note://open/secret ',
    'note://open/a\\..\\secret',
    'note://open/\u0000secret',
    'no scheme',
  ])
    assert.equal(isNormalUri(uri), false, uri)
  for (const uri of [
    'note://open/secret',
    'note://open/a..b/..c/d../...',
    'note://open/%20%2F%40%5B%60%7B%c3%a9',
    'file:///srv/.hidden',
    'urn:example:a',
    'note://open/é?q=1#x',
    'data:,x',
    'note://Open/Secret',
    'x-note+1.0://a',
  ])
    assert.equal(isNormalUri(uri), true, uri)
})

test('every encoded unreserved character is found, and no other octet', () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 255 }), fc.boolean(), (octet, upper) => {
      const hex = octet.toString(16).padStart(2, '0')
      const uri = `note://open/a%${upper ? hex.toUpperCase() : hex}b`
      assert.equal(isNormalUri(uri), !/[\w.~-]/.test(String.fromCharCode(octet)), uri)
    }),
    { seed, numRuns: 1_000, verbose: 1 },
  )
})
