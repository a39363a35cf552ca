import type { Finding } from './finding.ts'
import { hiddenAt, mayHide } from './hidden.ts'
import { cardFrom } from './pii/card.ts'
import { type Group, groupsFrom } from './pii/digits.ts'
import { emailAt } from './pii/email.ts'
import { ibanAt } from './pii/iban.ts'
import { birthAt, hetuFrom, nationalFrom, nationalWordAt, passportAt } from './pii/identity.ts'
import { ssnFrom } from './pii/ssn.ts'
import { colonAddressAt, ipv4From, macAt } from './pii/network.ts'
import { phoneFrom } from './pii/phone.ts'
import { secretsIn } from './secrets/index.ts'
import { Lookout, type Units, unitsOf } from './units.ts'

/** What a unit of text may begin. */
const DIGIT = 1
const AT = 2
const COLON = 3
const HYPHEN = 4
const LOOK = 5

const NONE: readonly Finding[] = []

/** One word of letters, too short for a token. */
function isWord(text: string): boolean {
  if (text.length > LONGEST_WORD) return false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (((code | 0x20) < 0x61 || (code | 0x20) > 0x7a) && code !== 0x5f) return false
  }
  return true
}

const LONGEST_WORD = 19

/** A name, a sign and six of its value. */
const SHORTEST_SECRET = 10

/** Of ordinary text nearly every unit begins nothing. */
const KINDS = kinds()
const LOOKOUT = new Lookout(KINDS)

/**
 * Finds personal data with a form of its own, hidden text and secrets. What is found in a secret is a part of it.
 * @returns findings in the order of the text, none over another
 */
export function scanText(text: string): readonly Finding[] {
  // Most names of members, and many values, are one word: nothing can stand in it.
  if (isWord(text)) return NONE
  const units = unitsOf(text)
  const findings = dataIn(text, units)
  const secrets = text.length < SHORTEST_SECRET ? [] : secretsIn(text, units)
  if (secrets.length === 0) return findings
  let next = 0
  const apart = findings.filter(({ start, end }) => {
    while ((secrets[next]?.end ?? Infinity) <= start) next++
    return end <= (secrets[next]?.start ?? Infinity)
  })
  return [...apart, ...secrets].toSorted((a, b) => a.start - b.start)
}

/**
 * Finds personal data with a form of its own and hidden text. One pass: what is found is passed over, and every look is bounded, so
 * that no text costs more than its length.
 * @returns findings in the order of the text, none over another
 */
function dataIn(text: string, units: Units): Finding[] {
  const findings: Finding[] = []
  let from = 0
  for (let at = LOOKOUT.next(units, 0); at < text.length; at = LOOKOUT.next(units, at + 1)) {
    const kind = KINDS[text.charCodeAt(at)]
    if (kind === DIGIT) {
      const groups = groupsFrom(text, at)
      const found = fromGroups(text, groups, from)
      findings.push(...found)
      at = Math.max(found.at(-1)?.end ?? 0, groups.at(-1)?.end ?? at + 1) - 1
      from = found.at(-1)?.end ?? from
      continue
    }
    const found =
      kind === AT
        ? emailAt(text, at, from)
        : kind === COLON
          ? colonAddressAt(text, at, from)
          : kind === HYPHEN
            ? hyphenAt(text, at, from)
            : hiddenAt(text, at)
    if (found === undefined) continue
    // An address of mail begins before its sign: what was found in it was a part of it.
    while ((findings.at(-1)?.end ?? 0) > found.start) findings.pop()
    findings.push(found)
    from = found.end
    at = found.end - 1
  }
  return findings
}

/** Fewest digits of a telephone, card or social security number. */
const MIN_DIGITS = 7

/** The numbers of a run of groups, each group in one of them at most. */
function fromGroups(text: string, groups: readonly Group[], from: number): Finding[] {
  const found: Finding[] = []
  let rest = 0
  for (const { start, end } of groups) rest += end - start
  for (let i = 0; i < groups.length; i++) {
    const group = groups[i]
    if (group === undefined) break
    const one =
      formedAt(text, groups, i, from) ??
      (rest < MIN_DIGITS ? undefined : (cardFrom(text, groups, i) ?? ssnFrom(text, groups, i))) ??
      (i === 0 ? birthAt(text, group) : undefined) ??
      (rest < MIN_DIGITS ? undefined : nationalFrom(text, groups, i)) ??
      ipv4From(text, groups, i) ??
      partOfWord(text, group, from) ??
      (rest < MIN_DIGITS ? undefined : phoneFrom(text, groups, i))
    rest -= group.end - group.start
    if (one === undefined || one.start < from) continue
    found.push(one)
    from = one.end
    for (; (groups[i + 1]?.start ?? Infinity) < one.end; i++)
      rest -= (groups[i + 1]?.end ?? 0) - (groups[i + 1]?.start ?? 0)
  }
  return found
}

/** Numbers with letters in them, and those that a word before them names. */
function partOfWord(text: string, group: Group, from: number): Finding | undefined {
  if (group.end - group.start < 2) return undefined
  const found = nationalWordAt(text, group) ?? hetuFrom(text, group) ?? passportAt(text, group)
  return found === undefined || found.start < from ? undefined : found
}

/** What its signs beside a group tell: letters before an account number, colons, hyphens and points of addresses. */
function formedAt(text: string, groups: readonly Group[], i: number, from: number): Finding | undefined {
  const { start, end } = groups[i] ?? { start: 0, end: 0 }
  const address =
    text[end] === ':'
      ? colonAddressAt(text, end, from)
      : text[start + 2] === '-' || text[start + 4] === '.'
        ? macAt(text, start)
        : text[end] === '.' || isLetter(text.charCodeAt(end))
          ? pointsAround(text, start, from)
          : undefined
  return address ?? (isLetter(text.charCodeAt(start - 1)) ? ibanAt(text, start) : undefined)
}

const isLetter = (code: number): boolean => (code | 32) >= 97 && (code | 32) <= 122

/** A MAC address with points whose first group begins with letters. */
function pointsAround(text: string, digit: number, from: number): Finding | undefined {
  for (let start = digit - 1; start >= Math.max(from, digit - 3) && isLetter(text.charCodeAt(start)); start--)
    if (text[start + 4] === '.' && text[start + 9] === '.') return macAt(text, start)
  return undefined
}

/** A MAC address with hyphens that begins with letters. */
function hyphenAt(text: string, at: number, from: number): Finding | undefined {
  if (at - 2 < from || text[at + 3] !== '-') return undefined
  return macAt(text, at - 2)
}

function kinds(): Uint8Array {
  const table = new Uint8Array(0x10000)
  for (let code = 0; code < 0x10000; code++) if (mayHide(code)) table[code] = LOOK
  for (let code = 48; code < 58; code++) table[code] = DIGIT
  table[64] = AT
  table[58] = COLON
  table[45] = HYPHEN
  return table
}
