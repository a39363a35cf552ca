import assert from 'node:assert/strict'
import { test } from 'node:test'
import { classifier } from './classify.ts'

const classify = classifier({
  'read_*': { class: 'read', labels: ['public'], scopes: [], urls: 'content' },
  read_secret: { class: 'egress', labels: [], scopes: [], urls: 'judged' },
  '*_secret': { class: 'destructive', labels: [], scopes: [], urls: 'judged' },
})

test('an exact name wins over a glob, and an earlier glob over a later one', () => {
  const common = { labels: [], scopes: [], urls: 'judged', idempotency: 'accepted' }
  assert.deepEqual(classify('read_secret'), { ...common, class: 'egress' })
  assert.deepEqual(classify('read_other_secret'), {
    class: 'read',
    labels: ['public'],
    scopes: [],
    urls: 'content',
    idempotency: 'off',
  })
  assert.deepEqual(classify('write_secret'), { ...common, class: 'destructive' })
})

test('a tool that nobody named is of class write, also one named like a member of every object', () => {
  for (const tool of ['write', 'constructor', 'toString', '__proto__', 'READ_x', 'xread_x']) {
    assert.deepEqual(classify(tool), {
      class: 'write',
      labels: [],
      scopes: [],
      urls: 'judged',
      idempotency: 'accepted',
    })
  }
})

test('a key means something for every class but read, unless the operator says otherwise', () => {
  for (const each of ['read', 'write', 'destructive', 'egress', 'memory', 'poll'] as const) {
    const entry = { class: each, labels: [], scopes: [], urls: 'judged' as const }
    assert.equal(classifier({ tool: entry })('tool').idempotency, each === 'read' ? 'off' : 'accepted')
    for (const idempotency of ['off', 'accepted', 'required', 'derived'] as const)
      assert.equal(classifier({ tool: { ...entry, idempotency } })('tool').idempotency, idempotency)
  }
})
