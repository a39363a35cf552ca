import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { verifies as citesKnown } from '../packages/gateway/src/testing/verifies.ts'
import { citationsIn, findCitations, gaps } from '../requirements/coverage.ts'
import { requirements, tables } from '../requirements/index.ts'

const citations = findCitations(fileURLToPath(new URL('..', import.meta.url)))
const found = gaps(requirements, citations)

// The scan reads this file too, so it must not cite by itself what it only shows: hence another name above, and joined text here.
const cite = (id: string): string => ['verifies', `('${id}')`].join('')

test('every citation names a promise by its literal id', () => {
  const list = found.unknown.map(
    ({ id, file }) => `${file}: ${id === undefined ? 'not a literal' : `\`${id}\` is unknown`}`,
  )
  assert.deepEqual(list, [], `\n${list.join('\n')}\n`)
})

test('every promise that is not deferred is cited by a test', () => {
  const list = found.uncited.map((id) => `${id}: ${requirements[id]?.behaviour}`)
  assert.deepEqual(found.uncited, [], `\n${list.length} promises without a test:\n${list.join('\n')}\n`)
})

test('no deferred promise is cited', () => {
  const list = found.citedDeferred.map(
    ({ id, file }) => `${file}: \`${id}\` is deferred; built now? then drop \`deferred\``,
  )
  assert.deepEqual(list, [], `\n${list.join('\n')}\n`)
})

test('ids are unique over the tables and read area.fact or area.fact.part', () => {
  const ids = tables.flatMap((table) => Object.keys(table))
  assert.equal(new Set(ids).size, ids.length)
  for (const id of ids) assert.match(id, /^[a-z]+\d*(\.[a-z0-9]+(-[a-z0-9]+)*){1,2}$/)
})

test('a part of a promise stands below its whole', () => {
  for (const id of Object.keys(requirements)) {
    const [area, fact, part] = id.split('.')
    if (part !== undefined) assert.ok(Object.hasOwn(requirements, `${area}.${fact}`), id)
  }
})

test('source, behaviour and what is waited for are told in plain words', () => {
  for (const [id, { source, behaviour, deferred }] of Object.entries(requirements)) {
    for (const text of [source, behaviour, ...(deferred === undefined ? [] : [deferred])]) {
      assert.match(text, /^\S.{5,}[^.\s]$/, id)
    }
  }
})

test('an unknown id is refused where it is cited, a known one is not', () => {
  citesKnown('play2.jti-replay')
  assert.throws(() => citesKnown('play2.jti-reply'), {
    name: 'TypeError',
    message: /`play2.jti-reply` is not an id/,
  })
  assert.throws(() => citesKnown('toString'), TypeError)
})

test('planted gaps of each kind are found', () => {
  const manifest = {
    'a.built': { source: 's', behaviour: 'b' },
    'a.forgotten': { source: 's', behaviour: 'b' },
    'a.later': { source: 's', behaviour: 'b', deferred: 'waits' },
  }
  const text = [
    cite('a.built'),
    cite('a.later'),
    cite('a.typo'),
    `// ${cite('a.forgotten')}`,
    `/* ${cite('a.forgotten')} */`,
  ]
  const planted = gaps(
    manifest,
    citationsIn([...text, ['verifies', '(id)'].join('')].join('\n'), 'x.test.ts'),
  )
  assert.deepEqual(planted.uncited, ['a.forgotten'])
  assert.deepEqual(
    planted.unknown.map(({ id }) => id),
    ['a.typo', undefined],
  )
  assert.deepEqual(
    planted.citedDeferred.map(({ id }) => id),
    ['a.later'],
  )
})
