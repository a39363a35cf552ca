import type { Surface } from '../finding.ts'
import { LAYOUT, eachBlock, nextStamp, together } from './features.ts'
import { MODEL } from './weights.ts'

/** A linear model over the features, and how its sum becomes a probability. */
export interface Model {
  readonly weights: Float32Array
  /** Platt scaling: probability = 1 / (1 + exp(-(slope * sum + offset))). */
  readonly slope: number
  readonly offset: number
}

let loaded: Model | undefined

/** The shipped model, unpacked once on first use. */
export function shippedModel(): Model {
  loaded ??= { weights: unpacked(MODEL.weights, MODEL.step), slope: MODEL.slope, offset: MODEL.offset }
  return loaded
}

/** Weights from their committed form: base64 of signed bytes times one step; a zero byte is followed by how many zeros. */
export function unpacked(packedWeights: string, step: number): Float32Array {
  const weights = new Float32Array(LAYOUT.size)
  const bytes = Buffer.from(packedWeights, 'base64')
  let n = 0
  for (let i = 0; i < bytes.length && n < weights.length; i++) {
    const byte = bytes.readInt8(i)
    if (byte === 0) n += bytes.readUInt8(++i)
    else weights[n++] = byte * step
  }
  return weights
}

/** The inverse of `unpacked`, for the training script. */
export function packed(weights: Float32Array, step: number): string {
  const rounded = Array.from(weights, (weight) => Math.max(-127, Math.min(127, Math.round(weight / step))))
  const bytes: number[] = []
  for (let n = 0; n < rounded.length; n++) {
    const byte = rounded[n] ?? 0
    if (byte !== 0) {
      bytes.push(byte & 0xff)
      continue
    }
    let run = 1
    while (run < 255 && n + run < rounded.length && rounded[n + run] === 0) run++
    bytes.push(0, run)
    n += run - 1
  }
  return Buffer.from(bytes).toString('base64')
}

/** The part of a text that looks most like an instruction to the model, and how much. */
export interface Peak {
  readonly sum: number
  /** Offsets in the text that was scored. */
  readonly start: number
  readonly end: number
}

/** Features from which on a window is long, and how much its sum is then drawn in. */
const LONG = 96
const DAMPING = 0.25

/** What the sum of a window of so many features is multiplied by: in a long one, chance adds up. */
export function damped(features: number): number {
  return features <= LONG ? 1 : (LONG / features) ** DAMPING
}

const lastBlock = new Int32Array(LAYOUT.size)
let stamp = 1

/** A long text is scored in pieces, so that memory does not grow with it; they overlap, so that nothing falls in between. */
const PIECE = 49_152
const OVERLAP = 1_024

/**
 * The highest sum over all windows of a folded text. A window is a block or two neighbouring blocks, so what stands before
 * or behind an instruction does not thin it out.
 */
export function peak(
  text: string,
  surface: Surface,
  decoded: boolean,
  { weights }: Pick<Model, 'weights'>,
): Peak {
  let best: Peak = { sum: -Infinity, start: 0, end: 0 }
  for (let from = 0; from === 0 || from + OVERLAP < text.length; from += PIECE - OVERLAP) {
    const piece = text.length <= PIECE ? text : text.slice(from, from + PIECE)
    const found = peakOf(piece, surface, decoded, weights)
    if (found.sum > best.sum) best = { sum: found.sum, start: from + found.start, end: from + found.end }
  }
  return best
}

function peakOf(text: string, surface: Surface, decoded: boolean, weights: Float32Array): Peak {
  let best: Peak = { sum: -Infinity, start: 0, end: 0 }
  let before: { sum: number; size: number; start: number; concepts: readonly number[] } | undefined
  // A gap in the marks, so that the first block has no neighbour from another text.
  stamp = nextStamp(nextStamp(stamp, lastBlock), lastBlock)
  eachBlock(text, surface, decoded, ({ ids, size, start, end, concepts }) => {
    const mark = nextStamp(stamp, lastBlock)
    let sum = 0
    let shared = 0
    let common = 0
    for (let i = 0; i < size; i++) {
      const id = ids[i] ?? 0
      const weight = weights[id] ?? 0
      sum += weight
      if (lastBlock[id] === stamp) {
        shared += weight
        common++
      }
      lastBlock[id] = mark
    }
    stamp = mark
    const alone = sum * damped(size)
    if (alone > best.sum) best = { sum: alone, start, end }
    if (before !== undefined) {
      const cross = crossIds(before.concepts, concepts)
      let both = before.sum + sum - shared
      for (const id of cross) both += weights[id] ?? 0
      both *= damped(before.size + size - common + cross.length)
      if (both > best.sum) best = { sum: both, start: before.start, end }
    }
    before = { sum, size, start, concepts }
  })
  return best
}

/** Features of concept pairs that only the union of two neighbouring blocks has. */
export function crossIds(left: readonly number[], right: readonly number[]): number[] {
  const ids: number[] = []
  for (const a of left) {
    if (right.includes(a)) continue
    for (const b of right) if (!left.includes(b)) ids.push(a < b ? together(a, b) : together(b, a))
  }
  return ids
}

/** A probability from a sum. */
export function calibrated(sum: number, { slope, offset }: Pick<Model, 'slope' | 'offset'>): number {
  return 1 / (1 + Math.exp(-(slope * sum + offset)))
}
