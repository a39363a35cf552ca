import type { Finding } from '../finding.ts'
import type { Group } from './digits.ts'
import { signs } from '../signs.ts'

/** Signs of IPv6, of MAC addresses, and of the IPv4 address at the end of one. */
const ADDRESS = signs('0123456789abcdefABCDEF:.')
const MAX_ADDRESS = 45
const WORD = /[A-Za-z0-9_]/

/** The IPv4 address of four groups from the first on. */
export function ipv4From(text: string, groups: readonly Group[], first: number): Finding | undefined {
  if (groups[first + 3]?.gap !== '.' || groups[first + 1]?.gap !== '.') return undefined
  // Of five numbers in a row nobody can say which four are meant.
  if (text[(groups[first]?.start ?? 0) - 1] === '.') return undefined
  const four = groups.slice(first, first + 4)
  const [one, , , last] = four
  if (one === undefined || last === undefined) return undefined
  if (four.some((group, i) => (i > 0 && group.gap !== '.') || !isOctet(text.slice(group.start, group.end))))
    return undefined
  if (WORD.test(text[one.start - 1] ?? '') || WORD.test(text[last.end] ?? '')) return undefined
  if (/^\.\d/.test(text.slice(last.end, last.end + 2))) return undefined
  if (/(?:\bv|version|release|build)[\s:=]*$/i.test(text.slice(Math.max(0, one.start - 12), one.start)))
    return undefined
  return { class: 'ip_address', start: one.start, end: withPrefix(text, last.end, 32), score: 1 }
}

/** The IPv6 or MAC address around a colon. */
export function colonAddressAt(text: string, colon: number, from: number): Finding | undefined {
  // Three in a row are of no address; of rows of them nothing more is looked at.
  if (text[colon - 1] === ':' && text[colon + 1] === ':') return undefined
  let start = colon
  while (start > from && colon - start < MAX_ADDRESS && ADDRESS[text.charCodeAt(start - 1)] === 1) start--
  let end = colon
  while (end < text.length && end - start <= MAX_ADDRESS && ADDRESS[text.charCodeAt(end)] === 1) end++
  // Longer than any address: it is something else, all of it.
  if (end - start > MAX_ADDRESS || end - start < 3) return undefined
  // A full stop, or the colon of a sentence, ends it.
  while (end > colon && /[.:]/.test(text[end - 1] ?? '') && !(text[end - 1] === ':' && text[end - 2] === ':'))
    end--
  if (WORD.test(text[start - 1] ?? '') || WORD.test(text[end] ?? '')) return undefined
  const raw = text.slice(start, end)
  if (/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(raw)) return { class: 'mac_address', start, end, score: 1 }
  if (raw === '::' || !isIpv6(raw)) return undefined
  return { class: 'ip_address', start, end: withPrefix(text, end, 128), score: 1 }
}

/** With the length of the prefix behind it, where it names a network (RFC 4632, RFC 4291 section 2.3). */
function withPrefix(text: string, end: number, most: number): number {
  if (text[end] !== '/') return end
  const [raw, bits] = /^\/(\d{1,3})(?!\w|\.\d)/.exec(text.slice(end, end + 6)) ?? []
  return raw !== undefined && Number(bits) <= most ? end + raw.length : end
}

/** A MAC address with hyphens or, as Cisco writes it, with two dots, that begins at a place. */
export function macAt(text: string, start: number): Finding | undefined {
  if (WORD.test(text[start - 1] ?? '')) return undefined
  const [raw] =
    /^(?:[0-9a-f]{2}(?:-[0-9a-f]{2}){5}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4})(?![A-Za-z0-9_-])/i.exec(
      text.slice(start, start + 18),
    ) ?? []
  return raw === undefined ? undefined : { class: 'mac_address', start, end: start + raw.length, score: 1 }
}

function isOctet(text: string): boolean {
  return text.length <= 3 && Number(text) <= 255 && (text === '0' || !text.startsWith('0'))
}

/** Eight groups of hex digits, one run of zeros left out at most, the last two perhaps as IPv4 (RFC 4291 section 2.2). */
function isIpv6(text: string): boolean {
  const halves = text.split('::')
  if (halves.length > 2) return false
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')))
  const last = groups.at(-1) ?? ''
  const dotted = last.includes('.')
  if (dotted && !(last.split('.').length === 4 && last.split('.').every(isOctet))) return false
  const count = groups.length + (dotted ? 1 : 0)
  const hex = dotted ? groups.slice(0, -1) : groups
  return (
    hex.every((group) => /^[0-9a-f]{1,4}$/i.test(group)) && (halves.length === 2 ? count < 8 : count === 8)
  )
}
