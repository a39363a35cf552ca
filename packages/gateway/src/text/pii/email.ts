import type { Finding } from '../finding.ts'
import { DIGITS, LETTERS, signs } from '../signs.ts'

/** Longest local part and domain. Source: RFC 5321 section 4.5.3.1. */
const MAX_LOCAL = 64
const MAX_DOMAIN = 255

const LOCAL = signs(`${LETTERS}${DIGITS}.!#$%&'*+/=?^_\`{|}~-`)
const DOMAIN = signs(`${LETTERS}${DIGITS}.-`)
const LETTER = /[\p{L}\p{N}]/u

function isOf(table: Uint8Array, text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  return code < 128 ? table[code] === 1 : LETTER.test(text[at] ?? '')
}

/** The address around an at sign. */
export function emailAt(text: string, at: number, from: number): Finding | undefined {
  let start = at
  while (start > from && at - start < MAX_LOCAL && isOf(LOCAL, text, start - 1)) start--
  if (start === at) return undefined
  let end = at + 1
  while (end < text.length && end - at <= MAX_DOMAIN && isOf(DOMAIN, text, end)) end++
  while (end > at && /[.-]/.test(text[end - 1] ?? '')) end--
  // What stands before the name in a link, a list or a quotation is no part of it.
  while (start < at && /[.!#$%&'*/=?^`{|}~-]/.test(text[start] ?? '')) start++
  const local = text.slice(start, at)
  const domain = text.slice(at + 1, end)
  if (local === '' || local.endsWith('.') || local.includes('..') || domain.includes('..')) return undefined
  if (
    !/^(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.)+(?:\p{L}{2,63}|xn--[a-z0-9-]{2,59})$/u.test(
      domain,
    )
  )
    return undefined
  return { class: 'email', start, end, score: 1 }
}
