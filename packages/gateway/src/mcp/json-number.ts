/** Significant digits that every double keeps through text and back (C's DBL_DIG). */
const SAFE_DIGITS = 15
/** Decimal exponents well inside the normal doubles, where SAFE_DIGITS holds; beyond them the slow way decides. */
const SAFE_EXPONENT = 290

const ZERO = 0x30
const NINE = 0x39
const POINT = 0x2e
const MINUS = 0x2d

/**
 * Tells whether a JSON number survives parse + stringify by value: the decimal that `JSON.stringify` would write
 * equals the decimal that was received. `1.0`, `1e2` and `0.1` do; `12345678901234567890`, `1e400` (no double),
 * `1e-400` (becomes 0) and `0.1000000000000000055511151231257827` (two readers may keep different digits) do not.
 * `-0` does: JSON Schema and RFC 8785 know one zero.
 * @param bytes holds a number of RFC 8259 section 6 in [start, end); the scanner has checked its grammar.
 * Linear in the length of the literal. Source: ARCHITECTURE.md section 3 (strict schema).
 */
export function isExactNumber(bytes: Uint8Array, start: number, end: number): boolean {
  let digits = 0
  let seen = false
  let fraction = 0
  let afterPoint = false
  let i = bytes[start] === MINUS ? start + 1 : start
  for (; i < end; i++) {
    const c = bytes[i] ?? 0
    if (c === POINT) afterPoint = true
    else if (c < ZERO || c > NINE)
      break // the exponent mark
    else {
      if (c !== ZERO) seen = true
      if (seen) digits++
      if (afterPoint) fraction++
    }
  }
  if (!seen) return true // zero, whatever its exponent
  if (digits <= SAFE_DIGITS) {
    const exponent = i < end ? smallExponent(bytes, i + 1, end) : 0
    if (Math.abs(exponent) + digits + fraction <= SAFE_EXPONENT) return true
  }
  const view = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return survives(view.toString('latin1', start, end))
}

/** The exponent written in [start, end), or Infinity when it has more than three digits. */
function smallExponent(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start] ?? 0
  let i = first >= ZERO && first <= NINE ? start : start + 1
  if (end - i > 3) return Infinity
  let value = 0
  for (; i < end; i++) value = value * 10 + (bytes[i] ?? ZERO) - ZERO
  return first === MINUS ? -value : value
}

function survives(literal: string): boolean {
  const value = Number(literal)
  // The literal is not zero here, so zero is an underflow.
  if (!Number.isFinite(value) || value === 0) return false
  const written = String(value)
  if (written === literal) return true
  const [ownDigits, ownPower] = decimal(literal)
  const [digits, power] = decimal(written)
  return ownPower === power && ownDigits === digits
}

/** A non-zero decimal as digits without outer zeros, and the power of ten of the last of them; the sign is left out. */
function decimal(text: string): [digits: string, power: number] {
  const unsigned = text.startsWith('-') ? text.slice(1) : text
  const mark = unsigned.search(/[eE]/)
  const mantissa = mark < 0 ? unsigned : unsigned.slice(0, mark)
  const point = mantissa.indexOf('.')
  const all = point < 0 ? mantissa : mantissa.slice(0, point) + mantissa.slice(point + 1)
  let first = 0
  let last = all.length
  while (all.charCodeAt(first) === ZERO) first++
  while (all.charCodeAt(last - 1) === ZERO) last--
  const exponent = mark < 0 ? 0 : Number(unsigned.slice(mark + 1))
  const behindPoint = point < 0 ? 0 : mantissa.length - point - 1
  return [all.slice(first, last), exponent - behindPoint + (all.length - last)]
}
