import { HASH_START, conceptIndex, hashWord, wordLists, type PhraseStep } from './words.ts'

/** Tokens of one text, in columns: the scanner fills them, the features read them, nothing is allocated per word. */
export interface Tokens {
  length: number
  readonly hash: Int32Array
  /** Hash of the first five letters: words of one stem. */
  readonly stem: Int32Array
  readonly concept: Uint8Array
  readonly start: Int32Array
  readonly end: Int32Array
  readonly sentence: Int32Array
  /** 1: begins a sentence or a command, as in `please send`; 2: begins a line. */
  readonly initial: Uint8Array
}

function emptyTokens(size: number): Tokens {
  return {
    length: 0,
    hash: new Int32Array(size),
    stem: new Int32Array(size),
    concept: new Uint8Array(size),
    start: new Int32Array(size),
    end: new Int32Array(size),
    sentence: new Int32Array(size),
    initial: new Uint8Array(size),
  }
}

let tokens = emptyTokens(16_384)

const LETTER = 1
const UPPER = 2
const DIGIT = 3
const KIND = new Uint8Array(128)
for (let c = 97; c <= 122; c++) KIND[c] = LETTER
for (let c = 65; c <= 90; c++) KIND[c] = UPPER
for (let c = 48; c <= 57; c++) KIND[c] = DIGIT

/** Digits that stand for letters: `1gn0r3`. */
const LEET = new Uint8Array(128)
for (const pair of ['0o', '1i', '3e', '4a', '5s', '7t', '8b']) LEET[pair.charCodeAt(0)] = pair.charCodeAt(1)

const PLEASE = conceptIndex('please')
const URGENT = conceptIndex('urgent')
const CAPS_URGENT = conceptIndex('caps_urgent')
const LINK = conceptIndex('link_seen')
const MAIL = conceptIndex('mail_seen')
const MARK = conceptIndex('mark')
const COMMENT = conceptIndex('comment')
const HEADING = conceptIndex('heading')
const ROLE_MARK = conceptIndex('role_mark')
const HOME = conceptIndex('home_path')
const NUMBER = conceptIndex('number_long')
const FENCE = conceptIndex('code_fence')
const DECODED = conceptIndex('decoded')
const OFFENSE = conceptIndex('offense')
const ROLES: ReadonlySet<number> = new Set(
  (['system', 'assistant', 'user', 'authority', 'instruction'] as const).map(conceptIndex),
)
const MARKED: ReadonlySet<number> = new Set(
  (['system', 'assistant', 'user', 'urgent', 'instruction', 'authority', 'override', 'new'] as const).map(
    conceptIndex,
  ),
)
const HTTP = hashWord('http')
const HTTPS = hashWord('https')
const WWW = hashWord('www')
const INST = hashWord('inst')

/** Where CJK begins: words are not parted by blanks there. */
const UNPARTED = 0x3040
/** Longest part of a word that is hashed; the rest of a blob says nothing. */
const MAX_WORD = 40

/**
 * Takes a folded text apart into words with the concept that each stands for, and marks of prompts (`<IMPORTANT>`, `[INST]`,
 * `system:`, comments, links) as words of their own. One pass; columns are kept, so a caller cuts long texts. The answer is valid until the next call.
 * @param offensive whether words of attack tools count: in a definition they announce, in a document they are a topic
 * @param decoded whether the text had been encoded
 */
export function scanWords(text: string, offensive: boolean, decoded: boolean): Tokens {
  const { concepts, phrases } = wordLists()
  const size = text.length + 16
  if (tokens.hash.length < size) tokens = emptyTokens(size)
  const out = tokens
  out.length = 0
  let sentence = 0
  let initial = 2
  const add = (hash: number, stem: number, concept: number, start: number, end: number): void => {
    const n = out.length
    if (n >= out.hash.length) return
    out.hash[n] = hash
    out.stem[n] = stem
    out.concept[n] = concept
    out.start[n] = start
    out.end[n] = end
    out.sentence[n] = sentence
    out.initial[n] = initial
    out.length = n + 1
  }
  const sign = (concept: number, start: number, end: number): void =>
    add(concept, concept, concept, start, end)
  const newSentence = (): void => {
    sentence++
    initial = 1
  }
  if (decoded) sign(DECODED, 0, 0)

  /** Reads what is no letter at `i`: ends of sentences and lines, and signs. @returns where to go on */
  const readSign = (i: number, unit: number): number => {
    const next = i + 1 < text.length ? text.charCodeAt(i + 1) : 32
    if (unit === 46 || unit === 33 || unit === 63) {
      if (next <= 32 || next >= UNPARTED || next === 34 || next === 39 || next === 60 || next === 41)
        newSentence()
    } else if (unit === 10 || unit === 13) {
      let k = i + 1
      while (k < i + 12 && (text.charCodeAt(k) === 32 || text.charCodeAt(k) === 10)) k++
      const first = text.charCodeAt(k)
      // A line that goes on in small letters was only wrapped.
      if (!(first >= 97 && first <= 122)) sentence++
      initial = 2
    } else if (unit === 58) {
      // `System: ...` at the head of a sentence is a speaker.
      const last = out.length - 1
      const spoken = last >= 0 && out.end[last] === i && ROLES.has(out.concept[last] ?? 0)
      if (spoken && (last === 0 || out.sentence[last - 1] !== sentence)) sign(ROLE_MARK, i, i + 1)
      initial = 1
    } else if (unit === 60) {
      if (text.startsWith('<!--', i)) {
        newSentence()
        sign(COMMENT, i, i + 4)
      } else if (next === 124) sign(MARK, i, i + 2)
    } else if (unit === 35 && next === 35) {
      let k = i
      while (text.charCodeAt(k) === 35) k++
      newSentence()
      sign(HEADING, i, k)
      return k
    } else if (unit === 96 && text.startsWith('```', i)) {
      sign(FENCE, i, i + 3)
      return i + 3
    } else if (unit === 126 && next === 47) sign(HOME, i, i + 2)
    else if (unit === 64) {
      if (i > 0 && (KIND[text.charCodeAt(i - 1)] ?? 0) !== 0 && (KIND[next] ?? 0) !== 0) sign(MAIL, i, i + 1)
    } else if (unit === 34 || unit === 40 || unit === 44 || unit === 42) {
      // Quotes, brackets and bullets let a command begin anew; a comma does when it ends a condition.
      initial = 1
    }
    return i + 1
  }

  let i = 0
  while (i < text.length) {
    const unit = text.charCodeAt(i)
    const kind = unit < 128 ? (KIND[unit] ?? 0) : unit > 0xa0 && (unit < 0x2000 || unit > 0x2bff) ? LETTER : 0
    if (unit === 32) {
      i++
      continue
    }
    if (kind === 0) {
      i = readSign(i, unit)
      continue
    }
    if (unit >= UNPARTED) {
      const [end, concept] = longestPhrase(phrases, text, i)
      if (concept === 0) add(unit, unit, 0, i, i + 1)
      else add(-concept, -concept, concept, i, end)
      if (concept !== PLEASE) initial = 0
      i = end
      continue
    }
    // One word.
    const start = i
    let hash = HASH_START
    let plain = HASH_START
    let stem = 0
    let letters = 0
    let upper = 0
    let digits = 0
    for (; i < text.length; i++) {
      let c = text.charCodeAt(i)
      if (c < 128) {
        const k = KIND[c] ?? 0
        if (k === 0) {
          // An apostrophe inside a word belongs to it: don't.
          if (c === 39 && (KIND[text.charCodeAt(i + 1)] ?? 0) === LETTER) continue
          break
        }
        if (k === UPPER) {
          c += 32
          upper++
        } else if (k === DIGIT) digits++
      } else if (c >= UNPARTED || (c >= 0x2000 && c <= 0x2bff) || c <= 0xa0) break
      else if ((c >= 0x410 && c <= 0x42f) || (c >= 0x391 && c <= 0x3a9)) c += 32
      if (letters < MAX_WORD) {
        hash = Math.imul(hash ^ c, 0x01000193)
        plain = Math.imul(plain ^ (c < 128 && LEET[c] !== 0 ? (LEET[c] ?? c) : c), 0x01000193)
      }
      letters++
      if (letters === 5) stem = hash
    }
    if (letters < 5) stem = hash
    let concept = letters <= MAX_WORD ? (concepts.get(hash) ?? 0) : 0
    if (concept === 0 && digits > 0 && digits < letters) {
      concept = concepts.get(plain) ?? 0
      if (concept !== 0) hash = plain
    }
    if (concept === OFFENSE && !offensive) concept = 0
    if (digits >= 8) concept = NUMBER
    else if ((hash === HTTP || hash === HTTPS) && text.startsWith('://', i)) concept = LINK
    else if (hash === WWW && text.charCodeAt(i) === 46) concept = LINK
    if (concept === URGENT && upper === letters && letters > 3) concept = CAPS_URGENT
    add(hash, stem, concept, start, i)
    if (MARKED.has(concept) || concept === CAPS_URGENT || hash === INST) {
      const before = start > 0 ? text.charCodeAt(start - 1) : 32
      const closes = before === 47 && start > 1 && text.charCodeAt(start - 2) === 60
      if (before === 60 || before === 91 || closes || before === 124) sign(MARK, start, i)
    }
    if (concept !== PLEASE) initial = 0
  }
  return out
}

function longestPhrase(root: PhraseStep, text: string, from: number): [end: number, concept: number] {
  let step: PhraseStep | undefined = root
  let best = 0
  let end = from + 1
  for (let i = from; i < text.length; i++) {
    step = step.next.get(text.charCodeAt(i))
    if (step === undefined) break
    if (step.concept !== 0) {
      best = step.concept
      end = i + 1
    }
  }
  return [end, best]
}
