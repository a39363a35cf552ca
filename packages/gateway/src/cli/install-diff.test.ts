import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { unifiedDiff } from './install-diff.ts'

/** The text after, from the text before and the diff. */
function patched(before: string, diff: readonly string[]): string {
  const rest = before.split('\n').slice(0, -1)
  const result: string[] = []
  let at = 0
  for (const line of diff) {
    const head = /^@@ -(\d+) /.exec(line)
    if (head !== null) while (at < Number(head[1]) - 1) result.push(rest[at++] ?? '')
    else if (line.startsWith('+')) result.push(line.slice(1))
    else {
      assert.equal(rest[at], line.slice(1))
      if (line.startsWith(' ')) result.push(line.slice(1))
      at++
    }
  }
  return [...result, ...rest.slice(at), ''].join('\n')
}

test('a diff turns the text before into the text after', (t) => {
  const seed = Date.now() % 2 ** 31
  t.diagnostic(`seed ${seed}`)
  const text = fc
    .array(fc.constantFrom('a', 'b', 'c', '', '@@ x'), { maxLength: 30 })
    .map((lines) => [...lines, ''].join('\n'))
  fc.assert(
    fc.property(text, text, (before, after) => {
      assert.equal(patched(before, unifiedDiff(before, after)), after)
    }),
    { seed, numRuns: 500 },
  )
})

test('the same text has no diff, and lines far from a change are not shown', () => {
  const lines = Array.from({ length: 1000 }, (_, index) => `line ${index}`)
  const before = `${lines.join('\n')}\n`
  assert.deepEqual(unifiedDiff(before, before), [])
  assert.deepEqual(unifiedDiff(before, before.replace('line 500\n', 'changed\n')), [
    '@@ -498 +498 @@',
    ' line 497',
    ' line 498',
    ' line 499',
    '-line 500',
    '+changed',
    ' line 501',
    ' line 502',
    ' line 503',
  ])
})
