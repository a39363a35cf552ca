import type { Finding } from '../finding.ts'
import { DIGITS, LETTERS, signs } from '../signs.ts'

const SIGNS = signs(`${LETTERS}${DIGITS}`)

/** Lengths by country. Source: ISO 13616 registry, release 99. */
const LENGTHS: Readonly<Record<string, number>> = {
  AD: 24,
  AE: 23,
  AL: 28,
  AT: 20,
  AZ: 28,
  BA: 20,
  BE: 16,
  BG: 22,
  BH: 22,
  BI: 27,
  BR: 29,
  BY: 28,
  CH: 21,
  CR: 22,
  CY: 28,
  CZ: 24,
  DE: 22,
  DJ: 27,
  DK: 18,
  DO: 28,
  EE: 20,
  EG: 29,
  ES: 24,
  FI: 18,
  FK: 18,
  FO: 18,
  FR: 27,
  GB: 22,
  GE: 22,
  GI: 23,
  GL: 18,
  GR: 27,
  GT: 28,
  HN: 28,
  HR: 21,
  HU: 28,
  IE: 22,
  IL: 23,
  IQ: 23,
  IS: 26,
  IT: 27,
  JO: 30,
  KW: 30,
  KZ: 20,
  LB: 28,
  LC: 32,
  LI: 21,
  LT: 20,
  LU: 20,
  LV: 21,
  LY: 25,
  MC: 27,
  MD: 24,
  ME: 22,
  MK: 19,
  MN: 20,
  MR: 27,
  MT: 31,
  MU: 30,
  NI: 28,
  NL: 18,
  NO: 15,
  OM: 23,
  PK: 24,
  PL: 28,
  PS: 29,
  PT: 25,
  QA: 29,
  RO: 24,
  RS: 22,
  RU: 33,
  SA: 24,
  SC: 31,
  SD: 18,
  SE: 24,
  SI: 19,
  SK: 24,
  SM: 27,
  SO: 23,
  ST: 25,
  SV: 28,
  TL: 23,
  TN: 24,
  TR: 26,
  UA: 29,
  VA: 22,
  VG: 24,
  XK: 20,
  YE: 30,
}

/** The account number whose check digits stand at a place: two letters before them, groups behind them. */
export function ibanAt(text: string, digits: number): Finding | undefined {
  const start = digits - 2
  if (start < 0 || SIGNS[text.charCodeAt(start - 1)] === 1) return undefined
  const country = text.slice(start, digits).toUpperCase()
  const length = Object.hasOwn(LENGTHS, country) ? LENGTHS[country] : undefined
  if (length === undefined || !/^\d\d$/.test(text.slice(digits, digits + 2))) return undefined
  let count = 0
  let at = start
  for (let separated = false; at < text.length && count < length; at++) {
    const code = text.charCodeAt(at)
    if (code < 128 && SIGNS[code] === 1) {
      count++
      separated = false
    } else if ((code === 0x20 || code === 0x2d || code === 0xa0) && !separated) separated = true
    else break
  }
  if (count !== length || SIGNS[text.charCodeAt(at)] === 1) return undefined
  const compact = text
    .slice(start, at)
    .replaceAll(/[ \-\u00a0]/g, '')
    .toUpperCase()
  return isMod97(compact) ? { class: 'iban', start, end: at, score: 1 } : undefined
}

/** ISO 7064, modulus 97-10, over the number with its first four signs at the end. */
function isMod97(compact: string): boolean {
  let rest = 0
  for (const sign of compact.slice(4) + compact.slice(0, 4)) {
    const value = Number.parseInt(sign, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest === 1
}
