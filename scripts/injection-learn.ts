// Logistic regression over windows of texts, for the injection signal: small, deterministic, in plain arrays.
import { LAYOUT, eachBlock } from '../packages/gateway/src/text/injection/features.ts'
import { crossIds, damped, type Model } from '../packages/gateway/src/text/injection/model.ts'
import { readings } from '../packages/gateway/src/text/normalise.ts'
import { scored } from '../packages/gateway/src/text/injection/index.ts'
import type { Row } from './injection-data.ts'

/** Windows of one text: sets of feature indices. */
interface Bag {
  readonly row: Row
  readonly windows: readonly Int32Array[]
  readonly weight: number
}

/** How strongly weights are drawn to zero: hashed words more than concepts, since words tell the source rather than the deed. */
const PENALTY = { concept: 1, word: 5 }
const ROUNDS = 4
const STEPS = 80
const RATE = 0.25
/** No set of the corpora counts more than so many rows of full weight. */
const CAP = 350
/** Rows of full weight that all copies of one line of our samples make up together. */
const LINE = 4
/** A false alarm costs so much more than a miss; honest definitions command the model as attacks do. */
const BENIGN_COST = { tool_definition: 2, other: 1.2 }
/** Windows of a harmless text that are looked at in each round: those that look worst. */
const WORST = 6

function windowsOf(row: Row): Int32Array[] {
  const windows: Int32Array[] = []
  let before: { ids: Int32Array; concepts: readonly number[] } | undefined
  eachBlock(readings(row.text)[0]?.text ?? '', row.surface, false, (block) => {
    const ids = block.ids.slice(0, block.size)
    windows.push(ids)
    if (before !== undefined) {
      windows.push(
        Int32Array.from(new Set([...before.ids, ...ids, ...crossIds(before.concepts, block.concepts)])),
      )
    }
    before = { ids, concepts: block.concepts }
  })
  return windows
}

/** Rows as bags of windows; rows of one set of the corpora share CAP, copies of one line of ours share LINE. */
export function bagsOf(rows: readonly Row[]): Bag[] {
  const sizes = new Map<string, number>()
  const sharing = ({ family, group, set }: Row): string => (family === 'own' ? group : set)
  for (const row of rows) sizes.set(sharing(row), (sizes.get(sharing(row)) ?? 0) + 1)
  return rows.map((row) => ({
    row,
    windows: windowsOf(row),
    weight: Math.min(1, (row.family === 'own' ? LINE : CAP) / (sizes.get(sharing(row)) ?? 1)),
  }))
}

const LAMBDA = new Float32Array(LAYOUT.size)
LAMBDA.fill(PENALTY.concept)
LAMBDA.fill(PENALTY.word, LAYOUT.triple)
LAMBDA.fill(0.01, 0, LAYOUT.concept)

function sumOf(window: Int32Array, weights: Float32Array): number {
  let sum = 0
  for (const id of window) sum += weights[id] ?? 0
  return sum * damped(window.length)
}

/** Learns weights. Several rounds: an attack counts where it shows most, a harmless text where it looks worst. */
export function learn(bags: readonly Bag[]): Float32Array {
  let weights = new Float32Array(LAYOUT.size)
  for (let round = 0; round < ROUNDS; round++) {
    const examples = bags.flatMap(({ row, windows, weight }) => {
      const ranked = windows
        .map((window) => ({ window, sum: round === 0 ? window.length : sumOf(window, weights) }))
        .sort((a, b) => b.sum - a.sum)
      const used = ranked.slice(0, row.attack ? 1 : WORST)
      const cost = row.surface === 'tool_definition' ? BENIGN_COST.tool_definition : BENIGN_COST.other
      const share = row.attack ? weight : (weight * cost) / Math.sqrt(used.length)
      return used.map(({ window }) => ({ window, target: row.attack ? 1 : 0, weight: share }))
    })
    weights = descend(examples, weights)
  }
  return weights
}

function descend(
  examples: readonly { window: Int32Array; target: number; weight: number }[],
  start: Float32Array,
): Float32Array<ArrayBuffer> {
  const weights = new Float32Array(start)
  const squares = new Float32Array(LAYOUT.size).fill(1e-6)
  const gradient = new Float32Array(LAYOUT.size)
  for (let step = 0; step < STEPS; step++) {
    for (let id = 0; id < gradient.length; id++) gradient[id] = (LAMBDA[id] ?? 0) * (weights[id] ?? 0)
    for (const { window, target, weight } of examples) {
      const error = (1 / (1 + Math.exp(-sumOf(window, weights))) - target) * weight
      if (Math.abs(error) < 1e-4) continue
      const share = error * damped(window.length)
      for (const id of window) gradient[id] = (gradient[id] ?? 0) + share
    }
    for (let id = 0; id < gradient.length; id++) {
      const g = gradient[id] ?? 0
      if (g === 0) continue
      const square = (squares[id] ?? 0) + g * g
      squares[id] = square
      weights[id] = (weights[id] ?? 0) - (RATE * g) / Math.sqrt(square)
    }
  }
  return weights
}

/** The sum by which a text is judged, over all its readings. */
export function rawScore(row: Row, weights: Float32Array): number {
  const score = scored(row.text, row.surface, { weights, slope: 1, offset: 0 }).score
  return Math.log(score / (1 - score))
}

/** The same from windows that are kept, for rows whose plain reading is all there is. */
export function bagScore(bag: Bag, weights: Float32Array): number {
  let best = -Infinity
  for (const window of bag.windows) best = Math.max(best, sumOf(window, weights))
  return best
}

/** Platt scaling over scores of texts that were not trained on; both classes weigh the same. */
export function platt(
  scores: readonly { score: number; attack: boolean }[],
): Pick<Model, 'slope' | 'offset'> {
  const attacks = scores.filter(({ attack }) => attack).length
  let slope = 1
  let offset = 0
  for (let step = 0; step < 4_000; step++) {
    let ds = 0
    let db = 0
    for (const { score, attack } of scores) {
      const share = attack ? 0.5 / attacks : 0.5 / (scores.length - attacks)
      const error = (1 / (1 + Math.exp(-(slope * score + offset))) - (attack ? 1 : 0)) * share
      ds += error * score
      db += error
    }
    slope -= 0.05 * ds
    offset -= 0.2 * db
  }
  return { slope, offset }
}
