import { hash } from 'node:crypto'

/** Bytes of a SHA-256 hash. */
export const HASH_BYTES = 32

/** Root of the tree without leaves: SHA-256 of nothing. Source: RFC 6962 s2.1. */
export const EMPTY_ROOT: Buffer = hash('sha256', '', 'buffer')

/** Half the cost of the same hash asked for as a buffer. */
function sha256(input: Uint8Array): Buffer {
  return Buffer.from(hash('sha256', input, 'latin1'), 'latin1')
}

/** Hash of a leaf. The prefix keeps leaves and nodes apart (second preimage). Source: RFC 6962 s2.1. */
export function leafHash(leaf: Uint8Array): Buffer {
  const input = Buffer.allocUnsafe(leaf.length + 1)
  input[0] = 0
  input.set(leaf, 1)
  return sha256(input)
}

/** Hash of an inner node. Source: RFC 6962 s2.1. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  const input = Buffer.allocUnsafe(1 + 2 * HASH_BYTES)
  input[0] = 1
  input.set(left, 1)
  input.set(right, 1 + HASH_BYTES)
  return sha256(input)
}

/** Root over hashes of equally tall complete subtrees, of which the last may be smaller. Source: RFC 6962 s2.1. */
export function rootOf(hashes: readonly Buffer[]): Buffer {
  return rootOfRange(hashes, 0, hashes.length)
}

function rootOfRange(hashes: readonly Buffer[], from: number, to: number): Buffer {
  if (to - from === 1) return hashes[from] ?? EMPTY_ROOT
  if (to === from) return EMPTY_ROOT
  const middle = from + split(to - from)
  return nodeHash(rootOfRange(hashes, from, middle), rootOfRange(hashes, middle, to))
}

/** Largest power of two smaller than `size`, for size >= 2. */
function split(size: number): number {
  let power = 1
  while (power * 2 < size) power *= 2
  return power
}

/** Hash of the complete subtree of height `level` at `index` of that height; level 0 are the leaf hashes. */
export type NodeSource = (level: number, index: number) => Promise<Buffer>

/** Hash over the leaves [from, to), where `from` is a multiple of a power of two not smaller than the width. */
async function subtree(nodes: NodeSource, from: number, to: number): Promise<Buffer> {
  const width = to - from
  const level = Math.log2(width)
  if (Number.isInteger(level)) return nodes(level, from / width)
  const middle = from + split(width)
  return nodeHash(await subtree(nodes, from, middle), await subtree(nodes, middle, to))
}

/**
 * Proof that leaf `index` is in the tree of `size` leaves, from the leaf upwards. Source: RFC 6962 s2.1.1.
 * @throws RangeError when the index lies outside of the tree
 */
export async function proveInclusion(nodes: NodeSource, index: number, size: number): Promise<Buffer[]> {
  if (!isCount(index) || !isCount(size) || index >= size) {
    throw new RangeError(`inclusion proof: index \`${index}\` lies outside of a tree of \`${size}\` leaves`)
  }
  const proof: Buffer[] = []
  let from = 0
  let to = size
  while (to - from > 1) {
    const middle = from + split(to - from)
    if (index < middle) {
      proof.unshift(await subtree(nodes, middle, to))
      to = middle
    } else {
      proof.unshift(await subtree(nodes, from, middle))
      from = middle
    }
  }
  return proof
}

/**
 * Proof that the tree of `size1` leaves is a prefix of the tree of `size2`. Source: RFC 6962 s2.1.2.
 * @throws RangeError unless 0 < size1 <= size2
 */
export async function proveConsistency(nodes: NodeSource, size1: number, size2: number): Promise<Buffer[]> {
  if (!isCount(size1) || !isCount(size2) || size1 === 0 || size1 > size2) {
    throw new RangeError(`consistency proof: \`${size1}\` to \`${size2}\` (expected 0 < first <= second)`)
  }
  const proof: Buffer[] = []
  let from = 0
  let to = size2
  while (to !== size1) {
    const middle = from + split(to - from)
    if (size1 <= middle) {
      proof.unshift(await subtree(nodes, middle, to))
      to = middle
    } else {
      proof.unshift(await subtree(nodes, from, middle))
      from = middle
    }
  }
  // The old root itself need not be sent: the verifier has it.
  if (from !== 0) proof.unshift(await subtree(nodes, from, size1))
  return proof
}

/** Whether the proof shows that `leaf` (a leaf hash) is leaf `index` of the tree. Source: RFC 9162 s2.1.3.2. */
export function verifyInclusion(
  index: number,
  size: number,
  leaf: Buffer,
  proof: readonly Buffer[],
  root: Buffer,
): boolean {
  if (!isCount(index) || !isCount(size) || index >= size || !areHashes([leaf, root, ...proof])) return false
  let node = index
  let last = size - 1
  let computed = leaf
  for (const sibling of proof) {
    if (last === 0) return false
    if (node % 2 === 1 || node === last) {
      computed = nodeHash(sibling, computed)
      while (node % 2 === 0 && node !== 0) {
        node /= 2
        last = Math.floor(last / 2)
      }
    } else {
      computed = nodeHash(computed, sibling)
    }
    node = Math.floor(node / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 && computed.equals(root)
}

/** Whether the proof shows that the first tree is a prefix of the second. Source: RFC 9162 s2.1.4.2. */
export function verifyConsistency(
  size1: number,
  size2: number,
  root1: Buffer,
  root2: Buffer,
  proof: readonly Buffer[],
): boolean {
  if (!isCount(size1) || !isCount(size2) || size1 > size2) return false
  if (size1 === size2) return proof.length === 0 && root1.equals(root2)
  // Every tree extends the empty one, so a proof of that proves nothing and is refused.
  if (size1 === 0 || !areHashes([root1, root2, ...proof])) return false
  let node = size1 - 1
  let last = size2 - 1
  while (node % 2 === 1) {
    node = Math.floor(node / 2)
    last = Math.floor(last / 2)
  }
  const path = node === 0 ? [root1, ...proof] : [...proof]
  const start = path.shift()
  if (start === undefined) return false
  let first = start
  let second = start
  for (const sibling of path) {
    if (last === 0) return false
    if (node % 2 === 1 || node === last) {
      first = nodeHash(sibling, first)
      second = nodeHash(sibling, second)
      while (node % 2 === 0 && node !== 0) {
        node /= 2
        last = Math.floor(last / 2)
      }
    } else {
      second = nodeHash(second, sibling)
    }
    node = Math.floor(node / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 && first.equals(root1) && second.equals(root2)
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

function areHashes(hashes: readonly Buffer[]): boolean {
  return hashes.every((one) => one.length === HASH_BYTES)
}
