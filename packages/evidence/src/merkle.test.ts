import assert from 'node:assert/strict'
import { test } from 'node:test'
import { corpusRows } from '../../gateway/src/testing/corpora.ts'
import {
  EMPTY_ROOT,
  leafHash,
  nodeHash,
  proveConsistency,
  proveInclusion,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from './merkle.ts'

function bytes(value: unknown): Buffer {
  return Buffer.from(typeof value === 'string' ? value : '', 'base64')
}

function proofOf(value: unknown): Buffer[] {
  return Array.isArray(value) ? value.map(bytes) : []
}

test('every row of corpora/tlog/merkle-inclusion gets its verdict', (t) => {
  for (const row of corpusRows(t, 'tlog/merkle-inclusion.jsonl') ?? []) {
    const [index, size] = [Number(row['leafIdx']), Number(row['treeSize'])]
    const verdict = verifyInclusion(
      index,
      size,
      bytes(row['leafHash']),
      proofOf(row['proof']),
      bytes(row['root']),
    )
    assert.equal(verdict, row['wantErr'] === false, String(row['path']))
  }
})

test('every row of corpora/tlog/merkle-consistency gets its verdict', (t) => {
  for (const row of corpusRows(t, 'tlog/merkle-consistency.jsonl') ?? []) {
    const [size1, size2] = [Number(row['size1']), Number(row['size2'])]
    const verdict = verifyConsistency(
      size1,
      size2,
      bytes(row['root1']),
      bytes(row['root2']),
      proofOf(row['proof']),
    )
    assert.equal(verdict, row['wantErr'] === false, String(row['path']))
  }
})

test('the hashes of RFC 6962 keep leaves and nodes apart', () => {
  assert.equal(EMPTY_ROOT.toString('hex'), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  assert.equal(
    leafHash(Buffer.alloc(0)).toString('hex'),
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  )
  const [left, right] = [leafHash(Buffer.of(1)), leafHash(Buffer.of(2))]
  assert.notDeepEqual(nodeHash(left, right), leafHash(Buffer.concat([left, right])))
})

const leaves = Array.from({ length: 40 }, (_, i) => leafHash(Buffer.from(`leaf ${i}`)))

function node(level: number, index: number): Promise<Buffer> {
  return Promise.resolve(rootOf(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)))
}

test('each leaf of each tree up to 40 is proven, and not at the index beside it', async () => {
  for (let size = 1; size <= leaves.length; size++) {
    const root = rootOf(leaves.slice(0, size))
    for (let index = 0; index < size; index++) {
      const proof = await proveInclusion(node, index, size)
      const leaf = leaves[index] ?? EMPTY_ROOT
      assert.ok(verifyInclusion(index, size, leaf, proof, root), `${index} of ${size}`)
      assert.ok(!verifyInclusion(index + 1, size, leaf, proof, root))
      assert.ok(!verifyInclusion(index, size, leaf, [...proof, root], root))
    }
  }
})

test('each tree up to 40 is proven to extend each smaller one, and no other', async () => {
  for (let size2 = 1; size2 <= leaves.length; size2++) {
    const root2 = rootOf(leaves.slice(0, size2))
    for (let size1 = 1; size1 <= size2; size1++) {
      const proof = await proveConsistency(node, size1, size2)
      const root1 = rootOf(leaves.slice(0, size1))
      assert.ok(verifyConsistency(size1, size2, root1, root2, proof), `${size1} to ${size2}`)
      assert.ok(!verifyConsistency(size1, size2, root1, leafHash(root2), proof))
      assert.ok(!verifyConsistency(size1, size2, leafHash(root1), root2, proof))
    }
  }
})

test('proofs outside of a tree are refused', async () => {
  await assert.rejects(proveInclusion(node, 5, 5), RangeError)
  await assert.rejects(proveConsistency(node, 0, 5), RangeError)
  await assert.rejects(proveConsistency(node, 6, 5), RangeError)
  assert.ok(!verifyInclusion(-1, 5, EMPTY_ROOT, [], EMPTY_ROOT))
  assert.ok(!verifyInclusion(0, 2 ** 60, EMPTY_ROOT, [], EMPTY_ROOT))
  assert.ok(!verifyInclusion(0, 1, Buffer.alloc(31), [], Buffer.alloc(31)))
})
