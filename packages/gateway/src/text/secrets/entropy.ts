/** Shannon entropy of the first signs of a text, in bits per sign: 0 for one sign alone, about 4 for hexadecimal, 6 for base64. */
export function bitsPerSign(text: string): number {
  const length = Math.min(text.length, MAX_LENGTH)
  COUNTS.fill(0)
  for (let i = 0; i < length; i++)
    COUNTS[text.charCodeAt(i) & 127] = (COUNTS[text.charCodeAt(i) & 127] ?? 0) + 1
  let bits = 0
  for (const count of COUNTS) if (count > 0) bits -= (count / length) * Math.log2(count / length)
  return bits
}

const MAX_LENGTH = 512
const COUNTS = new Uint16Array(128)

/** Whether a text is a stand-in: a row of one sign, the alphabet or the digits in their order, or a word that says so. */
export function isStandIn(text: string): boolean {
  if (/([xX*.0])\1{5}/.test(text.slice(0, MAX_LENGTH))) return true
  let run = 1
  for (let i = 1; i < Math.min(text.length, MAX_LENGTH); i++) {
    run = text.charCodeAt(i) === text.charCodeAt(i - 1) + 1 ? run + 1 : 1
    if (run >= 10) return true
  }
  return /example|sample|placeholder|change[_-]?(?:me|this)|your[_-]|dummy|redacted|todo|insert[_-]|replace[_-]?(?:me|with)|not[_-]?a[_-]?(?:real|secret)/i.test(
    text.slice(0, MAX_LENGTH),
  )
}
