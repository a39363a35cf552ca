import type { Finding } from '../finding.ts'
import type { Group } from './digits.ts'

const SSN_WORD = /\b(?:ssn|social security|soc sec|tax(?:payer)? id)/i

/** The US social security number that begins with a group; without separators only where a word says what it is. */
export function ssnFrom(text: string, groups: readonly Group[], first: number): Finding | undefined {
  const one = groups[first]
  const size = one === undefined ? 0 : one.end - one.start
  if (size !== 3 && size !== 9) return undefined
  if (one === undefined || /[A-Za-z0-9_.-]/.test(text[one.start - 1] ?? '')) return undefined
  const whole = text.slice(one.start, one.end)
  if (whole.length === 9) {
    const said = SSN_WORD.test(text.slice(Math.max(0, one.start - 48), one.start))
    return said && isSsn(whole) && !/[A-Za-z_-]/.test(text[one.end] ?? '')
      ? { class: 'ssn', start: one.start, end: one.end, score: 0.9 }
      : undefined
  }
  const [two, three] = [groups[first + 1], groups[first + 2]]
  if (two === undefined || three === undefined || two.gap !== three.gap || !/^[ .-]$/.test(two.gap))
    return undefined
  const parts = [one, two, three].map(({ start, end }) => text.slice(start, end))
  if (parts.map(({ length }) => length).join() !== '3,2,4' || !isSsn(parts.join(''))) return undefined
  if (/[A-Za-z_]/.test(text[three.end] ?? '') || /^[.-]\d/.test(text.slice(three.end, three.end + 2)))
    return undefined
  return { class: 'ssn', start: one.start, end: three.end, score: 1 }
}

/** Areas 000, 666 and 9xx, group 00 and serial 0000 are given to nobody; a few were printed in advertisements. */
function isSsn(digits: string): boolean {
  if (/^(?:000|666|9)/.test(digits) || digits.startsWith('00', 3) || digits.endsWith('0000')) return false
  return !/^(\d)\1+$/.test(digits) && !['078051120', '219099999', '457555462'].includes(digits)
}
