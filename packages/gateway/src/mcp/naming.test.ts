import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../testing/verifies.ts'
import { AggregatedNames } from './aggregate.ts'
import { MAX_WIRE_NAME, serverOfWireName, wireName, wireNames } from './naming.ts'

const server = fc.stringMatching(/^[a-z][a-z0-9-]{0,15}$/)
const tool = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9_.-]{1,128}$/),
  fc.stringMatching(/^[a._]{1,6}$/),
  fc.stringMatching(/^x{40,44}[._]{0,3}$/),
)

test('names are short, of few characters, stable and unique, and lead back to their tool', () => {
  verifies('mcp.names')
  const seed = Math.floor(Math.random() * 2 ** 31)
  const catalogue = fc.dictionary(server, fc.uniqueArray(tool, { maxLength: 20 }), { maxKeys: 6 })
  fc.assert(
    fc.property(catalogue, (servers) => {
      const names = new AggregatedNames(Object.entries(servers))
      const all = new Set<string>()
      for (const [id, tools] of Object.entries(servers)) {
        for (const [name, wire] of wireNames(id, tools)) {
          assert.match(wire, /^[A-Za-z0-9_-]{1,46}$/)
          assert.ok(!all.has(wire), wire)
          all.add(wire)
          assert.equal(wire, wireName(id, name))
          assert.equal(serverOfWireName(wire), id)
          assert.deepEqual(names.resolve(wire), { server: id, tool: name })
        }
      }
      assert.equal(
        all.size,
        Object.values(servers).reduce((sum, tools) => sum + tools.length, 0),
      )
    }),
    { seed, numRuns: 200, verbose: 1 },
  )
})

test('a name that fits stays as it is, one that does not ends in its own tag', () => {
  verifies('mcp.names')
  assert.equal(wireName('fs', 'read_text_file'), 'fs__read_text_file')
  const longest = 'x'.repeat(MAX_WIRE_NAME - 'fs__'.length)
  assert.equal(wireName('fs', longest), `fs__${longest}`)
  const tag = createHash('sha256').update(`fs__${longest}x`).digest('hex').slice(0, 8)
  assert.equal(wireName('fs', `${longest}x`), `fs__${longest.slice(0, -9)}_${tag}`)
  assert.match(wireName('fs', 'read.file'), /^fs__read_file_[0-9a-f]{8}$/)
})

test('the first separator ends the server, whatever the tool is called', () => {
  for (const name of ['_', '__', '__a', 'a__b', '_a_'])
    assert.equal(serverOfWireName(wireName('fs', name)), 'fs')
  for (const wire of ['', '__a', 'fs', 'fs_a', '_']) assert.equal(serverOfWireName(wire), undefined)
})

test('a name that two tools of a server would share belongs to neither: no call goes to another tool than the listed one', () => {
  verifies('mcp.names')
  const victim = 'read.file'
  const imitation = wireName('fs', victim).slice('fs__'.length)
  assert.equal(wireName('fs', imitation), wireName('fs', victim))
  const names = new AggregatedNames([['fs', [victim, imitation, 'other']]])
  assert.equal(names.resolve(wireName('fs', victim)), undefined)
  assert.deepEqual([...wireNames('fs', [victim, imitation, 'other'])], [['other', 'fs__other']])
  assert.deepEqual(new AggregatedNames([['fs', [victim]]]).resolve(wireName('fs', victim)), {
    server: 'fs',
    tool: victim,
  })
})

test('a name of one server means nothing at another, nor does a bare one', () => {
  const names = new AggregatedNames([
    ['a', ['tool', 'constructor']],
    ['b', ['else']],
  ])
  for (const wire of ['b__tool', 'tool', 'c__tool', 'a__else', '__proto__', 'a__toString']) {
    assert.equal(names.resolve(wire), undefined)
  }
  assert.deepEqual(names.resolve('a__constructor'), { server: 'a', tool: 'constructor' })
})
