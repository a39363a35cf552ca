import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { leafHash, rootOf } from './merkle.ts'
import {
  decodeEntries,
  decodeTile,
  edgeTiles,
  encodeEntries,
  encodeTile,
  entriesPath,
  tilePath,
} from './tiles.ts'
import { TreeEdge } from './tree-edge.ts'

const SEED = Number(process.env['CALLGATE_SEED'] ?? 20_261_122)

test('tile paths are those of C2SP tlog-tiles', () => {
  assert.equal(tilePath(0, 0), 'tile/0/000')
  assert.equal(tilePath(0, 1_234_067), 'tile/0/x001/x234/067')
  assert.equal(tilePath(1, 1000, 4), 'tile/1/x001/000.p/4')
  assert.equal(entriesPath(12, 255), 'tile/entries/012.p/255')
  for (const [level, index, width] of [
    [64, 0, 1],
    [0, -1, 1],
    [0, 0, 0],
    [0, 0, 257],
  ] as const) {
    assert.throws(() => tilePath(level, index, width), RangeError)
  }
})

test('a tree of 70,000 leaves has its partial tiles at three levels', () => {
  assert.deepEqual(edgeTiles(70_000), [
    { level: 0, index: 273, width: 112 },
    { level: 1, index: 1, width: 17 },
    { level: 2, index: 0, width: 1 },
  ])
  assert.deepEqual(edgeTiles(256), [{ level: 1, index: 0, width: 1 }])
  assert.deepEqual(edgeTiles(0), [])
})

test('the edge gives the root of RFC 6962 at every size around tile borders, also when taken up again', () => {
  const leaves = Array.from({ length: 66_000 }, (_, i) => leafHash(Buffer.from(String(i))))
  const checked = new Set([1, 2, 3, 100, 255, 256, 257, 511, 512, 513, 1000, 65_535, 65_536, 65_537, 66_000])
  let edge = TreeEdge.empty()
  assert.deepEqual(edge.root(), rootOf([]))
  for (const leaf of leaves) {
    const filled = edge.append(leaf)
    for (const { level, index, width, hashes } of filled) {
      assert.deepEqual([hashes.length, width], [256, 256])
      assert.equal((index + 1) * 256 ** (level + 1), edge.size)
    }
    if (!checked.has(edge.size)) continue
    assert.deepEqual(edge.root(), rootOf(leaves.slice(0, edge.size)), `size ${edge.size}`)
    edge = TreeEdge.from(edge.size, edge.unfinished())
  }
})

test('a copy of an edge grows on its own, and wrong tiles make no edge', () => {
  const edge = TreeEdge.empty()
  edge.append(leafHash(Buffer.of(1)))
  const root = edge.root()
  edge.copy().append(leafHash(Buffer.of(2)))
  assert.deepEqual([edge.size, edge.root()], [1, root])
  assert.throws(() => TreeEdge.from(2, edge.unfinished()), /level 0 needs 2 hashes/)
})

test('bundles and tiles come back as they were; every cut bundle that is not whole leaves is refused', () => {
  const leaves = fc.array(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    { maxLength: 8 },
  )
  fc.assert(
    fc.property(leaves, (some) => {
      const bytes = encodeEntries(some)
      assert.deepEqual(decodeEntries(bytes), some)
      for (let cut = 1; cut < Math.min(bytes.length, 40); cut++) {
        const found = decodeEntries(bytes.subarray(0, -cut))
        assert.ok(found === undefined || found.length < some.length)
      }
    }),
    { seed: SEED, numRuns: 100 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const found = decodeEntries(Buffer.from(bytes))
      if (found !== undefined) assert.deepEqual(encodeEntries(found), Buffer.from(bytes))
    }),
    { seed: SEED },
  )
  assert.throws(() => encodeEntries([Buffer.alloc(65_536)]), RangeError)
  assert.equal(encodeEntries([Buffer.alloc(65_535)]).length, 65_537)
  const hashes = [leafHash(Buffer.of(1)), leafHash(Buffer.of(2))]
  assert.deepEqual(decodeTile(encodeTile(hashes), 2), hashes)
  assert.equal(decodeTile(encodeTile(hashes), 1), undefined)
})
