/** Sum of digits, each times its weight; weights are used in turn. */
export function weighted(digits: string, weights: readonly number[]): number {
  let sum = 0
  for (let i = 0; i < digits.length; i++)
    sum += (digits.charCodeAt(i) - 48) * (weights[i % weights.length] ?? 0)
  return sum
}

const VERHOEFF_D = [
  '0123456789',
  '1234067895',
  '2340178956',
  '3401289567',
  '4012395678',
  '5987604321',
  '6598710432',
  '7659821043',
  '8765932104',
  '9876543210',
]
const VERHOEFF_P = [
  '0123456789',
  '1576283094',
  '5803796142',
  '8916043527',
  '9453126870',
  '4286573901',
  '2793806415',
  '7046913258',
]

/** Check digit after Verhoeff (1969), which India's Aadhaar ends in. */
export function isVerhoeff(digits: string): boolean {
  let c = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 48
    c = Number(VERHOEFF_D[c]?.[Number(VERHOEFF_P[i % 8]?.[digit])])
  }
  return c === 0
}

/** ISO 7064, modulus 11-10: German tax numbers. */
export function isMod11And10(digits: string): boolean {
  let product = 10
  for (const digit of digits.slice(0, -1)) {
    const sum = (Number(digit) + product) % 10
    product = ((sum === 0 ? 10 : sum) * 2) % 11
  }
  return (11 - product) % 10 === Number(digits.at(-1))
}

/** Whether year (two or four digits), month and day make a day. */
export function isDay(year: number, month: number, day: number): boolean {
  return month >= 1 && month <= 12 && day >= 1 && day <= new Date(2_000 + (year % 4), month, 0).getDate()
}
