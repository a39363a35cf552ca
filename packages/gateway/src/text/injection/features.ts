import type { Surface } from '../finding.ts'
import { scanWords, type Tokens } from './tokens.ts'
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
/** Most features of one word: four of its letters, three of its concept, nine of concepts before it. */
const PER_WORD = 18

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

/** Features of one block. Valid until the next block. */
export interface Block {
  /** Distinct feature indices; only the first `size` count. */
  readonly ids: Int32Array
  readonly size: number
  /** Where the block stands in the text. */
  readonly start: number
  readonly end: number
  /** Its concepts, ascending. */
  readonly concepts: readonly number[]
}

/** Room for the features of one block: of its words, and of pairs of its concepts. */
const scratch = new Int32Array(BLOCK_LIMIT * PER_WORD + (BLOCK_LIMIT * (BLOCK_LIMIT - 1)) / 2 + 1)
const seen = new Int32Array(LAYOUT.size)
let stamp = 0

/** Takes a folded text to its features, block by block. Linear: a word yields at most PER_WORD besides pairs of its block. */
export function eachBlock(
  text: string,
  surface: Surface,
  decoded: boolean,
  visit: (block: Block) => void,
): void {
  const definition = surface === 'tool_definition'
  const tokens = scanWords(text, definition, decoded)
  let n = 0
  const put = (id: number): void => {
    if (seen[id] === stamp) return
    seen[id] = stamp
    scratch[n++] = id
  }
  let at = 0
  do {
    const to = blockEnd(tokens, at)
    stamp = nextStamp(stamp, seen)
    n = 0
    put(definition ? LAYOUT.bias + 1 : LAYOUT.bias)
    const concepts: number[] = []
    block(tokens, at, to, definition, put, concepts)
    concepts.sort((a, b) => a - b)
    for (let i = 0; i < concepts.length; i++) {
      for (let k = i + 1; k < concepts.length; k++) put(together(concepts[i] ?? 0, concepts[k] ?? 0))
    }
    visit({
      ids: scratch,
      size: n,
      start: tokens.start[at] ?? 0,
      end: to > at ? (tokens.end[to - 1] ?? 0) : 0,
      concepts,
    })
    at = to
  } while (at < tokens.length)
}

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
    if (tokens.sentence[i] !== tokens.sentence[i - 1] && (i >= from + BLOCK_WORDS || tokens.initial[i] === 2))
      return i
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
    for (
      let k = i - 1;
      k >= from && looked < LOOK_BACK && i - k <= REACH && sentence[k] === sentence[i];
      k--
    ) {
      const b = concept[k] ?? 0
      if (b === 0) continue
      looked++
      put(LAYOUT.reach + b * C + c)
      if (i - k <= NEAR) put(LAYOUT.near + b * C + c)
      if (middle === 0) middle = b
      else if (looked === 2)
        put(LAYOUT.triple + slot(Math.imul((b * C + middle) * C + c, 0x9e3779b1), HASHED))
    }
  }
}

function slot(hash: number, size: number): number {
  return ((hash ^ (hash >>> 15)) >>> 1) % size
}
