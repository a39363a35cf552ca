import type { Finding } from '../finding.ts'
import { isDay, isMod11And10, isVerhoeff, weighted } from './checks.ts'
import { type Group, isLuhn } from './digits.ts'

/** How far before a number a word may say what it is. */
const NEAR = 40

/** A number of people that a state gives out, by its written form and its check digits. */
interface Form {
  readonly country: string
  /** Sizes of its groups, and the signs between them; one group and no sign: written as one. */
  readonly sizes: readonly number[]
  readonly gaps: readonly string[]
  readonly holds: (digits: string) => boolean
  /** Needed where the check alone would let too many numbers through. */
  readonly word?: RegExp
}

const form = (
  country: string,
  sizes: readonly number[],
  gaps: readonly string[],
  holds: (digits: string) => boolean,
  word?: RegExp,
): Form => ({ country, sizes, gaps, holds, ...(word === undefined ? {} : { word }) })

/** In groups with one sign, or with blanks, or as one. */
function forms(
  country: string,
  sizes: readonly number[],
  signs: readonly string[],
  holds: (digits: string) => boolean,
  word?: RegExp,
): Form[] {
  const grouped = signs.map((sign) =>
    form(
      country,
      sizes,
      sizes.slice(1).map(() => sign),
      holds,
      word,
    ),
  )
  const total = sizes.reduce((sum, size) => sum + size, 0)
  return [...grouped, form(country, [total], [], holds, word)]
}

const SIN = /\b(?:sin|social insurance|nas)\b/i
const TFN = /\b(?:tfn|tax file)\b/i
const NHS = /\bnhs\b/i
const PESEL = /\bpesel\b/i
const STEUER = /steuer[- ]?(?:id|identifikation)|\bidnr\b|tax id/i
const BSN = /\b(?:bsn|burgerservice|sofi)/i
const TCKN = /\bt\.?c\.?\b|kimlik|\btckn\b/i
const ZA = /\bid(?:entity)?\b/i
const AADHAAR = /aa?dhaa?r|\buid(?:ai)?\b/i

const isCpf = (d: string): boolean =>
  !/^(\d)\1+$/.test(d) &&
  [9, 10].every((n) => {
    const rest =
      (weighted(
        d.slice(0, n),
        Array.from({ length: n }, (_, i) => n + 1 - i),
      ) *
        10) %
      11
    return rest % 10 === Number(d[n])
  })

const isCnpj = (d: string): boolean =>
  [12, 13].every((n) => {
    const weights = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2].slice(13 - n)
    const rest = weighted(d.slice(0, n), weights) % 11
    return (rest < 2 ? 0 : 11 - rest) === Number(d[n])
  })

const isEan13 = (d: string): boolean => weighted(d, [1, 3]) % 10 === 0

const FORMS: readonly Form[] = [
  form('ch', [3, 4, 4, 2], ['.', '.', '.'], (d) => d.startsWith('756') && isEan13(d)),
  form('ch', [13], [], (d) => d.startsWith('756') && isEan13(d)),
  form('br', [3, 3, 3, 2], ['.', '.', '-'], isCpf),
  form('br', [2, 3, 3, 4, 2], ['.', '.', '/', '-'], isCnpj),
  form('be', [2, 2, 2, 3, 2], ['.', '.', '-', '.'], (d) =>
    [d.slice(0, 9), `2${d.slice(0, 9)}`].some((n) => 97 - (Number(n) % 97) === Number(d.slice(9))),
  ),
  form(
    'us',
    [3, 2, 4],
    ['-', '-'],
    (d) => d.startsWith('9') && /^.{3}(?:[56]\d|7\d|8[0-8]|9[0-24-9])/.test(d),
  ),
  form(
    'kr',
    [6, 7],
    ['-'],
    (d) =>
      /^[1-8]/.test(d.slice(6)) && isDay(Number(d.slice(0, 2)), Number(d.slice(2, 4)), Number(d.slice(4, 6))),
  ),
  ...[6, 8].map((size) =>
    form('se', [size, 4], ['-'], (d) => {
      const ten = d.slice(-10)
      return isLuhn(ten) && isDay(Number(ten.slice(0, 2)), Number(ten.slice(2, 4)), Number(ten.slice(4, 6)))
    }),
  ),
  ...forms(
    'fr',
    [1, 2, 2, 2, 3, 3, 2],
    [' '],
    (d) =>
      /^[12]\d\d(?:0[1-9]|1[0-2]|[2-9]\d)/.test(d) &&
      97 - Number(BigInt(d.slice(0, 13)) % 97n) === Number(d.slice(13)),
  ),
  form('in', [4, 4, 4], [' ', ' '], (d) => /^[2-9]/.test(d) && isVerhoeff(d)),
  form('in', [12], [], (d) => /^[2-9]/.test(d) && isVerhoeff(d), AADHAAR),
  ...forms('ca', [3, 3, 3], [' ', '-'], isLuhn, SIN),
  ...forms('au', [3, 3, 3], [' '], (d) => weighted(d, [1, 4, 3, 7, 5, 8, 6, 9, 10]) % 11 === 0, TFN),
  ...forms(
    'uk',
    [3, 3, 4],
    [' ', '-'],
    (d) => {
      const check = 11 - (weighted(d.slice(0, 9), [10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11)
      return check !== 10 && check % 11 === Number(d[9])
    },
    NHS,
  ),
  form('pl', [11], [], (d) => weighted(d, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]) % 10 === 0, PESEL),
  ...forms('de', [2, 3, 3, 3], [' '], (d) => /^[1-9]/.test(d) && isMod11And10(d), STEUER),
  form(
    'nl',
    [9],
    [],
    (d) => (weighted(d.slice(0, 8), [9, 8, 7, 6, 5, 4, 3, 2]) - Number(d[8])) % 11 === 0,
    BSN,
  ),
  form(
    'tr',
    [11],
    [],
    (d) => {
      const odd = [0, 2, 4, 6, 8].reduce((sum, i) => sum + Number(d[i]), 0)
      const even = [1, 3, 5, 7].reduce((sum, i) => sum + Number(d[i]), 0)
      const all = weighted(d.slice(0, 10), [1])
      return (
        /^[1-9]/.test(d) && (((odd * 7 - even) % 10) + 10) % 10 === Number(d[9]) && all % 10 === Number(d[10])
      )
    },
    TCKN,
  ),
  form(
    'za',
    [13],
    [],
    (d) =>
      isLuhn(d) &&
      /[01]/.test(d[10] ?? '') &&
      isDay(Number(d.slice(0, 2)), Number(d.slice(2, 4)), Number(d.slice(4, 6))),
    ZA,
  ),
]

/** Forms by the size of their first group: of most groups none is looked at. */
const BY_SIZE = Map.groupBy(FORMS, ({ sizes }) => sizes[0] ?? 0)

/** The national number that begins with a group of digits. */
export function nationalFrom(text: string, groups: readonly Group[], first: number): Finding | undefined {
  const one = groups[first]
  const may = one === undefined ? undefined : BY_SIZE.get(one.end - one.start)
  if (one === undefined || may === undefined || /[A-Za-z0-9_.-]/.test(text[one.start - 1] ?? ''))
    return undefined
  for (const { country, sizes, gaps, holds, word } of may) {
    const last = groups[first + sizes.length - 1]
    if (last === undefined || !isShaped(groups, first, sizes, gaps)) continue
    if (/[A-Za-z0-9_]/.test(text[last.end] ?? '') || /^[.-]\d/.test(text.slice(last.end, last.end + 2)))
      continue
    if (word !== undefined && !word.test(before(text, one.start))) continue
    if (!holds(text.slice(one.start, last.end).replaceAll(/\D/g, ''))) continue
    return {
      class: `national_id.${country}`,
      start: one.start,
      end: last.end,
      score: word === undefined ? 0.9 : 1,
    }
  }
  return undefined
}

function isShaped(
  groups: readonly Group[],
  first: number,
  sizes: readonly number[],
  gaps: readonly string[],
): boolean {
  for (let i = sizes.length - 1; i >= 0; i--) {
    const group = groups[first + i]
    if (group === undefined || group.end - group.start !== sizes[i]) return false
    if (i > 0 && group.gap !== gaps[i - 1]) return false
  }
  return true
}

const before = (text: string, at: number): string => text.slice(Math.max(0, at - NEAR), at)

const DNI = 'TRWAGMYFPDXBNJZSQVHLCKE'
const HETU = '0123456789ABCDEFHJKLMNPRSTUVWXY'

/** Numbers with letters in them, by the whole word that a group of digits is a part of. */
const WORDS: readonly (readonly [country: string, form: RegExp, holds: (word: string) => boolean])[] = [
  ['uk', /^(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]$/, () => true],
  ['es', /^\d{8}[A-Z]$/, (word) => DNI[Number(word.slice(0, 8)) % 23] === word[8]],
  [
    'es',
    /^[XYZ]\d{7}[A-Z]$/,
    (word) => DNI[Number(`${'XYZ'.indexOf(word[0] ?? '')}${word.slice(1, 8)}`) % 23] === word[8],
  ],
  ['in', /^[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]$/, () => true],
  ['sg', /^[STFG]\d{7}[A-Z]$/, isNric],
  ['it', /^[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]$/, isCodiceFiscale],
]

/** The national number that a word of capitals and digits around a group is. */
export function nationalWordAt(text: string, group: Group): Finding | undefined {
  let start = group.start
  while (group.start - start < 7 && isCapital(text.charCodeAt(start - 1))) start--
  let end = group.end
  while (end - start < 17 && (isCapital(text.charCodeAt(end)) || isDigit(text.charCodeAt(end)))) end++
  if (end - start < 9 || end - start > 16 || (start === group.start && end === group.end)) return undefined
  if (/[A-Za-z0-9_-]/.test(text[start - 1] ?? '') || /[A-Za-z0-9_]/.test(text[end] ?? '')) return undefined
  const word = text.slice(start, end)
  const found = WORDS.find(([, shape, holds]) => shape.test(word) && holds(word))
  return found === undefined ? undefined : { class: `national_id.${found[0]}`, start, end, score: 0.9 }
}

/** Finland's: the day of birth, a sign of the century, three digits and a check sign. */
export function hetuFrom(text: string, { start, end }: Group): Finding | undefined {
  if (
    end - start !== 6 ||
    !/[-+A-FU-Y]/.test(text[end] ?? '') ||
    /[A-Za-z0-9_.-]/.test(text[start - 1] ?? '')
  )
    return undefined
  const [whole, day = '', rest = '', check] =
    /^(\d{6})[-+A-FU-Y](\d{3})([0-9A-Y])(?!\w)/.exec(text.slice(start, start + 12)) ?? []
  if (whole === undefined || HETU[Number(day + rest) % 31] !== check) return undefined
  if (!isDay(Number(day.slice(4)), Number(day.slice(2, 4)), Number(day.slice(0, 2)))) return undefined
  return { class: 'national_id.fi', start, end: start + 11, score: 1 }
}

const isCapital = (code: number): boolean => code >= 65 && code <= 90
const isDigit = (code: number): boolean => code >= 48 && code <= 57

function isNric(word: string): boolean {
  const sum = weighted(word.slice(1, 8), [2, 7, 6, 5, 4, 3, 2]) + (/^[TG]/.test(word) ? 4 : 0)
  return (/^[ST]/.test(word) ? 'JZIHGFEDCBA' : 'XWUTRQPNMLK')[sum % 11] === word[8]
}

/** Values of the signs at odd places, 0 to 9 and A to Z. */
const CF_ODD = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23]

function isCodiceFiscale(word: string): boolean {
  let sum = 0
  for (let i = 0; i < 15; i++) {
    const code = word.charCodeAt(i)
    const value = isDigit(code) ? code - 48 : code - 65
    sum += i % 2 === 0 ? (CF_ODD[value] ?? 0) : value
  }
  return sum % 26 === word.charCodeAt(15) - 65
}

const PASSPORT = /\b(?:passport|reisepass|passeport|pasaporte|passaporto|passnummer|paspoort)[^\n]{0,24}$/i

/** The number of a passport, where a word says that it is one. */
export function passportAt(text: string, { start, end }: Group): Finding | undefined {
  const size = end - start
  if (size < 5 || size > 9) return undefined
  let from = start
  while (start - from < 3 && /[A-Z]/.test(text[from - 1] ?? '')) from--
  const [tail = ''] = /^[A-Z]{0,2}/.exec(text.slice(end, end + 2)) ?? []
  const to = end + tail.length
  if (to - from < 6 || /[A-Za-z0-9_]/.test(text[from - 1] ?? '') || /[A-Za-z0-9_-]/.test(text[to] ?? ''))
    return undefined
  if (!PASSPORT.test(before(text, from))) return undefined
  return { class: 'passport', start: from, end: to, score: 0.9 }
}

const BORN =
  /\b(?:born|d\.?o\.?b\.?|date of birth|birth ?da(?:te|y)|geburtsdatum|geboren|geb\.|n[ée]e? le|date de naissance|fecha de nacimiento|nacid[oa]|data di nascita|nat[oa] il)[^\n\d]{0,16}$/i
const DATE =
  /^(?:(?:19|20)\d\d([-/.])(?:0?[1-9]|1[0-2])\1(?:[12]\d|3[01]|0?[1-9])|(?:[12]\d|3[01]|0?[1-9])([-/.])(?:[12]\d|3[01]|0?[1-9])\2(?:(?:19|20)\d\d|\d\d)|(?:[12]\d|3[01]|0?[1-9])(?:st|nd|rd|th|\.)? {1,2}(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6},? (?:19|20)\d\d)(?!\d)/i

/** The day of birth that a word announces. */
export function birthAt(text: string, { start }: Group): Finding | undefined {
  const [date] = DATE.exec(text.slice(start, start + 28)) ?? []
  if (date === undefined || !BORN.test(before(text, start))) return undefined
  return { class: 'date_of_birth', start, end: start + date.length, score: 1 }
}
