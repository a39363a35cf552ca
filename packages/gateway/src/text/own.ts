import { RE2JS } from 're2js'
import type { Finding } from './finding.ts'

/** What an operator knows that nobody else does: words, or a pattern. */
export interface OwnClass {
  /** As in `own.<name>`. */
  readonly name: string
  readonly words: readonly string[]
  /** RE2 syntax: time linear in the text whatever it says. */
  readonly pattern: string | undefined
  /** Whether `Bluebird` is also found as `BLUEBIRD`. */
  readonly ignoreCase: boolean
}

/** Values that must never leave, such as seeded rows of a table. */
export type Canaries = readonly string[]

/** Findings of a pattern in one text; of a pattern that matches everywhere more would say nothing. */
const MAX_MATCHES = 1_000
/** Shortest canary, in letters and digits: a shorter one would be found by chance. */
export const MIN_CANARY = 8

const WORD = /[\p{L}\p{N}_]+/gu
const IS_WORD = /[\p{L}\p{N}_]/u

/** An entry of a dictionary, as it is looked up. */
interface Entry {
  readonly name: string
  readonly text: string
  readonly ignoreCase: boolean
}

/**
 * Finds words of dictionaries whole, matches of patterns, and canaries however they are cased, parted or reversed, also in
 * hexadecimal and percent-encoding. Linear in the text: a dictionary of any size costs one look-up a word.
 */
export function ownDetector(classes: readonly OwnClass[], canaries: Canaries): (text: string) => Finding[] {
  const entries = classes.flatMap(({ name, words, ignoreCase }) =>
    words.map((word): Entry => {
      // It is found by its first word; what stands before that is no part of it.
      const text = word.slice(Math.max(0, word.search(IS_WORD)))
      return { name, text: ignoreCase ? text.toLowerCase() : text, ignoreCase }
    }),
  )
  /** By first word in small letters, and by length: of entries that begin alike one of each length is compared. */
  const beginnings = Map.groupBy(entries, ({ text }) => text.match(WORD)?.[0].toLowerCase() ?? '')
  const patterns = classes.flatMap(({ name, pattern, ignoreCase }) =>
    pattern === undefined
      ? []
      : [{ name, program: RE2JS.compile(pattern, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0) }],
  )
  const needles = canaries.flatMap(needlesOf)

  return (text) => {
    const found: Finding[] = []
    if (beginnings.size > 0)
      for (const { 0: word, index } of text.matchAll(WORD))
        for (const entry of beginnings.get(word.toLowerCase()) ?? []) {
          const end = index + entry.text.length
          const there = text.slice(index, end)
          if ((entry.ignoreCase ? there.toLowerCase() : there) !== entry.text) continue
          if (!IS_WORD.test(text[end] ?? '')) found.push(finding(`own.${entry.name}`, index, end))
        }
    for (const { name, program } of patterns) {
      const matcher = program.matcher(text)
      for (let i = 0; i < MAX_MATCHES && matcher.find(); i++)
        if (matcher.end() > matcher.start())
          found.push(finding(`own.${name}`, matcher.start(), matcher.end()))
    }
    if (needles.length > 0) found.push(...canariesIn(text, needles))
    return apart(found)
  }
}

const finding = (name: string, start: number, end: number): Finding => ({ class: name, start, end, score: 1 })

/** Whether there is something in a text by which it can be found as a word. */
export const isFindable = (word: string): boolean => IS_WORD.test(word)

/** What is wrong with a pattern; undefined when it can be used. */
export function patternProblem(pattern: string): string | undefined {
  try {
    RE2JS.compile(pattern)
    return RE2JS.matches(pattern, '') ? 'matches the empty text, and so everywhere' : undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Letters and digits in small letters, and where each stood. */
function bare(text: string): { readonly text: string; readonly at: readonly number[] } {
  const at: number[] = []
  let out = ''
  for (const { 0: sign, index } of text.matchAll(/[\p{L}\p{N}]/gu)) {
    out += sign.toLowerCase()
    for (let i = 0; i < sign.toLowerCase().length; i++) at.push(index)
  }
  return { text: out, at }
}

/** The ways in which a canary may stand in a text of letters and digits. */
function needlesOf(canary: string): string[] {
  const plain = bare(canary).text
  const encoded = Buffer.from(canary, 'utf8').toString('hex')
  return [plain, [...plain].toReversed().join(''), encoded]
}

function canariesIn(text: string, needles: readonly string[]): Finding[] {
  const all = bare(text)
  return needles.flatMap((needle) => {
    const found: Finding[] = []
    for (let i = all.text.indexOf(needle); i >= 0; i = all.text.indexOf(needle, i + needle.length))
      found.push(finding('canary', all.at[i] ?? 0, (all.at[i + needle.length - 1] ?? 0) + 1))
    return found
  })
}

/** In the order of the text, none over another: the first, and of those the longest. */
function apart(found: readonly Finding[]): Finding[] {
  const kept: Finding[] = []
  for (const one of found.toSorted((a, b) => a.start - b.start || b.end - a.end))
    if (one.start >= (kept.at(-1)?.end ?? 0)) kept.push(one)
  return kept
}

/** Findings of the operator's own before all others, where they overlap. */
export function withOwn(own: readonly Finding[], others: readonly Finding[]): readonly Finding[] {
  if (own.length === 0) return others
  let next = 0
  const beside = others.filter(({ start, end }) => {
    while ((own[next]?.end ?? Infinity) <= start) next++
    return end <= (own[next]?.start ?? Infinity)
  })
  return [...own, ...beside].toSorted((a, b) => a.start - b.start)
}
