import { fold } from '../fold.ts'
import { CONCEPTS, EXTRA, PHRASES } from './lexicon.ts'

/** Names of all concepts; the index is what weights and tokens carry. 0 is none. */
export const CONCEPT_NAMES: readonly string[] = ['none', ...Object.keys(CONCEPTS), ...EXTRA]
/** Room for concepts in an index. */
export const CONCEPT_LIMIT = 96

/** Index of a concept by name. */
export function conceptIndex(name: (typeof EXTRA)[number] | keyof typeof CONCEPTS): number {
  return CONCEPT_NAMES.indexOf(name)
}

/** Where the hash of a word (FNV-1a over UTF-16 units) begins. */
export const HASH_START = 0x811c9dc5 | 0

/** Hash of a folded word, as the scanner computes it on the way. */
export function hashWord(word: string): number {
  let hash = HASH_START
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193)
  return hash
}

/** A step through phrases of a script without blanks: by unit, to the next step. */
export interface PhraseStep {
  readonly next: Map<number, PhraseStep>
  concept: number
}

export interface Words {
  /** Concept by the hash of the word. */
  readonly concepts: ReadonlyMap<number, number>
  readonly phrases: PhraseStep
  /** The words themselves, for taking runs of letters apart. */
  readonly known: ReadonlySet<string>
}

let words: Words | undefined

/** The word lists, built once: folded as texts are, since look-alike folding touches Cyrillic and Greek words too. */
export function wordLists(): Words {
  if (words !== undefined) return words
  const concepts = new Map<number, number>()
  const known = new Set<string>()
  for (const [name, list] of Object.entries(CONCEPTS)) {
    const index = CONCEPT_NAMES.indexOf(name)
    for (const word of list.split(' ')) {
      const plain = fold(word.toLowerCase()).text.replaceAll("'", '')
      if (plain === '') continue
      known.add(plain)
      // A word of two concepts stands for the first: the lists are in order of weight.
      const hash = hashWord(plain)
      if (!concepts.has(hash)) concepts.set(hash, index)
    }
  }
  const phrases: PhraseStep = { next: new Map(), concept: 0 }
  for (const [name, list] of Object.entries(PHRASES)) {
    for (const phrase of list.split(' ')) plant(phrases, fold(phrase).text, CONCEPT_NAMES.indexOf(name))
  }
  words = { concepts, phrases, known }
  return words
}

function plant(root: PhraseStep, phrase: string, concept: number): void {
  let step = root
  for (let i = 0; i < phrase.length; i++) {
    const unit = phrase.charCodeAt(i)
    let next = step.next.get(unit)
    if (next === undefined) {
      next = { next: new Map(), concept: 0 }
      step.next.set(unit, next)
    }
    step = next
  }
  step.concept = concept
}
