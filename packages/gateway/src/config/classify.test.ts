import assert from 'node:assert/strict'
import { test } from 'node:test'
import { classifier } from './classify.ts'

const classify = classifier({
  'read_*': { class: 'read', labels: ['public'], scopes: [], urls: 'content' },
  read_secret: { class: 'egress', labels: [], scopes: [], urls: 'judged' },
  '*_secret': { class: 'destructive', labels: [], scopes: [], urls: 'judged' },
})

test('an exact name wins over a glob, and an earlier glob over a later one', () => {
  assert.deepEqual(classify('read_secret'), { class: 'egress', labels: [], scopes: [], urls: 'judged' })
  assert.deepEqual(classify('read_other_secret'), {
    class: 'read',
    labels: ['public'],
    scopes: [],
    urls: 'content',
  })
  assert.deepEqual(classify('write_secret'), { class: 'destructive', labels: [], scopes: [], urls: 'judged' })
})

test('a tool that nobody named is of class write, also one named like a member of every object', () => {
  for (const tool of ['write', 'constructor', 'toString', '__proto__', 'READ_x', 'xread_x']) {
    assert.deepEqual(classify(tool), { class: 'write', labels: [], scopes: [], urls: 'judged' })
  }
})
