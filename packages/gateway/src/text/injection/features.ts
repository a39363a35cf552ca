import type { Surface } from '../finding.ts'
import { scanWords, type Tokens } from './scan.ts'
import { CONCEPT_LIMIT } from './words.ts'

/** Words of a block: about two sentences. A window is two blocks, so that no sentence is cut off from its neighbours. */
const BLOCK_WORDS = 28
/** A block of so many words ends where a line does. */
const LINE_WORDS = 10
/** A block ends here even within a sentence: tables and lists have none. */
const BLOCK_LIMIT = 56
/** How far two concepts may stand apart to act on each other, in words. */
const REACH = 8
const NEAR = 2
/** Concepts looked back at. */
const LOOK_BACK = 4
/** Most features of one word. */
const PER_WORD = 20

const C = CONCEPT_LIMIT
const PAIRS = C * C
const HASHED = 8_192
const WORDS = 16_384

/** Where each kind of feature begins among the weights. */
export const LAYOUT = (() => {
  let at = 0
  const take = (size: number): number => {
    at += size
    return at - size
  }
  return {
    bias: take(4),
    concept: take(C),
    conceptDefinition: take(C),
    command: take(C),
    commandDefinition: take(C),
    reach: take(PAIRS),
    near: take(PAIRS),
    together: take(PAIRS),
    triple: take(HASHED),
    word: take(WORDS),
    wordDefinition: take(WORDS),
    size: at,
  }
})()

/** Features of one text, block by block. */
export interface Blocks {
  /** Distinct feature indices of each block, one block after the other. */
  readonly ids: Int32Array
  /** Where block k begins in `ids`; one more for the end. */
  readonly from: number[]
  /** Where block k stands in the text. */
  readonly start: number[]
  readonly end: number[]
  /** Concepts of block k, ascending. */
  readonly concepts: number[][]
}

let scratch = new Int32Array(65_536)
const seen = new Int32Array(LAYOUT.size)
let stamp = 0

/** Takes a folded text to its features. Linear: a word yields at most a dozen. Valid until the next call. */
export function featuresOf(text: string, surface: Surface, decoded = false): Blocks {
  const definition = surface === 'tool_definition'
  const tokens = scanWords(text, definition, decoded)
  const most = tokens.length * PER_WORD + (tokens.length / LINE_WORDS + 2) * PAIRS_PER_BLOCK
  if (scratch.length < most) scratch = new Int32Array(Math.ceil(most))
  const blocks: Blocks = { ids: scratch, from: [], start: [], end: [], concepts: [] }
  let n = 0
  const put = (id: number): void => {
    if (seen[id] === stamp || n >= scratch.length) return
    seen[id] = stamp
    scratch[n++] = id
  }
  let at = 0
  do {
    const end = blockEnd(tokens, at)
    stamp = nextStamp(stamp, seen)
    blocks.from.push(n)
    blocks.start.push(tokens.start[at] ?? 0)
    blocks.end.push(end > at ? (tokens.end[end - 1] ?? 0) : 0)
    put(definition ? LAYOUT.bias + 1 : LAYOUT.bias)
    const present: number[] = []
    block(tokens, at, end, definition, put, present)
    present.sort((a, b) => a - b)
    blocks.concepts.push(present)
    for (let i = 0; i < present.length; i++) {
      for (let k = i + 1; k < present.length; k++) put(together(present[i] ?? 0, present[k] ?? 0))
    }
    at = end
  } while (at < tokens.length)
  blocks.from.push(n)
  return blocks
}

/** Room for pairs of the concepts of one block: a block of 56 words has at most so many. */
const PAIRS_PER_BLOCK = (BLOCK_LIMIT * (BLOCK_LIMIT - 1)) / 2

/** The next mark for `seen`; starts over before the marks run out. */
export function nextStamp(last: number, marks: Int32Array): number {
  if (last < 2_000_000_000) return last + 1
  marks.fill(0)
  return 1
}

/** Feature of two concepts in one window; `a < b`. */
export function together(a: number, b: number): number {
  return LAYOUT.together + a * C + b
}

function blockEnd(tokens: Tokens, from: number): number {
  const last = Math.min(tokens.length, from + BLOCK_LIMIT)
  for (let i = from + LINE_WORDS; i < last; i++) {
    if (tokens.sentence[i] !== tokens.sentence[i - 1] && (i >= from + BLOCK_WORDS || tokens.initial[i] === 2)) return i
  }
  return last
}

function block(
  tokens: Tokens,
  from: number,
  to: number,
  definition: boolean,
  put: (id: number) => void,
  present: number[],
): void {
  const { concept, hash, stem, sentence, initial } = tokens
  const words = definition ? LAYOUT.wordDefinition : LAYOUT.word
  const commands = definition ? LAYOUT.commandDefinition : LAYOUT.command
  let before = 0
  for (let i = from; i < to; i++) {
    const c = concept[i] ?? 0
    const h = hash[i] ?? 0
    put(words + slot(h, WORDS))
    put(words + slot(Math.imul(stem[i] ?? 0, 31) + 7, WORDS))
    if (before !== 0) put(words + slot(Math.imul(before, 0x9e3779b1) ^ h, WORDS))
    // The first word of a tool's name, which begins a line, often says what family it is of.
    if (definition && initial[i] === 2) put(words + slot(Math.imul(h, 0x85ebca6b) + 3, WORDS))
    before = h
    if (c === 0) continue
    if (!present.includes(c)) present.push(c)
    put(LAYOUT.concept + c)
    if (definition) put(LAYOUT.conceptDefinition + c)
    if (initial[i] !== 0) put(commands + c)
    let looked = 0
    let middle = 0
    for (let k = i - 1; k >= from && looked < LOOK_BACK && i - k <= REACH && sentence[k] === sentence[i]; k--) {
      const b = concept[k] ?? 0
      if (b === 0) continue
      looked++
      put(LAYOUT.reach + b * C + c)
      if (i - k <= NEAR) put(LAYOUT.near + b * C + c)
      if (middle === 0) middle = b
      else if (looked === 2) put(LAYOUT.triple + slot(Math.imul((b * C + middle) * C + c, 0x9e3779b1), HASHED))
    }
  }
}

function slot(hash: number, size: number): number {
  return ((hash ^ (hash >>> 15)) >>> 1) % size
}
